/**
 * What a reader may hold, and what several readers of one owner may hold together: the devices of an account (design §6).
 * @module
 */
import type { Log } from './logs.ts'

/** How many stanzas, and how many octets of headers, entries and bodies; a body that several readers share counts for each. */
export type Amount = { readonly countMax: number; readonly bytesMax: number }

/** What one reader may hold; what does not fit is refused with `ERR_MAILBOX_FULL`. */
export type Quota = Amount & {
  /** The readers whose names begin so and a slash hold no more than this together. */
  readonly owner?: Amount & { readonly name: string }
}

/** The logs of one owner, all of them in memory. */
export type Owner = { readonly name: string; readonly logs: Set<Log> }

/** Whether one more stanza of so many octets is too much for the log, or for its owner. */
export function isTooMuch(log: Log, size: number): boolean {
  const { quota, owner } = log
  if (log.count + log.waiting.length + 1 > quota.countMax || log.bytes + log.waitingBytes + size > quota.bytesMax) return true
  if (quota.owner === undefined || owner === undefined) return false
  let count = 1
  let bytes = size
  for (const each of owner.logs) {
    count += each.count + each.waiting.length
    bytes += each.bytes + each.waitingBytes
  }
  return count > quota.owner.countMax || bytes > quota.owner.bytesMax
}
