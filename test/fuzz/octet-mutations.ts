/**
 * Changes that know nothing of the form: bits, octets, slices, encodings of characters, two objects cut together.
 * @module
 */
import { concat, fromUtf8, utf8 } from '@parley/core'
import type { SimRandom } from '@parley/core/sim'
import type { Mutant, Mutation } from './mutation.ts'

type Change = (octets: Uint8Array, random: SimRandom, donor: Uint8Array) => Uint8Array

function octetsOf(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? utf8(part) : part
}

/** A text stays a text half of the time, where it still is one: readers take both. */
function like(part: string | Uint8Array, octets: Uint8Array, random: SimRandom): string | Uint8Array {
  if (typeof part !== 'string' || random.chance(0.5)) return octets
  return fromUtf8(octets) ?? octets
}

function onOctets(name: string, weight: number, change: Change): Mutation {
  return {
    name,
    weight,
    stackable: true,
    apply(subject, { random, donor }): Mutant {
      const at = random.int(subject.parts.length)
      const part = subject.parts[at] ?? ''
      const octets = octetsOf(part)
      const changed = octets.length === 0 ? octets : change(octets.slice(), random, octetsOf(random.pick(donor.parts)))
      const parts = subject.parts.map((other, i) => (i === at ? like(part, changed, random) : other))
      return { parts, truths: [donor.truth] }
    },
  }
}

function slice(octets: Uint8Array, random: SimRandom): readonly [number, number] {
  const from = random.int(octets.length)
  return [from, from + 1 + random.int(Math.min(40, octets.length - from))]
}

const changes: readonly Mutation[] = [
  onOctets('bit flipped', 10, (octets, random) => {
    const at = random.int(octets.length)
    octets[at] = (octets[at] ?? 0) ^ (1 << random.int(8))
    return octets
  }),
  onOctets('octet set', 6, (octets, random) => {
    octets[random.int(octets.length)] = random.int(256)
    return octets
  }),
  onOctets('octets inserted', 4, (octets, random) => {
    const at = random.int(octets.length + 1)
    return concat(octets.subarray(0, at), random.bytes(1 + random.int(4)), octets.subarray(at))
  }),
  onOctets('octets removed', 4, (octets, random) => {
    const [from, to] = slice(octets, random)
    return concat(octets.subarray(0, from), octets.subarray(to))
  }),
  onOctets('octets doubled', 3, (octets, random) => {
    const [from, to] = slice(octets, random)
    return concat(octets.subarray(0, to), octets.subarray(from))
  }),
  onOctets('octets exchanged', 3, (octets, random) => {
    const [a, b] = [slice(octets, random), slice(octets, random)].sort(([x], [y]) => x - y) as [
      [number, number],
      [number, number],
    ]
    const middle = Math.max(a[1], b[0])
    return concat(
      octets.subarray(0, a[0]),
      octets.subarray(b[0], b[1]),
      octets.subarray(a[1], middle),
      octets.subarray(a[0], a[1]),
      octets.subarray(b[1]),
    )
  }),
  onOctets('truncated', 4, (octets, random) => {
    const at = random.int(octets.length)
    return random.chance(0.7) ? octets.subarray(0, at) : octets.subarray(at)
  }),
  onOctets('spliced with another', 4, (octets, random, donor) => {
    const at = random.int(octets.length)
    return concat(
      octets.subarray(0, at),
      donor.subarray(random.chance(0.5) ? Math.min(at, donor.length) : random.int(donor.length + 1)),
    )
  }),
]

const lead = Uint8Array.of(0xef, 0xbb, 0xbf)

/** What stands around a text: only JSON suffers white space, nothing suffers more. */
const around: readonly Mutation[] = [
  {
    name: 'byte order mark',
    weight: 1,
    forms: ['compact', 'json', 'urlsafe'],
    stackable: true,
    apply({ parts }, { random }) {
      const [text = '', ...rest] = parts
      const marked = random.chance(0.5) ? `\ufeff${String(text)}` : concat(lead, octetsOf(text))
      return { parts: [marked, ...rest], must: 'refuse' }
    },
  },
  {
    name: 'something behind the end',
    weight: 2,
    stackable: true,
    apply({ parts, form }, { random, donor }) {
      const [text = '', ...rest] = parts
      // JSON texts may end in white space; two parts are two ends.
      const tails = [...(form === 'json' ? [] : [' ', '\n', '\t']), '\u0000', '.', '=', 'x', '{}', ',', String(donor.parts[0])]
      const tail = random.pick(tails)
      const longer = typeof text === 'string' ? text + tail : concat(text, utf8(tail))
      return { parts: [longer, ...rest], must: 'refuse' }
    },
  },
  {
    name: 'overlong or broken UTF-8',
    weight: 1,
    forms: ['json'],
    stackable: true,
    apply({ parts }, { random }) {
      const [text = '', ...rest] = parts
      const octets = octetsOf(text)
      const at = 1 + random.int(octets.length - 1)
      const code = octets[at] ?? 0x61
      const bad = random.pick([
        Uint8Array.of(0xc0 | (code >> 6), 0x80 | (code & 0x3f)),
        Uint8Array.of(0xe0, 0x80 | (code >> 6), 0x80 | (code & 0x3f)),
        Uint8Array.of(0xed, 0xa0, 0x80),
        Uint8Array.of(0xf4, 0x90, 0x80, 0x80),
        Uint8Array.of(0x80),
        Uint8Array.of(0xff),
      ])
      return { parts: [concat(octets.subarray(0, at), bad, octets.subarray(at + 1)), ...rest], must: 'refuse' }
    },
  },
]

export const octetMutations: readonly Mutation[] = [...changes, ...around]
