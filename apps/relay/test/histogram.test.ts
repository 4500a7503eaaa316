import { Histogram, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createHistogram } from '../src/histogram.ts'

it('shows what the histogram of prom-client shows', async () => {
  const described = { name: 'some_seconds', help: 'What it is.', buckets: [0.001, 0.01, 1] }
  const [registry, theirs] = [new Registry(), new Registry()]
  const observe = createHistogram({ ...described, registry })
  const histogram = new Histogram({ ...described, registers: [theirs] })
  expect(await registry.metrics()).toBe(await theirs.metrics())
  for (const value of [0, 0.001, 0.0011, 0.5, 1, 1.5, 20]) {
    observe(value)
    histogram.observe(value)
  }
  expect(await registry.metrics()).toBe(await theirs.metrics())
})
