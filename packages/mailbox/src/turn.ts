/**
 * One turn of a mailbox: the jobs that wait become one atomic batch, synced once if anything was appended (design §6).
 * It is the only writer of mailbox records. What is deleted goes first, so that no job sees what another job of its turn adds.
 * @module
 */
import { base64url, type Clock, concat, type Random, type Store, type Telemetry } from '@parley/core'
import { createDeletion, type Positions } from './deletion.ts'
import { type Draft, type Group, makeDraft } from './draft.ts'
import { bytesInGroup, encodeEntries, groupBytesMax } from './entry.ts'
import { MailboxError } from './errors.ts'
import type { MailboxLimits } from './limits.ts'
import type { Log, Logs } from './logs.ts'
import type { AckOutcome } from './mailbox.ts'
import { type Full, fullBy } from './quota.ts'
import type { Recent, RecentItem } from './recent.ts'
import { bodyKey, encodeLog, encodeRefs, entryKey, expiryKey, logKey, refsKey } from './record.ts'
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
type RemoveJob = Settle<number> & { readonly kind: 'remove'; readonly reader: string; readonly positions: Positions }
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
  const deletion = createDeletion({ store, recent })
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
    const draft = makeDraft(clock.now())
    const appends: AppendJob[] = []
    for (const job of now) if (job.kind === 'append') appends.push(job)
    try {
      if (stale.size > 0) await refresh()
      const found = await logs.load(readersOf(now))
      for (const job of now) {
        if (job.kind === 'reserve') planReserve(draft, found.get(job.reader) as Log)
        else if (job.kind !== 'append') await planDeletion(draft, job, found)
      }
      await deletion.bodies(draft)
      for (const job of appends) planAppend(draft, job, found)
      for (const { log, items } of draft.groups)
        draft.ops.push({ type: 'put', key: entryKey(log.reader, closed(items)), value: encodeEntries(items) })
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
    for (const place of draft.written) {
      const log = place.log as Log
      log.writing--
      log.durable = Math.max(log.durable, place.n)
    }
    for (const group of draft.groups) keep(group)
    for (const done of draft.done) done()
    // Whoever is told may read at once.
    for (const place of draft.skipped) waiting.settle(place)
    for (const place of draft.written) waiting.settle(place)
    // What waited for deletions to leave the store is acknowledged now.
    for (const log of draft.touched) if (log.handled > log.acked || log.waiting.length > 0) waiting.handled(log, log.handled)
    waiting.advance()
    logs.trim()
  }

  async function refresh(): Promise<void> {
    await logs.reload(stale)
    // A batch that was refused may have been written all the same, and what it took out of memory not.
    for (const log of stale) recent.reset(log.end, log.issued)
    stale.clear()
  }

  // A drop goes first in its turn, a removal alone, and a repeated deletion only with its like.
  function cut(jobs: readonly Job[]): { now: readonly Job[]; later: readonly Job[] } {
    const isRepeat = (job: Job): boolean => job.kind !== 'append' && retried.has(job)
    const isRepeating = jobs.some(isRepeat)
    const mine = isRepeating ? jobs.filter(isRepeat) : jobs
    const others = isRepeating ? jobs.filter((job) => !isRepeat(job)) : []
    const at = mine[0]?.kind === 'remove' ? 1 : mine.findIndex(({ kind }, i) => i > 0 && (kind === 'drop' || kind === 'remove'))
    return at < 0 ? { now: mine, later: others } : { now: mine.slice(0, at), later: [...mine.slice(at), ...others] }
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
      const count = await deletion.some(draft, log, job.positions)
      draft.done.push(() => job.resolve(count))
      return
    }
    if (job.kind === 'drop') draft.isDurable = true
    else log.deletion = undefined
    await deletion.all(draft, log, job.kind === 'drop' ? log.issued : job.upTo)
    draft.done.push(() => (job.kind === 'drop' ? job.resolve() : job.resolve('done')))
  }

  function planAppend(draft: Draft, job: AppendJob, found: ReadonlyMap<string, Log>): void {
    const { header, body, expiry } = job.append
    const places = toStore(draft, job, found)
    if (places.length === 0) return
    if (isFull(places)) {
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
    draft.isDurable = true
    for (const place of places) {
      const log = place.log as Log
      const size = sizeOf(place)
      const n = waiting.issue(place, log)
      if (n > log.reserved) log.reserved = n + limits.positionBlock - 1
      log.count += 1
      log.bytes += size
      log.writing += 1
      draft.written.push(place)
      gather(draft, log, { n, header, entry: place.entry, body, expiry, size, bodyId, last: n, isGone: false })
      mark(draft, log, expiry)
    }
  }

  /** The places that go into the store, with their logs. */
  function toStore(draft: Draft, job: AppendJob, found: ReadonlyMap<string, Log>): readonly Place[] {
    const places: Place[] = []
    for (const place of job.places) {
      if (place.isSettled) continue
      const log = found.get(place.reader) as Log
      if (place.isGiven && place.n <= log.handled && log.count === 0) {
        // Acknowledged before the store is handed it, and nothing of this reader is in there.
        log.acked = Math.max(log.acked, place.n)
        telemetry.count('mailbox.skipped')
        draft.skipped.push(place)
      } else {
        place.log = log
        places.push(place)
      }
    }
    return places
  }

  function isFull(places: readonly Place[]): boolean {
    for (const place of places) {
      // What a reader was given already had room when it was.
      const full = place.isGiven ? undefined : fullBy(place.log as Log, sizeOf(place))
      if (full === undefined) continue
      onFull?.(place.reader, full)
      return true
    }
    return false
  }

  /** Puts a stanza into the record that its log gets in this turn, or begins another one. */
  function gather(draft: Draft, log: Log, item: RecentItem): void {
    const bytes = bytesInGroup(item)
    const group = draft.open.get(log)
    if (group !== undefined && group.bytes + bytes <= groupBytesMax) {
      group.items.push(item)
      group.bytes += bytes
      return
    }
    const next = { log, items: [item], bytes }
    draft.open.set(log, next)
    draft.groups.push(next)
    draft.touched.add(log)
  }

  /** What was written stays in memory for readers who are there. */
  function keep({ log, items }: Group): void {
    if (isThere?.(log.reader) === false) recent.take(log.end, closed(items))
    else for (const item of items) recent.push(log.end, item)
  }

  function mark(draft: Draft, log: Log, expiry: number): void {
    // Never a step that an expiry run may be unmarking just now.
    const step = Math.floor(Math.max(expiry, draft.now) / limits.expiryStepMs)
    if (log.marked?.step === step && log.marked.round === round) return
    log.marked = { step, round }
    const key = expiryKey(step, log.reader)
    if (marked.has(key)) return
    if (marked.size >= marksMax) marked.clear()
    marked.add(key)
    draft.ops.push({ type: 'put', key, value: new Uint8Array(0) })
  }
}

function readersOf(jobs: readonly Job[]): ReadonlySet<string> {
  const readers = new Set<string>()
  for (const job of jobs) {
    if (job.kind === 'append') {
      if (job.append.open > 0) for (const { reader } of job.places) readers.add(reader)
    } else if (job.kind !== 'unmark') readers.add(job.reader)
  }
  return readers
}

/** The last position of a record that is complete, and every stanza of it knows it then. */
function closed(items: readonly RecentItem[]): number {
  const last = items[items.length - 1]?.n ?? 0
  for (const item of items) item.last = last
  return last
}
