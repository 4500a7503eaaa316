/**
 * What leaves the store in a turn: all of a log up to a position, or single stanzas out of their records. A record goes when its last
 * stanza does; sums and counts by reference go down with every stanza, once.
 * @module
 */
import type { Store } from '@parley/core'
import type { Draft } from './draft.ts'
import { type EntryRecord, joinEntries } from './entry.ts'
import type { Log } from './logs.ts'
import type { Recent } from './recent.ts'
import { bodyKey, decodeRefs, encodeRefs, entryKey, positionIn, refsKey } from './record.ts'
import { entriesIn, recordsBetween } from './stored.ts'

/** What goes away: enough to delete it and to keep the sums. */
type Gone = {
  readonly n: number
  /** The last position of its record. */
  readonly last: number
  readonly size: number
  readonly bodyId: string | undefined
}

/** Positions by the last one of their record. */
export type Positions = ReadonlyMap<number, ReadonlySet<number>>

export interface Deletion {
  /** Everything up to `upTo`. */
  all(draft: Draft, log: Log, upTo: number): Promise<void>
  /** Single stanzas; answers how many there were. No other deletion of this log is in the same turn. */
  some(draft: Draft, log: Log, positions: Positions): Promise<number>
  /** The bodies that no stanza has any more; after everything else. */
  bodies(draft: Draft): Promise<void>
}

export function createDeletion({ store, recent }: { readonly store: Store; readonly recent: Recent }): Deletion {
  async function all(draft: Draft, log: Log, upTo: number): Promise<void> {
    if (upTo <= log.acked) return
    const { from, items } = log.end
    if (log.count > items.length) release(draft, log, await storedBetween(log, Math.min(upTo, from)))
    release(draft, log, recent.take(log.end, upTo))
    log.acked = upTo
    draft.touched.add(log)
  }

  // What is acknowledged and still in its record is out of the sums already.
  async function some(draft: Draft, log: Log, positions: Positions): Promise<number> {
    const lasts = [...positions.keys()]
    const values = await store.getMany(lasts.map((last) => entryKey(log.reader, last)))
    let count = 0
    for (const [i, last] of lasts.entries()) {
      const value = values[i]
      if (value === undefined) continue
      const there = entriesIn(value, last).filter(({ n }) => n > log.acked)
      const isGone = ({ n }: EntryRecord): boolean => positions.get(last)?.has(n) === true
      const gone = there.filter(isGone)
      if (gone.length === 0) continue
      const left = there.filter((item) => !isGone(item))
      draft.ops.push({ type: 'del', key: entryKey(log.reader, last) })
      const newLast = left.at(-1)?.n ?? 0
      if (left.length > 0) draft.ops.push({ type: 'put', key: entryKey(log.reader, newLast), value: joinEntries(left) })
      for (const item of gone) subtract(draft, log, item)
      recent.forget(log.end, new Set(gone.map(({ n }) => n)))
      for (const item of log.end.items) if (item.last === last) item.last = newLast
      count += gone.length
    }
    return count
  }

  function release(draft: Draft, log: Log, gone: readonly Gone[]): void {
    for (const item of gone) {
      subtract(draft, log, item)
      // Those before it in its record went before, or go with it.
      if (item.n === item.last) draft.ops.push({ type: 'del', key: entryKey(log.reader, item.n) })
    }
  }

  function subtract(draft: Draft, log: Log, { size, bodyId }: Pick<Gone, 'size' | 'bodyId'>): void {
    if (bodyId !== undefined) draft.released.set(bodyId, (draft.released.get(bodyId) ?? 0) + 1)
    log.count -= 1
    log.bytes -= size
    draft.touched.add(log)
  }

  async function storedBetween(log: Log, upTo: number): Promise<Gone[]> {
    const gone: Gone[] = []
    for await (const [key, value] of recordsBetween(store, log.reader, { after: log.acked, upTo })) {
      const last = positionIn(key)
      for (const { n, size, bodyId } of entriesIn(value, last))
        if (n > log.acked && n <= upTo) gone.push({ n, last, size, bodyId })
    }
    return gone
  }

  async function bodies(draft: Draft): Promise<void> {
    const ids = [...draft.released.keys()]
    if (ids.length === 0) return
    const values = await store.getMany(ids.map(refsKey))
    ids.forEach((id, i) => {
      const left = (decodeRefs(values[i]) ?? 0) - (draft.released.get(id) ?? 0)
      if (left > 0) draft.ops.push({ type: 'put', key: refsKey(id), value: encodeRefs(left) })
      else draft.ops.push({ type: 'del', key: refsKey(id) }, { type: 'del', key: bodyKey(id) })
    })
  }

  return { all, some, bodies }
}
