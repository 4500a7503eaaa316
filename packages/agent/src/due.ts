/**
 * What time brings: deadlines of protocol runs, waits that end, receipts that go out, keys and answers that are erased.
 * Everything due is absolute and stored, by the steady time: a restart or a clock that is set only makes it due now.
 * @module
 */
import { type Address, type Clock, limits as coreLimits, type Random, type Store } from '@parley/core'
import { nextDeadline, type Registry } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { delivered } from '@parley/protocols/receipts'
import { eraseSession, heldErasureDue, ownErasureDue, sessionKey, sessionLimits } from '@parley/session'
import { createAgenda } from './agenda.ts'
import type { Commit } from './commit.ts'
import { ageOf, eraseCounters } from './counters.ts'
import type { DialBack } from './dial-back.ts'
import type { Inbound } from './inbound.ts'
import type { AgentLimits } from './limits.ts'
import { enqueueAnswer, hasRoomForAnswer, type OutboxOptions } from './outbox.ts'
import { stateKey } from './profile.ts'
import { dueReceipts } from './receipts.ts'
import { eraseAsked, wasAccepted } from './resend.ts'
import { secretTables } from './rows.ts'
import type { Self } from './self.ts'
import { settleSent } from './sent.ts'
import type { State, Tx } from './state.ts'
import { stepThread, type ThreadParts } from './threads.ts'
import type { Time } from './time.ts'

export interface Due {
  /** Something is due at this steady time (ms): a row by its table and key, or with no name a look at everything else. */
  at(ms: number, name?: string): void
  /** The store was read: so is what is due. */
  reload(): void
  /** Does what is due now and sets the alarm for the rest; after a failure it is tried again. */
  run(): Promise<void>
  /** Secrets were deleted: takes them off the medium. */
  erased(): void
  close(): Promise<void>
}

export type DueParts = {
  readonly self: Self
  readonly state: State
  readonly store: Store
  readonly commit: Commit
  readonly clock: Clock
  readonly time: Time
  readonly random: Random
  readonly limits: AgentLimits
  readonly registry: Registry
  readonly threads: ThreadParts
  readonly dialBack: DialBack
  readonly inbound: Inbound
  readonly outbox: OutboxOptions
  /** After the commit: a key statement waits to be published. */
  publish(): void
  /** After the commit: stanzas expired. */
  dropped(): void
  /** After a commit that may have changed the inbox or what became of messages. */
  changed(): void
}

/** Expiry of keys and rows is looked at this often, whatever else is due. */
const sweepMs = 3_600_000

export function createDue(parts: DueParts): Due {
  const { clock, time, state, commit } = parts
  const agenda = createAgenda()
  let alarm: { readonly ms: number; readonly cancel: () => void } | undefined
  let sweptAt = Number.NEGATIVE_INFINITY
  let compacting: Promise<void> | undefined
  let again = false
  let closed = false

  const set = (ms: number): void => {
    if (closed || (alarm !== undefined && alarm.ms <= ms)) return
    alarm?.cancel()
    const cancel = clock.at(clock.monotonic() + Math.max(0, ms - time.read().steady), () => {
      alarm = undefined
      void due.run()
    })
    alarm = { ms, cancel }
  }

  const work = (tx: Tx, { names, sweeps }: { readonly names: readonly string[]; readonly sweeps: boolean }): void => {
    const locked: string[] = []
    for (const name of names) {
      const space = name.indexOf(' ')
      const key = name.slice(space + 1)
      const table = name.slice(0, space)
      if (table === 'thread') runThread(tx, key, parts)
      else if (table === 'locked') locked.push(key)
      else if (hasRoomForAnswer(parts.outbox)) {
        // Names of receipts are addresses.
        for (const body of dueReceipts(tx, key as Address))
          enqueueAnswer(tx, { to: key as Address, type: delivered.type, body }, parts.outbox)
      } else tx.after(() => due.at(tx.steady + parts.limits.retryMsMax, name))
    }
    parts.inbound.expire(tx, locked)
    expireFirst(tx, parts)
    if (!sweeps) return
    expireSent(tx)
    rotateStatement(tx, parts)
    eraseKeys(tx, parts.limits)
    eraseAsked(tx)
    // By what has surely passed: a clock that was set ahead and back must not make old messages new.
    eraseCounters(tx, ageOf(tx) - parts.limits.counterRetentionMs)
  }

  const due: Due = {
    at(ms, name) {
      if (name !== undefined) agenda.set(name, ms)
      set(ms)
    },
    reload() {
      agenda.clear()
      for (const [key, record] of state.rows('thread')) {
        const first = nextDeadline(record)
        if (first !== undefined) agenda.set(`thread ${key}`, first.at)
      }
      for (const [key, { ask, deadline }] of state.rows('locked'))
        agenda.set(`locked ${key}`, Math.min(ask ?? deadline, deadline))
      for (const [, row] of state.rows('receipt')) agenda.set(`receipt ${row.to}`, row.due)
      sweptAt = Number.NEGATIVE_INFINITY
    },
    async run() {
      const { now, steady } = time.read()
      const names = agenda.take(steady)
      const sweeps = steady >= sweptAt + sweepMs
      try {
        await commit((tx) => work(tx, { names, sweeps }))
      } catch {
        const retry = time.read().steady + parts.limits.retryMsMax
        for (const name of names) agenda.set(name, retry)
        set(retry)
        return
      }
      if (sweeps) sweptAt = steady
      parts.changed()
      // Messages expire by the wall clock, as they say themselves.
      set(Math.min(agenda.next() ?? Number.POSITIVE_INFINITY, sweptAt + sweepMs, firstExpiry(state) + steady - now))
    },
    erased() {
      again = true
      compacting ??= compact()
    },
    async close() {
      closed = true
      alarm?.cancel()
      await compacting
    },
  }
  due.reload()
  return due

  // A deleted row stays on the medium until its range is rewritten.
  async function compact(): Promise<void> {
    while (again) {
      again = false
      // What could not be rewritten now is rewritten with the next erasure.
      await compactSecrets(parts.store).catch(() => {})
    }
    compacting = undefined
  }
}

/** Rewrites the ranges of the secret tables, so that erased keys leave the medium. */
export async function compactSecrets(store: Store): Promise<void> {
  for (const table of secretTables) await store.compact({ gte: `${table}/`, lt: `${table}0` })
}

/** Queues are in the order of sending, and messages live equally long: the first ends first. */
function firstExpiry(state: State): number {
  let soonest = Number.POSITIVE_INFINITY
  for (const table of ['stanza', 'outbox'] as const) {
    for (const [, row] of state.rows(table)) {
      soonest = Math.min(soonest, row.expiry)
      break
    }
  }
  return soonest
}

function runThread(tx: Tx, key: string, parts: DueParts): void {
  for (let current = tx.get('thread', key); current !== undefined; current = tx.get('thread', key)) {
    const protocol = current.protocol === dialBack.uri ? dialBack : parts.registry.get(current.protocol)
    const deadline = nextDeadline(current)
    // A protocol that this program does not have leaves its threads where they are.
    if (protocol === undefined || deadline === undefined) return
    if (deadline.at > tx.steady) {
      tx.after(() => parts.threads.wakeAt(deadline.at, `thread ${key}`))
      return
    }
    const { record: after } = stepThread(tx, parts.threads, {
      protocol,
      record: current,
      input: { kind: 'deadline', id: deadline.id, now: tx.steady },
    })
    if (after !== undefined) parts.dialBack.tidy(tx, after)
    if (after === current) return
  }
}

function expireFirst(tx: Tx, { dropped }: DueParts): void {
  let any = false
  for (const [key, row] of tx.rows('stanza')) {
    if (row.expiry > tx.now) break
    // Copies for the own devices say nothing of the message, and what was accepted was only kept.
    if (!wasAccepted(tx, row) && row.message !== undefined && tx.get('sent', row.message)?.stanzas?.includes(row.id) === true)
      settleSent(tx, row.message, { state: 'failed', cause: 'expired' })
    tx.del('stanza', key)
    any = true
  }
  for (const [key, row] of tx.rows('outbox')) {
    if (row.expiry > tx.now) break
    settleSent(tx, row.id, { state: 'failed', cause: 'expired' })
    tx.del('outbox', key)
    any = true
  }
  if (any) tx.after(dropped)
}

// What became of a message is told for as long again as it could be on its way.
function expireSent(tx: Tx): void {
  for (const [id, row] of tx.rows('sent')) if (row.expiry + coreLimits.lifetimeMs <= tx.sure) tx.del('sent', id)
}

// Erasing cannot be undone, so a clock that was set forward alone brings it about no sooner.
function eraseKeys(tx: Tx, { sessionRetentionMs }: AgentLimits): void {
  const limits = { ...sessionLimits, retentionMs: sessionRetentionMs }
  for (const [key, held] of tx.rows('held')) if (heldErasureDue(held, limits) <= tx.sure) tx.del('held', key)
  for (const [key, own] of tx.rows('own')) {
    if (ownErasureDue(own, limits) > tx.sure) continue
    tx.del('own', key)
    tx.put('erased', sessionKey(own.smk.owner.address, own.smk.sid), eraseSession(own.smk, tx.sure, limits))
  }
  for (const [key, row] of tx.rows('key')) if (row.expiry !== undefined && row.expiry <= tx.sure) tx.del('key', key)
  for (const [key, row] of tx.rows('erased')) if (row.until <= tx.sure) tx.del('erased', key)
}

function rotateStatement(tx: Tx, { self, limits, random, publish }: DueParts): void {
  const card = self.card()
  const statement = tx.get('self', 'profile')?.statement
  if (card === undefined || statement === undefined) return
  const isOld = statement.issued + limits.agreementKeyMsMax <= tx.now
  if (isOld) stateKey(tx, { card, random, retentionMs: limits.agreementRetentionMs })
  if (isOld || !statement.published) tx.after(publish)
}

/** Where a message went whose recipient turned out not to exist, or may not be trusted: its sender is told how it ended. */
export function failOutbox(tx: Tx, to: Address, cause: string): void {
  for (const [key, row] of tx.rows('outbox')) {
    if (row.to !== to) continue
    settleSent(tx, row.id, { state: 'failed', cause })
    tx.del('outbox', key)
  }
}
