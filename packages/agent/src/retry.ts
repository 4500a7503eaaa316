/**
 * When to try again: doubling waits with a random part, so that many agents do not come back at the same moment. And waiting
 * for what may take long, until the caller has had enough.
 * @module
 */
import type { Clock, Random } from '@parley/core'

export interface Backoff {
  /** Milliseconds to wait before the next try. */
  next(): number
  reset(): void
}

export function createBackoff(options: { readonly random: Random; readonly msMin: number; readonly msMax: number }): Backoff {
  let wait = options.msMin
  return {
    next() {
      const [octet = 0] = options.random.bytes(1)
      // Between half and all of it.
      const ms = wait * (0.5 + octet / 512)
      wait = Math.min(wait * 2, options.msMax)
      return Math.round(ms)
    },
    reset() {
      wait = options.msMin
    },
  }
}

/** Settles as `work` does, or rejects with the signal's reason when that comes first; the work itself goes on. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Resolves when `work` ends, or after so many milliseconds; the work itself goes on. */
export function within(work: Promise<void>, { clock, ms }: { readonly clock: Clock; readonly ms: number }): Promise<void> {
  return new Promise((done) => {
    const cancel = clock.at(clock.monotonic() + ms, done)
    void work.then(() => {
      cancel()
      done()
    })
  })
}
