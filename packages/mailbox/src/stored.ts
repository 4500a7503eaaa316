/**
 * Reads the stanzas of a log out of the store, record by record: whoever wants what stands behind a position gets the rest of the record
 * that it stands in.
 * @module
 */
import type { Store } from '@parley/core'
import { decodeEntries, type EntryRecord } from './entry.ts'
import { MailboxError } from './errors.ts'
import type { Log } from './logs.ts'
import type { MailboxItem } from './mailbox.ts'
import { bodyKey, entryKey, positionIn } from './record.ts'

type Range = { readonly after: number; readonly upTo: number }

/** What stands behind `after`, up to `upTo`, by the records it is in; `last` is the last position of a record. */
export async function* readStored(
  store: Store,
  log: Log,
  range: Range,
): AsyncGenerator<{ readonly last: number; readonly items: readonly MailboxItem[] }> {
  for await (const [key, value] of recordsBetween(store, log.reader, range)) {
    const last = positionIn(key)
    const items: MailboxItem[] = []
    for (const record of entriesIn(value, last)) {
      if (record.n <= range.after || record.n > range.upTo) continue
      const octets = record.bodyId === undefined ? record.inline : await store.get(bodyKey(record.bodyId))
      if (octets !== undefined) items.push(itemOf(record, octets))
      // A shared body may go while its entry is being read: then the entry went too, or was acknowledged.
      else if (record.n > log.acked && (await isThere(store, key, record))) throw corrupt()
    }
    yield { last, items }
  }
}

/** The records that hold what stands behind `after`, up to `upTo`: the last of them may reach further. All of one moment. */
export async function* recordsBetween(
  store: Store,
  reader: string,
  { after, upTo }: Range,
): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
  if (after >= upTo) return
  const end = entryKey(reader, upTo)
  for await (const record of store.iterate({ gt: entryKey(reader, after), lte: entryKey(reader, Number.MAX_SAFE_INTEGER) })) {
    yield record
    if (record[0] >= end) return
  }
}

/** The stanzas in a record; throws when it is damaged. */
export function entriesIn(value: Uint8Array, last: number): readonly EntryRecord[] {
  const items = decodeEntries(value, last)
  if (items === undefined) throw corrupt()
  return items
}

async function isThere(store: Store, key: string, { n }: EntryRecord): Promise<boolean> {
  const value = await store.get(key)
  return value !== undefined && entriesIn(value, positionIn(key)).some((each) => each.n === n)
}

function itemOf({ n, headerLength, entry, expiry }: EntryRecord, octets: Uint8Array): MailboxItem {
  if (octets.length < headerLength) throw corrupt()
  return { n, header: octets.subarray(0, headerLength), entry, body: octets.subarray(headerLength), expiry }
}

function corrupt(): MailboxError {
  return new MailboxError('ERR_MAILBOX_STORE_CORRUPT', 'an entry of the mailbox store is damaged')
}
