import { expect, it } from 'vitest'
import { simulateDelivery } from './delivery.ts'
import { holds } from './property.ts'

holds({
  name: 'delivery',
  simulate: simulateDelivery,
  planted: 'disks that say "synced" too early',
})

it('does the same twice from the same seed, and something else from another', { timeout: 120_000 }, async () => {
  const run = (seed: number) => simulateDelivery(seed, { planted: false })
  const [first, again, other] = [await run(7), await run(7), await run(8)]
  expect(again.trace).toBe(first.trace)
  expect(other.trace).not.toBe(first.trace)
})
