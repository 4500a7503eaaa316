/**
 * When a window last moved. A peer may answer pings and yet never acknowledge, because a frame or an acknowledgement was lost
 * with nothing behind it that would show the gap; such a stream is given up, and resumed on the next connection.
 * @module
 */

/** The monotonic time since which the same stanzas have been waiting. */
export type Progress = { at: number }

/** Something was acknowledged. */
export function moved(progress: Progress, now: number): void {
  progress.at = now
}

/** Since when the same stanzas have been waiting; now, when none are. */
export function waitingSince(progress: Progress, unacknowledged: number, now: number): number {
  if (unacknowledged === 0) progress.at = now
  return progress.at
}
