/**
 * Durable ordered logs, one per reader: a device or a remote domain (design §5 and §6).
 * A position (epoch, n) is reserved in the store before it is used and never issued twice; an acknowledgement deletes up to and
 * including its position, and only under the epoch that issued it.
 * @module
 */
import { base64url, type Clock, type Random, type Store, silent, type Telemetry } from '@parley/core'
import { MailboxError } from './errors.ts'
import { type MailboxLimits, mailboxLimits } from './limits.ts'
import { createLogs, type Log } from './logs.ts'
import type { Full, Quota } from './quota.ts'
import { createRecent } from './recent.ts'
import { decodeLog, decodeMeta, encodeMeta, expiryRange, logPrefix, metaKey, readerIn, schemaVersion } from './record.ts'
import { createSeen } from './seen.ts'
import { readStored } from './stored.ts'
import { createAckJob, createTurn, type Job } from './turn.ts'
import { createTurns, type Turns } from './turns.ts'
import { createWaiting, makeAppend } from './waiting.ts'

/** What a mailbox stands on. */
export type MailboxOptions = {
  readonly store: Store
  readonly random: Random
  readonly clock: Clock
  readonly limits?: Partial<MailboxLimits>
  readonly telemetry?: Telemetry
  /** What a reader may hold, where it is not `countMax` and `bytesMax` of the limits for everybody. Asked once for each log in memory. */
  quotaOf?(reader: string): Quota
  /** A stanza is refused because of this limit of this reader. */
  readonly onFull?: (reader: string, full: Full) => void
  /** Set at the first start on a restored store: positions of the old epoch mean nothing any more. */
  readonly restored?: boolean
  /**
   * Gives a stanza to a reader who is there, before it is stored; false when it is not there, has no room, or its connection did
   * not carry everything up to `after`. What the reader acknowledges soon is then not written (`skipHoldMs`).
   */
  readonly give?: (reader: string, item: MailboxItem, after: number) => boolean
  /** Whether a reader is there; what is stored for others is not kept in memory. Without it, all are. */
  readonly isThere?: (reader: string) => boolean
}

/** For whom a stanza is stored, and the octets only that reader gets. */
export type MailboxEntry = { readonly reader: string; readonly entry: Uint8Array }

/** What all readers of a stanza share. */
export type MailboxContent = {
  readonly header: Uint8Array
  readonly body: Uint8Array
  /** Wall clock milliseconds; from then on the stanza is neither read nor kept. */
  readonly expiry: number
  /** Both together suppress a repeated append while it is remembered. `origin` must be authenticated. */
  readonly origin?: string
  readonly id?: string
  /** It may be given to readers who are there before it is stored. */
  readonly isEarly?: boolean
}

/** Where a stanza stands in a reader's log; under the mailbox's epoch. */
export type MailboxPosition = { readonly reader: string; readonly n: number }

/** Hears how an append ended: one of the two, once, in the midst of the mailbox's work, so nothing may be thrown here. */
export type AppendListener = {
  /**
   * Every reader has the stanza in its log, durable, or has acknowledged it. The positions are good for the time of the call; there are
   * none when the same stanza had been taken before and was stored then.
   */
  stored(positions: readonly MailboxPosition[]): void
  /** It is in no log (`ERR_MAILBOX_FULL`, `ERR_MAILBOX_STORE_FAILED`, `ERR_MAILBOX_CLOSED`). */
  refused(error: unknown): void
}

/** A stanza as a reader gets it. */
export type MailboxItem = {
  readonly n: number
  readonly header: Uint8Array
  readonly entry: Uint8Array
  readonly body: Uint8Array
  readonly expiry: number
}

/** How much one reading may give. */
export type ReadLimits = { readonly countMax: number; readonly bytesMax: number }
/** `other-epoch` and `beyond` deleted nothing. */
export type AckOutcome = 'done' | 'other-epoch' | 'beyond'

/** The interface that the relay uses; other drivers stand behind the same one and run the compliance suite. */
export interface Mailbox {
  /** 64 random bits, new when the store is created or restored. */
  readonly epoch: string
  /** Stores a stanza and tells the listener. A few promises for each of thousands a second would cost more than routing it. */
  put(entries: readonly MailboxEntry[], content: MailboxContent, listener: AppendListener): void
  /** As `put`: resolves when it is stored, rejects when it is refused. */
  append(entries: readonly MailboxEntry[], content: MailboxContent): Promise<readonly MailboxPosition[]>
  /** Stanzas behind `after` in order: at least one if there is any, then as many as the limits allow. */
  read(reader: string, after: number, limits: ReadLimits): Promise<readonly MailboxItem[]>
  /** Deletes up to and including `upTo`. Under another epoch, or beyond what was issued, it deletes nothing and says so. */
  ack(reader: string, epoch: string, upTo: number): Promise<AckOutcome>
  /**
   * Deletes what has expired by `now`; each is shown to `onExpired` before. Answers how many. Where it fails for one reader, that one's
   * stay for the next time; it goes on with the others and rejects in the end.
   */
  expire(now: number, onExpired?: (reader: string, item: MailboxItem) => Promise<void> | void): Promise<number>
  /** Deletes a reader's log. Its positions stay used. */
  drop(reader: string): Promise<void>
  /** Sums of one reader, or of all. */
  stats(reader?: string): Promise<{ readonly count: number; readonly bytes: number }>
  /** Readers whose names begin so and who have something waiting. */
  readers(prefix: string): Promise<readonly string[]>
  /** The highest position issued and the highest acknowledged. */
  position(reader: string): Promise<{ readonly issued: number; readonly acked: number }>
  /** Writes what waits. The store stays open: it is the caller's. */
  close(): Promise<void>
}

/** Opens the mailboxes in `store`; refuses a store that a newer version has written (`ERR_MAILBOX_STORE_NEWER`). */
export async function createMailbox(options: MailboxOptions): Promise<Mailbox> {
  const { store, random, clock, telemetry = silent } = options
  const limits = { ...mailboxLimits, ...options.limits }
  const epoch = await openEpoch(options)
  const { countMax, bytesMax } = limits
  const logs = createLogs({ store, logsMax: limits.logsMax, quotaOf: options.quotaOf ?? (() => ({ countMax, bytesMax })) })
  const recent = createRecent({ bytesMax: limits.recentBytesMax })
  const seen = createSeen(limits.duplicatesMax)
  const waiting = createWaiting({
    logs,
    clock,
    limits,
    telemetry,
    give: options.give,
    seen,
    push: (job) => turns.push(job),
    reserve: ({ reader }) => turns.push({ kind: 'reserve', reader }),
  })
  const turn = createTurn({
    store,
    random,
    limits,
    logs,
    recent,
    waiting,
    clock,
    telemetry,
    isThere: options.isThere,
    onFull: options.onFull,
  })
  const turns: Turns<Job> = createTurns<Job>((jobs) => turn(jobs, turns.again))
  let closed = false
  let expiring: Promise<number> = Promise.resolve(0)

  function submit<T>(make: (settle: { resolve(value: T): void; reject(error: unknown): void }) => Job): Promise<T> {
    if (closed) return Promise.reject(new MailboxError('ERR_MAILBOX_CLOSED', 'the mailbox is closed'))
    return new Promise<T>((resolve, reject) => turns.push(make({ resolve, reject })))
  }

  async function loadLog(reader: string): Promise<Log> {
    // `load` answers for every reader it is asked for.
    return (await logs.load([reader])).get(reader) as Log
  }

  async function expireReader(reader: string, now: number, onExpired: Parameters<Mailbox['expire']>[1]): Promise<number> {
    const log = await loadLog(reader)
    const positions = new Map<number, Set<number>>()
    for await (const { last, items } of readStored(store, log, { after: log.acked, upTo: log.durable })) {
      const expired = items.filter(({ expiry }) => expiry <= now)
      for (const item of expired) await onExpired?.(reader, item)
      if (expired.length > 0) positions.set(last, new Set(expired.map(({ n }) => n)))
    }
    if (positions.size === 0) return 0
    return submit<number>((settle) => ({ kind: 'remove', reader, positions, ...settle }))
  }

  async function expireAll(now: number, onExpired: Parameters<Mailbox['expire']>[1]): Promise<number> {
    const step = Math.floor(now / limits.expiryStepMs)
    const due = new Map<string, string[]>()
    for await (const [key] of store.iterate(expiryRange(step))) {
      const reader = readerIn(key)
      const keys = due.get(reader)
      if (keys === undefined) due.set(reader, [key])
      else keys.push(key)
    }
    const failures: unknown[] = []
    let count = 0
    for (const reader of due.keys()) {
      try {
        count += await expireReader(reader, now, onExpired)
      } catch (error) {
        // One reader's log must not keep those of the others; its marks stay for the next time.
        failures.push(error)
        due.delete(reader)
      }
    }
    const keys = [...due.values()].flat()
    if (keys.length > 0) await submit<void>((settle) => ({ kind: 'unmark', keys, ...settle }))
    if (failures.length > 0) throw failures[0]
    return count
  }

  function acknowledge(log: Log, upTo: number): Promise<AckOutcome> {
    if (!(upTo <= log.issued)) return Promise.resolve('beyond')
    if (upTo <= log.acked || waiting.handled(log, upTo)) return done
    const before = log.deletion
    if (before !== undefined) {
      before.upTo = Math.max(before.upTo, upTo)
      return before.promise
    }
    if (closed) return Promise.reject(new MailboxError('ERR_MAILBOX_CLOSED', 'the mailbox is closed'))
    const job = createAckJob(log.reader, upTo)
    log.deletion = job
    turns.push(job)
    return job.promise
  }

  function put(entries: readonly MailboxEntry[], content: MailboxContent, listener: AppendListener): void {
    check(entries, content)
    if (entries.length === 0) return void listener.stored([])
    const { origin, id } = content
    const isNamed = origin !== undefined && id !== undefined
    const before = isNamed ? seen.get(origin, id) : undefined
    if (before !== undefined) {
      telemetry.count('mailbox.duplicate')
      if (before === 'ended') return void listener.stored([])
      before.others ??= []
      before.others.push(listener)
      return
    }
    if (closed) return void listener.refused(new MailboxError('ERR_MAILBOX_CLOSED', 'the mailbox is closed'))
    const append = makeAppend(entries, content, listener)
    if (isNamed) seen.set(origin, id, append)
    waiting.enter(append)
  }

  return {
    epoch,
    put,
    append(entries, content) {
      check(entries, content)
      return new Promise((resolve, reject) => {
        const stored = (positions: readonly MailboxPosition[]): void => resolve(positions.map(({ reader, n }) => ({ reader, n })))
        put(entries, content, { stored, refused: reject })
      })
    },
    async read(reader, after, { countMax, bytesMax }) {
      if (closed) throw new MailboxError('ERR_MAILBOX_CLOSED', 'the mailbox is closed')
      const log = logs.get(reader) ?? (await loadLog(reader))
      const now = clock.now()
      const found: MailboxItem[] = []
      let bytes = 0
      const take = (item: MailboxItem): boolean => {
        if (item.expiry <= now) return true
        bytes += item.header.length + item.entry.length + item.body.length
        if (found.length > 0 && (found.length >= countMax || bytes > bytesMax)) return false
        found.push(item)
        return true
      }
      const { from, items } = log.end
      if (after >= from) {
        for (let i = indexBehind(items, after); i < items.length; i++) if (!take(items[i] as MailboxItem)) break
        return found
      }
      // The memory's part is taken at once with its border: what an acknowledgement takes out meanwhile is then only read once more.
      const inMemory = items.slice()
      for await (const stored of readStored(store, log, {
        after: Math.max(after, log.acked),
        upTo: Math.min(from, log.durable),
      })) {
        for (const item of stored.items) if (!take(item)) return found
      }
      for (const item of inMemory) if (!take(item)) break
      return found
    },
    ack(reader, ackEpoch, upTo) {
      if (ackEpoch !== epoch) return Promise.resolve('other-epoch')
      const log = logs.get(reader)
      return log === undefined ? loadLog(reader).then((loaded) => acknowledge(loaded, upTo)) : acknowledge(log, upTo)
    },
    expire(now, onExpired) {
      // One after another: what is found in a record is taken out of that record.
      const expired = expiring.then(() => expireAll(now, onExpired))
      expiring = expired.catch(() => 0)
      return expired
    },
    drop(reader) {
      // What was given and not stored goes with the rest.
      waiting.flush()
      return submit<void>((settle) => ({ kind: 'drop', reader, ...settle }))
    },
    async stats(reader) {
      if (reader !== undefined) {
        const { count, bytes } = await loadLog(reader)
        return { count, bytes }
      }
      let count = 0
      let bytes = 0
      for await (const [, value] of store.iterate({ gte: logPrefix, lt: `${logPrefix}~` })) {
        const record = decodeLog(value)
        count += record?.count ?? 0
        bytes += record?.bytes ?? 0
      }
      return { count, bytes }
    },
    async readers(prefix) {
      const found: string[] = []
      for await (const [key, value] of store.iterate({ gte: logPrefix + prefix, lt: `${logPrefix}${prefix}~` }))
        if ((decodeLog(value)?.count ?? 0) > 0) found.push(key.slice(logPrefix.length))
      return found
    },
    async position(reader) {
      const { issued, acked } = await loadLog(reader)
      return { issued, acked }
    },
    async close() {
      closed = true
      waiting.flush()
      await turns.idle()
    },
  }
}

const done: Promise<AckOutcome> = Promise.resolve('done')

const readerName = /^[!-}]{1,512}$/

function check(entries: readonly MailboxEntry[], { expiry }: MailboxContent): void {
  for (const { reader } of entries)
    if (!readerName.test(reader)) throw new TypeError('reader must be printable ASCII without spaces')
  if (!(expiry >= 0 && expiry <= Number.MAX_SAFE_INTEGER)) throw new RangeError('content.expiry must be a time in milliseconds')
}

function corrupt(): MailboxError {
  return new MailboxError('ERR_MAILBOX_STORE_CORRUPT', 'an entry of the mailbox store is damaged')
}

/** Where those behind position `after` begin. */
function indexBehind(items: readonly { readonly n: number }[], after: number): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((items[middle]?.n ?? 0) > after) high = middle
    else low = middle + 1
  }
  return low
}

async function openEpoch(options: MailboxOptions): Promise<string> {
  const { store, random, restored = false } = options
  const value = await store.get(metaKey)
  const meta = value === undefined ? undefined : decodeMeta(value)
  if (value !== undefined && meta === undefined) throw corrupt()
  if (meta !== undefined && meta.schema > schemaVersion) {
    throw new MailboxError(
      'ERR_MAILBOX_STORE_NEWER',
      'the mailbox store was written by a newer version; run that version, nothing was changed',
    )
  }
  if (meta?.epoch !== undefined && meta.schema === schemaVersion && !restored) return meta.epoch
  // What an older version wrote can be read as it is; it must not read what is written from now on.
  const epoch = (restored ? undefined : meta?.epoch) ?? base64url(random.bytes(8))
  await store.batch([{ type: 'put', key: metaKey, value: encodeMeta({ schema: schemaVersion, epoch }) }], { durable: true })
  return epoch
}
