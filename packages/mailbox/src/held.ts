/**
 * Appends that wait for acknowledgements, in the order of their coming: a list whose links are cut when one leaves. A Set makes itself a
 * new table every few changes, and a table that has reached V8's old generation keeps the next one, with all that was in it, from going
 * with the young one.
 * @module
 */
import type { Append } from './waiting.ts'

export interface Held {
  /** The one that came first; the next is its `after`. */
  readonly first: Append | undefined
  add(append: Append): void
  delete(append: Append): void
}

export function createHeld(): Held {
  let first: Append | undefined
  let last: Append | undefined
  return {
    get first() {
      return first
    },
    add(append) {
      append.before = last
      if (last === undefined) first = append
      else last.after = append
      last = append
    },
    delete(append) {
      const { before, after } = append
      if (before === undefined) first = after
      else before.after = after
      if (after === undefined) last = before
      else after.before = before
      append.before = undefined
      append.after = undefined
    },
  }
}
