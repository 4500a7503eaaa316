/**
 * When a window last moved. A peer may answer pings and yet never acknowledge, because a frame or an acknowledgement was lost
 * with nothing behind it that would show the gap; such a stream is given up, and resumed on the next connection.
 * @module
 */
import type { Clock } from '@parley/core'

export interface Progress {
  /** Something was acknowledged. */
  moved(): void
  /** Since when the same stanzas have been waiting (monotonic time); now, when none are. */
  since(unacknowledged: number): number
}

export function createProgress(clock: Clock): Progress {
  let at = clock.monotonic()
  return {
    moved() {
      at = clock.monotonic()
    },
    since(unacknowledged) {
      if (unacknowledged === 0) at = clock.monotonic()
      return at
    },
  }
}
