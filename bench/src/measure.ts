/**
 * Medians of interleaved rounds: in each round every contestant runs a batch in turn, so that what else the machine does
 * meets all of them alike. A batch lasts about `batchMs`.
 * @module
 */
import { performance } from 'node:perf_hooks'

export type Task = { readonly name: string; readonly run: () => unknown }

/** Milliseconds of one run: the median over the rounds, by the name of the task. */
export async function medians(
  tasks: readonly Task[],
  { rounds, batchMs, warmUpMs }: { readonly rounds: number; readonly batchMs: number; readonly warmUpMs: number },
): Promise<ReadonlyMap<string, number>> {
  const planned: { readonly task: Task; readonly times: number; readonly taken: number[] }[] = []
  for (const task of tasks) {
    await batch(task, 3)
    // The compiler takes thousands of calls to be done with code that a program runs all day.
    const warm = performance.now() + warmUpMs
    while (performance.now() < warm) await batch(task, 3)
    const once = await batch(task, 3)
    const times = Math.max(1, Math.min(2000, Math.round(batchMs / once)))
    planned.push({ task, times, taken: [] })
  }
  for (let round = 0; round < rounds; round++) {
    // Each begins a round in its turn: nobody always runs behind the same other, whose garbage it would collect.
    const turn = round % Math.max(1, planned.length)
    for (const { task, times, taken } of [...planned.slice(turn), ...planned.slice(0, turn)]) {
      taken.push(await batch(task, times))
    }
  }
  return new Map(planned.map(({ task, taken }) => [task.name, median(taken)]))
}

async function batch({ run }: Task, times: number): Promise<number> {
  const start = performance.now()
  for (let i = 0; i < times; i++) {
    const result = run()
    // Synchronous work does not pay for a turn of the loop.
    if (result instanceof Promise) await result
  }
  return (performance.now() - start) / times
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return ((sorted[middle] ?? 0) + (sorted[sorted.length - 1 - middle] ?? 0)) / 2
}
