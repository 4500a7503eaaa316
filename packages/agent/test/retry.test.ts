import { expect, it } from 'vitest'
import { createBackoff } from '../src/retry.ts'

const backoff = (octet: number): ReturnType<typeof createBackoff> =>
  createBackoff({ random: { bytes: () => Uint8Array.of(octet) }, msMin: 100, msMax: 1000 })

it('doubles its waits up to the longest, each between half of it and all', () => {
  const [short, long] = [backoff(0), backoff(255)]
  expect(Array.from({ length: 6 }, () => short.next())).toEqual([50, 100, 200, 400, 500, 500])
  expect(Array.from({ length: 6 }, () => long.next())).toEqual([100, 200, 399, 798, 998, 998])
})

it('begins anew when it is reset', () => {
  const waits = backoff(0)
  for (let i = 0; i < 5; i++) waits.next()
  waits.reset()
  expect(waits.next()).toBe(50)
})
