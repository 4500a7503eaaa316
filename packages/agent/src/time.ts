/**
 * The times of an agent (docs/decisions/0015). The wall clock dates what is signed, and may be wrong, set forward and set back. So
 * what is waited for here has a time of its own that never runs back, and what is erased for good goes by a time that has surely come.
 * @module
 */
import type { Clock } from '@parley/core'
import type { AgeRow } from './rows.ts'
import type { Tx } from './state.ts'

/** All in milliseconds since 1970. */
export type Moment = {
  /** What the wall clock says: for what leaves this device. */
  readonly now: number
  /** The wall clock, or where it would be had nobody set it back: for deadlines that are stored here. */
  readonly steady: number
  /** Not later than the true time, unless both the wall clock and the relay say so: for erasing. */
  readonly sure: number
}

export interface Time {
  read(): Moment
  /** The relay's time came with a login: what both clocks agree on is sure. */
  confirm(relayTime: number): void
  /** Notes the times in this step, when the next process would be misled by what is noted of them. */
  mark(tx: Tx): void
}

/** What is noted may be behind by so much. */
const markMs = 60_000
/** A wall clock that is set by less is not worth a note. */
const jumpMs = 1000

/** Goes on from what the process before noted. */
export function createTime(clock: Clock, noted: AgeRow | undefined): Time {
  let at = clock.monotonic()
  let age = noted?.ms ?? 0
  let steady = noted?.steady ?? Number.NEGATIVE_INFINITY
  let sure = noted?.sure ?? 0

  const read = (): Moment => {
    const monotonic = clock.monotonic()
    const passed = Math.max(0, monotonic - at)
    at = monotonic
    age += passed
    sure += passed
    const now = clock.now()
    steady = Math.max(steady + passed, now)
    return { now, steady: Math.floor(steady), sure: Math.floor(sure) }
  }

  return {
    read,
    confirm(relayTime) {
      sure = Math.max(read().sure, Math.min(clock.now(), relayTime))
    },
    mark(tx) {
      const row = tx.get('age', 'agent')
      const ahead = tx.steady - tx.now
      const isNoted =
        row?.steady !== undefined &&
        tx.steady - row.steady < markMs &&
        tx.sure - (row.sure ?? 0) < markMs &&
        Math.abs(ahead - (row.ahead ?? 0)) < jumpMs
      if (!isNoted) tx.put('age', 'agent', { ms: Math.floor(age), steady: tx.steady, ahead, sure: tx.sure })
    },
  }
}
