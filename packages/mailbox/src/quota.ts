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

/** Whose limit was met, and of what. */
export type Full = { readonly of: 'reader' | 'owner'; readonly by: 'count' | 'bytes' }

/** The limit that one more stanza of so many octets would go over: the log's, or its owner's. */
export function fullBy(log: Log, size: number): Full | undefined {
  const { quota, owner } = log
  if (log.count + log.waiting.length + 1 > quota.countMax) return { of: 'reader', by: 'count' }
  if (log.bytes + log.waitingBytes + size > quota.bytesMax) return { of: 'reader', by: 'bytes' }
  if (quota.owner === undefined || owner === undefined) return undefined
  let count = 1
  let bytes = size
  for (const each of owner.logs) {
    count += each.count + each.waiting.length
    bytes += each.bytes + each.waitingBytes
  }
  if (count > quota.owner.countMax) return { of: 'owner', by: 'count' }
  return bytes > quota.owner.bytesMax ? { of: 'owner', by: 'bytes' } : undefined
}
