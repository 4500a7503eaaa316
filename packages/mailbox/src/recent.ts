/**
 * The newest stanzas of all logs in memory, bounded in octets: what is appended for a reader who is online is delivered and
 * acknowledged without a read from the store. An economy; everything in it is also stored.
 * @module
 */

export type RecentItem = {
  readonly n: number
  readonly header: Uint8Array
  readonly entry: Uint8Array
  readonly body: Uint8Array
  readonly expiry: number
  readonly size: number
  readonly bodyId: string | undefined
  /** The last position of the record that it is stored in. */
  last: number
  /** It was taken out. */
  isGone: boolean
}

/** The end of one log: every stanza behind position `from` is in `items`, in order. */
export type RecentEnd = { from: number; items: RecentItem[] }

export interface Recent {
  /** Keeps a stanza behind `from`, which is the newest of its log. */
  push(end: RecentEnd, item: RecentItem): void
  /** Takes out the stanzas up to and including `upTo`. */
  take(end: RecentEnd, upTo: number): readonly RecentItem[]
  /** Keeps nothing of this log: up to `from` the store alone knows what there is. */
  reset(end: RecentEnd, from: number): void
  /** Takes out the stanzas at these positions. */
  forget(end: RecentEnd, positions: ReadonlySet<number>): void
}

export function createRecent(options: { readonly bytesMax: number }): Recent {
  // In order of arrival, so also in order of position within each log: the oldest of all is the first of its log. What is taken out
  // stays until it is half of all.
  let order: { readonly item: RecentItem; readonly end: RecentEnd }[] = []
  let first = 0
  let gone = 0
  let bytes = 0

  function remove(item: RecentItem): void {
    if (item.isGone) return
    item.isGone = true
    bytes -= item.size
    gone++
  }

  function tidy(): void {
    if (gone < 64 || gone < order.length / 2) return
    order = order.filter(({ item }) => !item.isGone)
    first = 0
    gone = 0
  }

  return {
    push(end, item) {
      // It had its position before the log was forgotten here: it is found in the store.
      if (item.n <= end.from) return
      end.items.push(item)
      order.push({ item, end })
      bytes += item.size
      while (bytes > options.bytesMax) {
        const oldest = order[first++]
        if (oldest === undefined) break
        if (oldest.item.isGone) continue
        remove(oldest.item)
        oldest.end.items.shift()
        oldest.end.from = oldest.item.n
      }
      tidy()
    },
    take(end, upTo) {
      let count = 0
      while (count < end.items.length && (end.items[count]?.n ?? 0) <= upTo) count++
      const taken = end.items.splice(0, count)
      for (const item of taken) remove(item)
      if (end.from < upTo) end.from = upTo
      return taken
    },
    reset(end, from) {
      for (const item of end.items) remove(item)
      end.items = []
      end.from = from
    },
    forget(end, positions) {
      for (const item of end.items) if (positions.has(item.n)) remove(item)
      end.items = end.items.filter((item) => !positions.has(item.n))
    },
  }
}
