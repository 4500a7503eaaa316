/**
 * A batch of one turn in the making, and what is to be done in memory when it was written.
 * @module
 */
import type { StoreOp } from '@parley/core'
import type { Log } from './logs.ts'
import type { RecentItem } from './recent.ts'
import type { Place } from './waiting.ts'

/** What goes into one record. */
export type Group = { readonly log: Log; readonly items: RecentItem[]; bytes: number }

/** A batch in the making. */
export type Draft = {
  readonly now: number
  readonly ops: StoreOp[]
  readonly touched: Set<Log>
  readonly released: Map<string, number>
  /** Records that take more, and all of them in order. */
  readonly open: Map<Log, Group>
  readonly groups: Group[]
  /** What goes into the store. */
  readonly written: Place[]
  /** What need not. */
  readonly skipped: Place[]
  /** Answers deletions. */
  readonly done: (() => void)[]
  isDurable: boolean
}

/** An empty one. */
export function makeDraft(now: number): Draft {
  return {
    now,
    ops: [],
    touched: new Set(),
    released: new Map(),
    open: new Map(),
    groups: [],
    written: [],
    skipped: [],
    done: [],
    isDurable: false,
  }
}
