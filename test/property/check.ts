/**
 * How properties are run: from a seed that can be given again (PROPERTY_SEED), so many times (PROPERTY_RUNS multiplies),
 * and a failure names both, shrunk.
 * @module
 */
import fc from 'fast-check'

const seed = Number(process.env['PROPERTY_SEED'] ?? 1)
const times = Number(process.env['PROPERTY_RUNS'] ?? 1)
let ran = 0

/** Checks `property` `runs` times; a falsified one throws with its seed and the smallest counterexample found. */
export function check<T>(property: fc.IPropertyWithHooks<T>, runs: number): void {
  const numRuns = Math.max(1, Math.round(runs * times))
  fc.assert(property, { seed, numRuns })
  ran += numRuns
}

/** One line for the end of a file. */
export function summary(name: string): string {
  return `properties of ${name}: seed ${seed}, ${ran} runs`
}
