/**
 * The state of the logs in memory: one record per reader, read from the store when first needed.
 * @module
 */
import type { Store } from '@parley/core'
import { MailboxError } from './errors.ts'
import type { RecentEnd } from './recent.ts'
import { decodeLog, logKey } from './record.ts'

/** One reader's log. */
export type Log = {
  readonly reader: string
  /** Positions up to here are reserved in the store. */
  reserved: number
  /** The highest position handed out. */
  issued: number
  /** The highest position whose stanza is synced; readers see nothing above. */
  durable: number
  /** Positions up to here are gone. */
  acked: number
  count: number
  bytes: number
  readonly end: RecentEnd
}

export interface Logs {
  /** The logs of `readers`, loaded together where they are not in memory. */
  load(readers: Iterable<string>): Promise<ReadonlyMap<string, Log>>
  /** Sets sums and marks back to what the store holds, after a batch that failed. Positions stay used. */
  reload(logs: Iterable<Log>): Promise<void>
  /** Forgets logs that need nothing from memory, the longest unused first. */
  trim(): void
}

export function createLogs(options: { readonly store: Store; readonly logsMax: number }): Logs {
  const { store, logsMax } = options
  const known = new Map<string, Log>()

  async function stored(reader: readonly string[]): Promise<(Omit<Log, 'end' | 'reader'> | undefined)[]> {
    const values = await store.getMany(reader.map(logKey))
    return values.map((value) => {
      if (value === undefined) return undefined
      const record = decodeLog(value)
      if (record === undefined)
        throw new MailboxError('ERR_MAILBOX_STORE_CORRUPT', 'a log record of the mailbox store is damaged')
      // Which of the reserved positions were issued before a crash is not known: none of them is issued again.
      return { ...record, issued: record.reserved }
    })
  }

  return {
    async load(readers) {
      const found = new Map<string, Log>()
      const missing: string[] = []
      for (const reader of new Set(readers)) {
        const log = known.get(reader)
        if (log === undefined) missing.push(reader)
        else found.set(reader, log)
      }
      if (missing.length > 0) {
        const records = await stored(missing)
        missing.forEach((reader, i) => {
          const record = records[i] ?? { reserved: 0, issued: 0, durable: 0, acked: 0, count: 0, bytes: 0 }
          // Another call may have loaded the same log in the meantime; there is only one of each.
          const log = known.get(reader) ?? { reader, ...record, end: { from: record.issued, items: [] } }
          known.set(reader, log)
          found.set(reader, log)
        })
      }
      for (const [reader, log] of found) {
        known.delete(reader)
        known.set(reader, log)
      }
      return found
    },
    async reload(logs) {
      const all = [...logs]
      const records = await stored(all.map((log) => log.reader))
      all.forEach((log, i) => {
        const record = records[i]
        log.reserved = record?.reserved ?? 0
        log.acked = record?.acked ?? 0
        log.count = record?.count ?? 0
        log.bytes = record?.bytes ?? 0
      })
    },
    trim() {
      if (known.size <= logsMax) return
      for (const [reader, log] of known) {
        if (known.size <= logsMax) break
        if (log.end.items.length === 0) known.delete(reader)
      }
    },
  }
}
