import { type Backend, backend as node } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, it } from 'vitest'
import { makeCorpus, type Subject } from './corpus.ts'
import { open } from './doors.ts'
import { fuzz, slowestMs, type Tally, unchanged } from './fuzz.ts'
import { makeRing, type Ring } from './keys.ts'
import { planted } from './planted.ts'

// FUZZ_SEED chooses other inputs, FUZZ_INPUTS how many, FUZZ_INPUT one of them alone.
const soak = process.env['PARLEY_SOAK'] === '1'
const seed = process.env['FUZZ_SEED'] ?? '1'
const only = process.env['FUZZ_INPUT']
const counts: readonly (readonly [Backend, number])[] = [
  [node, Number(process.env['FUZZ_INPUTS'] ?? (soak ? 1_000_000 : 20_000))],
  [noble, Number(process.env['FUZZ_INPUTS'] ?? (soak ? 50_000 : 1_000))],
]

// Signatures of noble are deterministic: the same seed makes the same objects.
const signing = makeRing(seed, noble)

function corpusFor(ring: Ring): readonly Subject[] {
  return makeCorpus(seed, { ring, signing })
}

function listed(counted: Readonly<Record<string, number>>): string {
  return Object.entries(counted)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function summary(name: string, { inputs, surprises, slowest, ms, changes, outcomes }: Tally): string {
  const rate = Math.round((1000 * inputs) / ms)
  const counted = soak ? `; changes: ${listed(changes)}; outcomes: ${listed(outcomes)}` : ''
  return `fuzz ${name}: seed ${seed}, ${inputs} inputs, ${surprises.length} surprises, ${rate}/s, slowest ${slowest.ms.toFixed(1)} ms (${slowest.label})${counted}`
}

describe.each(counts.map(([backend, inputs]) => [backend.name, backend, inputs] as const))(
  'with the %s backend',
  (name, backend, inputs) => {
    const ring = makeRing(seed, backend)
    const corpus = corpusFor(ring)

    it('every object opens as it is', () => {
      // The larger curves are slow in JavaScript; a part of them will do.
      const part = corpus.filter((_, i) => name === 'node' || soak || i % 5 === 0)
      expect(unchanged({ corpus: part, ring, open })).toEqual([])
    })

    it(`no change of ${inputs} yields another payload, signer or header`, { timeout: 7_200_000 }, async () => {
      const range = only === undefined ? { inputs } : { inputs: 1, from: Number(only) }
      const tally = await fuzz({ seed, corpus, ring, open, ...range })
      console.log(summary(name, tally))
      for (const { input, label, change, problem, parts } of tally.surprises)
        console.log(`FUZZ_SEED=${seed} FUZZ_INPUT=${input} ${label}, ${change}: ${problem} ${parts.join(' ')}`)
      expect(tally.surprises.map(({ input, problem }) => `${input}: ${problem}`)).toEqual([])
      expect(tally.slowest.ms, tally.slowest.label).toBeLessThan(slowestMs)
    })
  },
)

describe('a reader', () => {
  it.each(planted)('%s is caught', { timeout: 60_000 }, async (_, { backend, open }) => {
    const ring = makeRing(seed, backend)
    const corpus = corpusFor(ring).filter(({ cost }) => cost === 'cheap')
    const { surprises } = await fuzz({ seed, inputs: 4000, corpus, ring, open })
    expect(surprises.length).toBeGreaterThan(0)
  })
})

it('the same seed makes the same inputs', async () => {
  const ring = makeRing(seed, node)
  const corpus = corpusFor(ring).filter(({ label }) => !label.includes('rsa') && !/^[RP]S/.test(label))
  const run = async (): Promise<Tally> => await fuzz({ seed, inputs: 1500, corpus, ring, open })
  const [first, second] = [await run(), await run()]
  expect([second.changes, second.outcomes]).toEqual([first.changes, first.outcomes])
})
