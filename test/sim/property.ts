/**
 * The shape of every simulation here: a property is held over many seeds, injects faults that it counts, and catches a
 * bug that is planted on request. The row that a property leaves is printed in one table by scripts/simulation-table.mjs.
 */
import { expect, it } from 'vitest'

export type Outcome = {
  readonly violations: readonly string[]
  /** What was injected, by kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly messages: number
}

/** Seeds of each property in `npm test` and in `pnpm soak`: by what one costs, 1,000 and 20,000 in all. */
export const shares = {
  delivery: { test: 80, soak: 3_000 },
  // One seed of it is some 350 runs.
  'crash points': { test: 1, soak: 12 },
  // One seed of it is some 600 runs.
  'write skipping': { test: 1, soak: 12 },
  'lying relays': { test: 40, soak: 1_500 },
  'lying clients': { test: 60, soak: 2_000 },
  partitions: { test: 120, soak: 3_000 },
  'bad disks': { test: 120, soak: 3_000 },
  'wrong clocks': { test: 190, soak: 3_000 },
  secrecy: { test: 129, soak: 1_988 },
  limits: { test: 259, soak: 2_488 },
} as const

export type Property = {
  readonly name: keyof typeof shares
  simulate(seed: number, options: { readonly planted: boolean }): Promise<Outcome>
  /** The bug that `planted` plants, as the end of "catches …". */
  readonly planted: string
}

/** One line of the table. */
export type Row = {
  readonly property: string
  readonly seeds: number
  readonly faults: Readonly<Record<string, number>>
  readonly messages: number
  readonly violations: number
}

declare module 'vitest' {
  interface TaskMeta {
    simulation?: Row
  }
}

const isSoak = process.env['PARLEY_SOAK'] === '1'
const only = process.env['SIM_SEED']

/** Seeds that are tried until the planted bug shows. */
const plantedSeedsMax = 40

/** Holds a property over its seeds, and shows that its check can fail. */
export function holds(property: Property): void {
  const { name, simulate } = property
  const { test, soak } = shares[name]
  const count = Number(process.env['SIM_SEEDS'] ?? (isSoak ? soak : test))
  const seeds = only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)]

  it(`${name}, over ${seeds.length} seeds`, { timeout: isSoak ? 7_200_000 : 600_000 }, async ({ task }) => {
    const violations: string[] = []
    const faults: Record<string, number> = {}
    let messages = 0
    for (const seed of seeds) {
      const outcome = await simulate(seed, { planted: false })
      messages += outcome.messages
      violations.push(...outcome.violations.map((what) => `seed ${seed}: ${what}`))
      for (const [kind, times] of Object.entries(outcome.faults)) faults[kind] = (faults[kind] ?? 0) + times
      if (only !== undefined) console.log(outcome)
    }
    task.meta.simulation = { property: name, seeds: seeds.length, faults, messages, violations: violations.length }
    expect(violations.slice(0, 20)).toEqual([])
    // A kind of fault that never happened proves nothing.
    if (only === undefined) expect(Object.keys(faults).filter((kind) => faults[kind] === 0)).toEqual([])
  })

  it(`catches ${property.planted}`, { timeout: 300_000 }, async () => {
    let caught: readonly string[] = []
    for (let seed = 1; seed <= plantedSeedsMax && caught.length === 0; seed++)
      caught = (await simulate(seed, { planted: true })).violations
    expect(caught).not.toEqual([])
  })
}
