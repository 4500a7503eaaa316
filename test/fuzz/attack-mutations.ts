/**
 * Attacks that one knows by name: forged MACs, `none`, keys brought along, other keys under known names, entries and
 * bodies that do not belong together, lengths that lie, and bombs of count, size and depth.
 * @module
 */
import { concat, fromBase64url, u32, utf8 } from '@parley/core'
import type { SimRandom } from '@parley/core/sim'
import { generateKey, importKey, type Jwk, publicJwk, signCompact, signJws, toFlattenedJws } from '@parley/jose'
import { isBinary } from '@parley/jwm'
import type { Subject } from './corpus.ts'
import { nest } from './dictionary.ts'
import { dissect, entriesOf } from './dissect.ts'
import type { Mutation } from './mutation.ts'
import { isMembers, memberOf, setMember, type Tree } from './tree.ts'

const texts = ['compact', 'json'] as const

function isJws(subject: Subject): boolean {
  return subject.truth[0]?.kind === 'jws'
}

/** Octets that a careless verifier would take for a MAC key: the public key in this or that writing. */
function publicOctets(jwk: Jwk, random: SimRandom): Uint8Array {
  const shown = publicJwk(jwk)
  const raw = concat(...[shown.n, shown.x, shown.y, shown.pub].map((text) => fromBase64url(text ?? '') ?? new Uint8Array(0)))
  return random.pick([
    raw,
    raw,
    concat(Uint8Array.of(4), raw),
    utf8(JSON.stringify(shown)),
    utf8(shown.n ?? shown.x ?? shown.pub ?? ''),
  ])
}

const forgeries: readonly Mutation[] = [
  {
    name: 'MAC under a public key',
    weight: 2,
    forms: texts,
    stackable: false,
    apply(subject, { random, ring }) {
      const victim = random.pick([...ring.jwks.values()].filter(({ kty, kid }) => kty !== 'oct' && !kid?.startsWith('enc-')))
      if (!isJws(subject) || subject.detached) return undefined
      const key = importKey({ kty: 'oct', k: Buffer.from(publicOctets(victim, random)).toString('base64url') })
      if ((key.secretBytes ?? 0) < 64) return undefined
      const header = { kid: victim.kid ?? '', ...(random.chance(0.3) ? { typ: 'JWM' } : {}) }
      return {
        parts: [signCompact(utf8('forged'), { key, alg: random.pick(['HS256', 'HS384', 'HS512']), header })],
        must: 'refuse',
      }
    },
  },
  {
    name: 'signed by a key that is brought along',
    weight: 2,
    forms: texts,
    stackable: false,
    apply(subject, { random }) {
      if (!isJws(subject) || subject.detached) return undefined
      const jwk = generateKey('Ed25519', { random })
      const kid = random.pick(['sig-Ed25519', 'sig-P-256', jwk.kid ?? ''])
      const shown = publicJwk({ ...jwk, kid }) as unknown as { readonly [name: string]: string }
      const members = { jwk: shown, jku: 'https://attacker.example', x5c: ['MIIB'], kid }
      const signer = {
        key: importKey({ ...jwk, kid }),
        ...(random.chance(0.5) ? { protected: members } : { unprotected: members }),
      }
      return { parts: [JSON.stringify(toFlattenedJws(signJws(utf8('forged'), { signers: [signer] })))], must: 'refuse' }
    },
  },
  {
    name: 'alg none',
    weight: 1,
    forms: texts,
    stackable: true,
    apply(subject, { random }) {
      const opened = dissect(subject)
      if (opened === undefined || !isJws(subject)) return undefined
      for (const spot of opened.headers.filter(({ name }) => name === 'protected')) {
        const header = spot.get()
        setMember(header, 'alg', random.pick(['none', 'None', 'NONE', '']))
        spot.set(header)
      }
      for (const spot of opened.fields.filter(({ name }) => name === 'signature')) if (random.chance(0.7)) spot.set('')
      return { parts: opened.build(), must: 'refuse' }
    },
  },
  {
    name: 'other keys under the same names',
    weight: 3,
    stackable: false,
    apply: ({ parts }) => ({ parts, must: 'refuse', held: 'impostors' }),
  },
  {
    name: 'other keys under the same names beside the true ones',
    weight: 2,
    stackable: false,
    apply: ({ parts }) => ({ parts, held: 'both' }),
  },
  {
    name: 'entry of one, body of another',
    weight: 4,
    forms: ['cut', 'profile'],
    stackable: true,
    apply({ parts }, { random, donor }) {
      const [entry = '', body = ''] = parts
      const [theirs = '', other = ''] = donor.parts
      if (donor.parts.length < 2) return undefined
      return { parts: random.chance(0.5) ? [entry, other] : [theirs, body], truths: [donor.truth] }
    },
  },
  {
    name: 'binary prefix that lies',
    weight: 4,
    forms: ['binary', 'cut', 'profile'],
    stackable: true,
    apply({ parts }, { random }) {
      const at = random.int(parts.length)
      const part = parts[at]
      if (!(part instanceof Uint8Array) || !isBinary(part)) return undefined
      const lies = part.slice()
      const lengths = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, part.length, random.int(part.length)]
      const change = random.int(4)
      if (change === 0) lies[3] = random.pick([0x4d, 0x45, 0x42, 0])
      if (change === 1) lies[4] = random.int(256)
      if (change === 2) lies[5] = random.int(256)
      if (change === 3) lies.set(u32(random.pick(lengths)), Math.min(part.length - 4, 6 + 4 * random.int(8)))
      return { parts: parts.map((other, i) => (i === at ? lies : other)) }
    },
  },
]

const bombs: readonly Mutation[] = [
  {
    name: 'many entries',
    weight: 0.25,
    forms: ['json'],
    stackable: true,
    apply(subject, { random }) {
      const opened = dissect(subject)
      const list = opened?.tree === undefined ? [] : entriesOf(opened.tree)
      const [first] = list
      if (opened === undefined || first === undefined) return undefined
      const count = random.pick([16, 64, 65, 300, 1024, 1025, 2000])
      // Without a kid every key is tried.
      if (random.chance(0.3) && isMembers(first) && memberOf(first, 'header') !== undefined)
        setMember(first, 'header', { members: [] })
      for (let i = list.length; i < count; i++) list.push(list[i % Math.min(list.length, 4)] as Tree)
      return { parts: opened.build() }
    },
  },
  {
    name: 'large field or header',
    weight: 0.25,
    stackable: true,
    apply(subject, { random }) {
      const opened = dissect(subject)
      if (opened === undefined) return undefined
      const large = 'A'.repeat(4 * random.pick([10_000, 25_000, 100_000]))
      if (random.chance(0.5) && opened.fields.length > 0) {
        random.pick(opened.fields).set(large)
      } else if (opened.headers.length > 0) {
        const spot = random.pick(opened.headers)
        const header = spot.get()
        if (random.chance(0.5)) setMember(header, random.pick(['kid', 'p2s', 'apu', 'note', 'iv']), large)
        else for (let i = 0; i < 5000; i++) header.members.push({ name: `"n${i}"`, value: i })
        spot.set(header)
      }
      return { parts: opened.build() }
    },
  },
  {
    name: 'deep nest',
    weight: 0.25,
    stackable: false,
    apply(subject, { random }) {
      const opened = dissect(subject)
      if (opened === undefined) return undefined
      const deep = nest(random.pick([21, 100, 10_000, 100_000]), random)
      if (opened.tree !== undefined && random.chance(0.5)) {
        setMember(opened.tree, random.pick(['x', 'header', 'unprotected', 'recipients', 'signatures', 'payload']), deep)
      } else if (opened.headers.length > 0) {
        const spot = random.pick(opened.headers)
        const header = spot.get()
        setMember(header, random.pick(['x', 'crit', 'epk', 'jwk', 'alg']), deep)
        spot.set(header)
      }
      return opened.headers.length === 0 ? undefined : { parts: opened.build(), must: 'refuse' }
    },
  },
]

export const attackMutations: readonly Mutation[] = [...forgeries, ...bombs]
