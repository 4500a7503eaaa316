/**
 * One turn of a mailbox: the jobs that wait become one atomic batch, synced once if anything was appended (design §6).
 * It is the only writer of mailbox records. What is deleted goes first, so that no job sees what another job of its turn adds.
 * @module
 */
import { base64url, type Clock, concat, type Random, type Store, type StoreOp, type Telemetry } from '@parley/core'
import { MailboxError } from './errors.ts'
import type { MailboxLimits } from './limits.ts'
import type { Log, Logs } from './logs.ts'
import type { AckOutcome } from './mailbox.ts'
import { type Full, fullBy } from './quota.ts'
import type { Recent } from './recent.ts'
import {
  bodyKey,
  decodeEntry,
  decodeRefs,
  encodeEntry,
  encodeLog,
  encodeOwnEntry,
  encodeRefs,
  entryKey,
  expiryKey,
  logKey,
  positionIn,
  refsKey,
} from './record.ts'
import { type AppendJob, type Place, sizeOf, type Waiting } from './waiting.ts'

type Settle<T> = { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void }

export type AckJob = Settle<AckOutcome> & {
  readonly kind: 'ack'
  readonly reader: string
  /** Rises while it waits for its turn. */
  upTo: number
  readonly promise: Promise<AckOutcome>
}
type ReserveJob = { readonly kind: 'reserve'; readonly reader: string }
type RemoveJob = Settle<number> & { readonly kind: 'remove'; readonly reader: string; readonly positions: readonly number[] }
type UnmarkJob = Settle<void> & { readonly kind: 'unmark'; readonly keys: readonly string[] }
type DropJob = Settle<void> & { readonly kind: 'drop'; readonly reader: string }
export type Job = AppendJob | AckJob | RemoveJob | UnmarkJob | DropJob | ReserveJob

export type TurnOptions = {
  readonly store: Store
  readonly random: Random
  readonly clock: Clock
  readonly limits: MailboxLimits
  readonly logs: Logs
  readonly recent: Recent
  readonly waiting: Waiting
  readonly isThere: ((reader: string) => boolean) | undefined
  readonly onFull: ((reader: string, full: Full) => void) | undefined
  readonly telemetry: Telemetry
}

// A body below this size is cheaper written twice than counted.
const sharedBytesMin = 512
// Marks are written once per reader and step; forgetting that they were written costs one more write each.
const marksMax = 100_000

/** What goes away: enough to delete it and to keep the sums. */
type Gone = { readonly n: number; readonly size: number; readonly bodyId?: string }

/** A batch in the making. `done` runs after it was written, in order. */
type Draft = {
  readonly ops: StoreOp[]
  readonly touched: Set<Log>
  readonly released: Map<string, number>
  /** What goes into the store. */
  readonly written: Place[]
  readonly done: (() => void)[]
  isDurable: boolean
}

/** A deletion up to an acknowledged position. */
export function createAckJob(reader: string, upTo: number): AckJob {
  let settle: Settle<AckOutcome> | undefined
  const promise = new Promise<AckOutcome>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // A promise runs its function at once.
  return { kind: 'ack', reader, upTo, promise, ...(settle as unknown as Settle<AckOutcome>) }
}

export function createTurn(options: TurnOptions): (jobs: readonly Job[], again: (jobs: readonly Job[]) => void) => Promise<void> {
  const { store, random, clock, limits, logs, recent, waiting, isThere, onFull, telemetry } = options
  const marked = new Set<string>()
  // Rises when marks may not have been written.
  let round = 0
  // Logs whose sums in memory are ahead of the store since a batch failed.
  const stale = new Set<Log>()
  // Deletions that failed together with appends: they are tried once more alone, so that a full disk can be emptied.
  const retried = new WeakSet<Job>()

  return async function turn(jobs, again) {
    const { now, later } = cut(jobs)
    if (later.length > 0) again(later)
    const draft: Draft = { ops: [], touched: new Set(), released: new Map(), written: [], done: [], isDurable: false }
    const appends = now.filter((job) => job.kind === 'append')
    try {
      await logs.reload(stale)
      // A batch that was refused may have been written all the same, and what it took out of memory not.
      for (const log of stale) recent.reset(log.end, log.issued)
      stale.clear()
      const found = await logs.load(now.flatMap(readersOf))
      for (const job of now) {
        if (job.kind === 'reserve') planReserve(draft, found.get(job.reader) as Log)
        else if (job.kind !== 'append') await planDeletion(draft, job, found)
      }
      await planRefs(draft)
      for (const job of appends) planAppend(draft, job, found)
      for (const log of draft.touched) draft.ops.push({ type: 'put', key: logKey(log.reader), value: encodeLog(log, log.issued) })
      if (draft.ops.length > 0) await store.batch(draft.ops, { durable: draft.isDurable })
    } catch (cause) {
      fail({ draft, now, appends, cause, again })
      waiting.advance()
      return
    }
    telemetry.measure('mailbox.appends_per_turn', draft.written.length)
    for (const log of draft.touched) {
      log.safe = log.reserved
      log.isReserving = false
    }
    for (const place of draft.written) (place.log as Log).writing--
    for (const done of draft.done) done()
    // What waited for deletions to leave the store is acknowledged now.
    for (const log of draft.touched) if (log.handled > log.acked || log.waiting.length > 0) waiting.handled(log, log.handled)
    waiting.advance()
    logs.trim()
  }

  // A drop goes first in its turn, and a repeated deletion only with its like.
  function cut(jobs: readonly Job[]): { now: readonly Job[]; later: readonly Job[] } {
    if (jobs.some((job) => retried.has(job))) {
      return { now: jobs.filter((job) => retried.has(job)), later: jobs.filter((job) => !retried.has(job)) }
    }
    const at = jobs.findIndex((job, i) => i > 0 && job.kind === 'drop')
    return at < 0 ? { now: jobs, later: [] } : { now: jobs.slice(0, at), later: jobs.slice(at) }
  }

  function fail(failure: {
    draft: Draft
    now: readonly Job[]
    appends: readonly Job[]
    cause: unknown
    again: (jobs: readonly Job[]) => void
  }): void {
    const { draft, now, appends, cause, again } = failure
    for (const log of draft.touched) {
      stale.add(log)
      log.isReserving = false
    }
    for (const place of draft.written) (place.log as Log).writing--
    marked.clear()
    round++
    telemetry.count('mailbox.turn_failed')
    const repeat =
      appends.length > 0 && appends.length < now.length
        ? now.filter((job) => job.kind !== 'append' && job.kind !== 'reserve' && !retried.has(job))
        : []
    for (const job of repeat) retried.add(job)
    again(repeat)
    const corrupt = cause instanceof MailboxError
    const error = corrupt
      ? cause
      : new MailboxError('ERR_MAILBOX_STORE_FAILED', 'the mailbox store did not take a batch', { cause, retryable: true })
    for (const job of now) {
      if (repeat.includes(job) || job.kind === 'reserve') continue
      if (job.kind !== 'append') job.reject(error)
      else if (job.append.open > 0) waiting.refuse(job.append, error)
    }
  }

  function planReserve(draft: Draft, log: Log): void {
    log.reserved = Math.max(log.reserved, log.issued + limits.positionBlock)
    draft.touched.add(log)
    draft.isDurable = true
  }

  async function planDeletion(
    draft: Draft,
    job: Exclude<Job, AppendJob | ReserveJob>,
    found: ReadonlyMap<string, Log>,
  ): Promise<void> {
    if (job.kind === 'unmark') {
      for (const key of job.keys) {
        draft.ops.push({ type: 'del', key })
        marked.delete(key)
      }
      draft.done.push(() => job.resolve())
      return
    }
    // Every job's readers were loaded.
    const log = found.get(job.reader) as Log
    if (job.kind === 'remove') {
      const gone = await storedAt(log, job.positions)
      recent.forget(log.end, new Set(job.positions))
      release(draft, log, gone)
      draft.done.push(() => job.resolve(gone.length))
      return
    }
    if (job.kind === 'drop') draft.isDurable = true
    else log.deletion = undefined
    const upTo = job.kind === 'drop' ? log.issued : job.upTo
    if (upTo > log.acked) {
      const { from } = log.end
      const older = log.count > log.end.items.length ? await storedBetween(log, Math.min(upTo, from)) : []
      release(draft, log, [...older, ...recent.take(log.end, upTo)])
      log.acked = upTo
      draft.touched.add(log)
    }
    draft.done.push(() => (job.kind === 'drop' ? job.resolve() : job.resolve('done')))
  }

  function release(draft: Draft, log: Log, gone: readonly Gone[]): void {
    for (const { n, size, bodyId } of gone) {
      draft.ops.push({ type: 'del', key: entryKey(log.reader, n) })
      if (bodyId !== undefined) draft.released.set(bodyId, (draft.released.get(bodyId) ?? 0) + 1)
      log.count -= 1
      log.bytes -= size
    }
    if (gone.length > 0) draft.touched.add(log)
  }

  async function storedBetween(log: Log, upTo: number): Promise<Gone[]> {
    const gone: Gone[] = []
    for await (const [key, value] of store.iterate({ gt: entryKey(log.reader, log.acked), lte: entryKey(log.reader, upTo) })) {
      gone.push(goneIn(positionIn(key), value))
    }
    return gone
  }

  async function storedAt(log: Log, positions: readonly number[]): Promise<Gone[]> {
    const values = await store.getMany(positions.map((n) => entryKey(log.reader, n)))
    return values.flatMap((value, i) => (value === undefined ? [] : [goneIn(positions[i] ?? 0, value)]))
  }

  async function planRefs(draft: Draft): Promise<void> {
    const ids = [...draft.released.keys()]
    if (ids.length === 0) return
    const values = await store.getMany(ids.map(refsKey))
    ids.forEach((id, i) => {
      const left = (decodeRefs(values[i]) ?? 0) - (draft.released.get(id) ?? 0)
      if (left > 0) draft.ops.push({ type: 'put', key: refsKey(id), value: encodeRefs(left) })
      else draft.ops.push({ type: 'del', key: refsKey(id) }, { type: 'del', key: bodyKey(id) })
    })
  }

  function planAppend(draft: Draft, job: AppendJob, found: ReadonlyMap<string, Log>): void {
    const { header, body, expiry } = job.append.content
    const places: Place[] = []
    for (const place of job.places) {
      if (place.isSettled) continue
      const log = found.get(place.reader) as Log
      if (place.isGiven && place.n <= log.handled && log.count === 0) {
        // Acknowledged before the store is handed it, and nothing of this reader is in there.
        log.acked = Math.max(log.acked, place.n)
        telemetry.count('mailbox.skipped')
        draft.done.push(() => waiting.settle(place))
      } else {
        place.log = log
        places.push(place)
      }
    }
    // What a reader was given already had room when it was.
    const isFull = (place: Place): boolean => {
      const full = place.isGiven ? undefined : fullBy(place.log as Log, sizeOf(place))
      if (full !== undefined) onFull?.(place.reader, full)
      return full !== undefined
    }
    if (places.length === 0) return
    if (places.some(isFull)) {
      const full = new MailboxError('ERR_MAILBOX_FULL', 'a mailbox has reached its limit', { retryable: true })
      waiting.refuse(job.append, full)
      return
    }
    const isShared = places.length > 1 && header.length + body.length >= sharedBytesMin
    const bodyId = isShared ? base64url(random.bytes(12)) : undefined
    if (bodyId !== undefined) {
      draft.ops.push(
        { type: 'put', key: bodyKey(bodyId), value: concat(header, body) },
        { type: 'put', key: refsKey(bodyId), value: encodeRefs(places.length) },
      )
    }
    for (const place of places) {
      const log = place.log as Log
      const { entry } = place
      const size = sizeOf(place)
      const n = waiting.issue(place, log)
      if (n > log.reserved) log.reserved = n + limits.positionBlock - 1
      log.count += 1
      log.bytes += size
      log.writing += 1
      draft.touched.add(log)
      draft.written.push(place)
      draft.isDurable = true
      draft.ops.push({
        type: 'put',
        key: entryKey(log.reader, n),
        value:
          bodyId === undefined
            ? encodeOwnEntry({ expiry, size, entry, headerLength: header.length }, { header, body })
            : encodeEntry({ expiry, size, entry, headerLength: header.length, content: { bodyId } }),
      })
      mark(draft, log, expiry)
      draft.done.push(() => {
        log.durable = Math.max(log.durable, n)
        waiting.settle(place)
        if (isThere?.(log.reader) === false) recent.take(log.end, n)
        else recent.push(log.end, { n, header, entry, body, expiry, size, ...(bodyId === undefined ? {} : { bodyId }) })
      })
    }
  }

  function mark(draft: Draft, log: Log, expiry: number): void {
    // Never a step that an expiry run may be unmarking just now.
    const step = Math.floor(Math.max(expiry, clock.now()) / limits.expiryStepMs)
    if (log.marked?.step === step && log.marked.round === round) return
    log.marked = { step, round }
    const key = expiryKey(step, log.reader)
    if (marked.has(key)) return
    if (marked.size >= marksMax) marked.clear()
    marked.add(key)
    draft.ops.push({ type: 'put', key, value: new Uint8Array(0) })
  }
}

function readersOf(job: Job): readonly string[] {
  if (job.kind === 'append') return job.append.open === 0 ? [] : job.places.map(({ reader }) => reader)
  return job.kind === 'unmark' ? [] : [job.reader]
}

function goneIn(n: number, value: Uint8Array): Gone {
  const record = decodeEntry(value)
  if (record === undefined) throw new MailboxError('ERR_MAILBOX_STORE_CORRUPT', 'an entry of the mailbox store is damaged')
  return { n, size: record.size, ...('bodyId' in record.content ? { bodyId: record.content.bodyId } : {}) }
}
