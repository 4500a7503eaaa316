/**
 * The state of the logs in memory: one record per reader, read from the store when first needed.
 * @module
 */
import type { Store } from '@parley/core'
import { MailboxError } from './errors.ts'
import type { Owner, Quota } from './quota.ts'
import type { RecentEnd } from './recent.ts'
import { decodeLog, type LogRecord, logKey, logPrefix } from './record.ts'
import type { AckJob } from './turn.ts'
import type { Place } from './waiting.ts'

/** One reader's log. */
export type Log = {
  readonly reader: string
  readonly quota: Quota
  /** Whose log it is, with all the others of the same owner. */
  owner: Owner | undefined
  /** Positions up to here are reserved in the store, or will be when the batch under way is written. */
  reserved: number
  /** Positions up to here are reserved for certain. */
  safe: number
  /** The highest position handed out. */
  issued: number
  /** The highest position whose stanza is synced; readers see nothing above. */
  durable: number
  /** Positions up to here are gone. */
  acked: number
  /** The highest position that stands for a stanza, stored or on its way to the reader, as far as memory knows. */
  last: number
  /** The reader has said that it has everything up to here. */
  handled: number
  /** Stanzas in the batch under way. */
  writing: number
  /** Stanzas that have a position and are not in the store, in order. */
  readonly waiting: Place[]
  waitingBytes: number
  /** The last mark of expiry that was written for it. */
  marked: { readonly step: number; readonly round: number } | undefined
  /** More positions were asked for. */
  isReserving: boolean
  /** The deletion that waits for its turn. */
  deletion: AckJob | undefined
  /** How long the reader takes to acknowledge, in milliseconds, once that is known. */
  paceMs: number | undefined
  /** A position that was given to the reader, and when, to learn its pace. */
  probe: { readonly n: number; readonly at: number } | undefined
  count: number
  bytes: number
  readonly end: RecentEnd
}

export interface Logs {
  /** The log of `reader`, if it is in memory. */
  get(reader: string): Log | undefined
  /** The logs of `readers`, loaded together where they are not in memory. */
  load(readers: Iterable<string>): Promise<ReadonlyMap<string, Log>>
  /** Sets sums and marks back to what the store holds, after a batch that failed. Positions stay used. */
  reload(logs: Iterable<Log>): Promise<void>
  /** Forgets logs that need nothing from memory, the longest unused first. */
  trim(): void
}

export function createLogs(options: { readonly store: Store; readonly logsMax: number; quotaOf(reader: string): Quota }): Logs {
  const { store, logsMax, quotaOf } = options
  const known = new Map<string, Log>()
  const owners = new Map<string, Owner>()

  async function stored(reader: readonly string[]): Promise<(LogRecord | undefined)[]> {
    const values = await store.getMany(reader.map(logKey))
    return values.map((value) => {
      if (value === undefined) return undefined
      const record = decodeLog(value)
      if (record === undefined)
        throw new MailboxError('ERR_MAILBOX_STORE_CORRUPT', 'a log record of the mailbox store is damaged')
      return record
    })
  }

  /** The records of all readers that have an owner in common with these, where the owner is not in memory. */
  async function othersOf(readers: readonly string[]): Promise<ReadonlyMap<string, LogRecord>> {
    const names = new Set(readers.map((reader) => quotaOf(reader).owner?.name).filter((name) => name !== undefined))
    const found = new Map<string, LogRecord>()
    for (const name of names) {
      if (owners.has(name)) continue
      const prefix = logKey(`${name}/`)
      for await (const [key, value] of store.iterate({ gt: prefix, lt: `${prefix}~` })) {
        const record = decodeLog(value)
        if (record !== undefined) found.set(key.slice(logPrefix.length), record)
      }
    }
    return found
  }

  // Another call may have loaded the same log in the meantime; there is only one of each.
  function enter(reader: string, record: LogRecord | undefined): Log {
    const before = known.get(reader)
    if (before !== undefined) return before
    const log = makeLog(reader, { record, quota: quotaOf(reader) })
    known.set(reader, log)
    const name = log.quota.owner?.name
    if (name === undefined) return log
    log.owner = owners.get(name) ?? { name, logs: new Set() }
    log.owner.logs.add(log)
    owners.set(name, log.owner)
    return log
  }

  /** Forgets a log and with it its owner's others, if none of them is in use: an owner is in memory whole or not at all. */
  function forget(log: Log): void {
    const all = log.owner === undefined ? [log] : [...log.owner.logs]
    if (!all.every(({ end, waiting, writing }) => end.items.length === 0 && waiting.length === 0 && writing === 0)) return
    for (const { reader } of all) known.delete(reader)
    if (log.owner !== undefined) owners.delete(log.owner.name)
  }

  return {
    get: (reader) => known.get(reader),
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
        const others = await othersOf(missing)
        for (const [i, reader] of missing.entries()) found.set(reader, enter(reader, records[i]))
        for (const [reader, record] of others) enter(reader, record)
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
        log.safe = record?.reserved ?? 0
        // Positions that the failed batch would have used stay used: the next record reserves them.
        log.reserved = Math.max(log.safe, log.issued)
        log.acked = record?.acked ?? 0
        log.count = record?.count ?? 0
        log.bytes = record?.bytes ?? 0
      })
    },
    trim() {
      if (known.size <= logsMax) return
      for (const log of known.values()) {
        if (known.size <= logsMax) break
        forget(log)
      }
    },
  }
}

const nothing: LogRecord = { reserved: 0, durable: 0, acked: 0, count: 0, bytes: 0 }

function makeLog(
  reader: string,
  { record = nothing, quota }: { readonly record: LogRecord | undefined; readonly quota: Quota },
): Log {
  const { reserved, durable, acked, count, bytes } = record
  return {
    reader,
    quota,
    owner: undefined,
    reserved,
    safe: reserved,
    // Which of the reserved positions were issued before a crash is not known: none of them is issued again.
    issued: reserved,
    durable,
    acked,
    last: count === 0 ? 0 : durable,
    handled: 0,
    writing: 0,
    count,
    bytes,
    waiting: [],
    waitingBytes: 0,
    marked: undefined,
    isReserving: false,
    deletion: undefined,
    paceMs: undefined,
    probe: undefined,
    end: { from: reserved, items: [] },
  }
}
