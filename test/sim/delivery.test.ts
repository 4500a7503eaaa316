import { expect, it } from 'vitest'
import { type Outcome, simulate } from './delivery.ts'

const soak = process.env['PARLEY_SOAK'] === '1'
const only = process.env['SIM_SEED']
const seeds =
  only !== undefined
    ? [Number(only)]
    : Array.from({ length: Number(process.env['SIM_SEEDS'] ?? (soak ? 4000 : 200)) }, (_, i) => i + 1)

it(`delivers every message once to every addressed device, over ${seeds.length} seeds`, {
  timeout: soak ? 7_200_000 : 600_000,
}, async () => {
  const total = { messages: 0, violations: [] as string[], faults: {} as Record<string, number> }
  for (const seed of seeds) {
    const outcome: Outcome = await simulate(seed)
    total.messages += outcome.messages
    total.violations.push(...outcome.violations)
    for (const [kind, count] of Object.entries(outcome.faults)) total.faults[kind] = (total.faults[kind] ?? 0) + count
    if (only !== undefined) console.log(outcome)
  }
  const faults = Object.entries(total.faults).map(([kind, count]) => `${kind} ${count}`)
  console.log(
    `delivery: ${seeds.length} seeds, ${total.messages} messages, ${total.violations.length} violations; faults: ${faults.join(', ')}`,
  )
  expect(total.violations).toEqual([])
  // A kind of fault that never happened proves nothing.
  if (only === undefined) expect(Object.entries(total.faults).filter(([, count]) => count === 0)).toEqual([])
})

it('catches a planted early acknowledgement', { timeout: 300_000 }, async () => {
  let caught = 0
  for (let seed = 1; seed <= 40 && caught === 0; seed++) {
    const { violations } = await simulate(seed, { planted: 'early-acknowledgement' })
    caught += violations.length
  }
  expect(caught).toBeGreaterThan(0)
})

it('does the same twice from the same seed, and something else from another', { timeout: 120_000 }, async () => {
  const [first, again, other] = [await simulate(7), await simulate(7), await simulate(8)]
  expect(again.trace).toBe(first.trace)
  expect(other.trace).not.toBe(first.trace)
})
