/**
 * Group commit: jobs that arrive while a turn is being written wait and go together in the next one (design §6).
 * So a busy mailbox syncs once per turn, and an idle one at once.
 * @module
 */

export interface Turns<Job> {
  push(job: Job): void
  /** Puts jobs in front of the next turn. */
  again(jobs: readonly Job[]): void
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>
}

/** Calls `run` with the jobs of one turn, one turn at a time. `run` settles its jobs itself and does not reject. */
export function createTurns<Job>(run: (jobs: readonly Job[]) => Promise<void>): Turns<Job> {
  let waiting: Job[] = []
  let running: Promise<void> | undefined

  async function loop(): Promise<void> {
    // What is pushed in the same stretch of code goes in the same turn.
    await Promise.resolve()
    while (waiting.length > 0) {
      const jobs = waiting
      waiting = []
      await run(jobs)
    }
    running = undefined
  }

  return {
    push(job) {
      waiting.push(job)
      running ??= loop()
    },
    again(jobs) {
      waiting.unshift(...jobs)
    },
    async idle() {
      while (running !== undefined) await running
    },
  }
}
