import { backend as node } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { expect, it } from 'vitest'
import { makeCorpus, type Subject } from './corpus.ts'
import { open } from './doors.ts'
import { makeRing } from './keys.ts'
import { thrown, verdict } from './verdict.ts'

const ring = makeRing('flips', node)
const corpus = makeCorpus('flips', { ring, signing: makeRing('flips', noble) })

/** One object per algorithm: of encryption the octets, of signatures the compact text. */
const rows = new Map<string, Subject>()
for (const subject of corpus) {
  const [outer] = subject.truth
  if (subject.row === undefined || subject.detached || outer === undefined) continue
  if (subject.form !== (outer.kind === 'jwe' ? 'binary' : 'compact')) continue
  for (const name of outer.kind === 'jwe' ? [subject.row, outer.enc] : [subject.row]) {
    if (!rows.has(name)) rows.set(name, subject)
  }
}

// Signatures of several thousand octets take minutes: the long form flips every bit of them, the short one some.
const soak = process.env['PARLEY_SOAK'] === '1'
const strideOf = ({ length }: Uint8Array): number => (length > 2500 && !soak ? 61 : 1)

it.each([...rows])('no bit of %s can be flipped unseen', { timeout: 600_000 }, (_, subject) => {
  const [part = ''] = subject.parts
  const octets = typeof part === 'string' ? new TextEncoder().encode(part) : part
  let opened = 0
  for (let bit = 0; bit < octets.length * 8; bit += strideOf(octets)) {
    const flipped = octets.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const input = { parts: [flipped], detached: false }
    let outcome: ReturnType<typeof open>
    try {
      outcome = open('jose', input, ring)
    } catch (error) {
      outcome = thrown(error)
    }
    if (outcome.ok) opened++
    const problem = verdict(outcome, [subject.truth], undefined)
    if (problem !== undefined) throw new Error(`${subject.label}, bit ${bit}: ${problem}`)
  }
  // What may change is what nothing vouches for: the name of the key, in the recipient's own header.
  expect(opened).toBeLessThan(octets.length)
})
