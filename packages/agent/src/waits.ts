/**
 * What cannot be opened or handed over yet (design §4, §7): stored with its cause and a deadline, repaired, looked at again in the order
 * it came when something changes, and ended by name when its time is over.
 * @module
 */
import { type Address, concat, type DeviceId } from '@parley/core'
import type { Applied, Apply, Opened, Waited } from './apply.ts'
import { isSettled, type Sequence } from './counters.ts'
import type { DialBack } from './dial-back.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import { openStanza, type Sealed } from './open.ts'
import type { OutboxOptions } from './outbox.ts'
import { askAgain } from './resend.ts'
import type { LockCause, LockedRow } from './rows.ts'
import type { Self } from './self.ts'
import type { Tx } from './state.ts'

export type WaitsParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly limits: AgentLimits
  readonly lifetimeMs: number
  readonly dialBack: Pick<DialBack, 'ask'>
  readonly threads: { readonly outbox: OutboxOptions }
  readonly apply: Apply
  /** After the commit: a card of this account is missing. */
  wantCards(address: Address): void
  /** After the commit: counted, and shown to the developer. Never content. */
  report(code: string, from: Address): void
  /** After the commit: a message waits, or waits no longer. */
  locked(kind: 'locked' | 'opened', from: Address, cause: LockCause): void
  wakeAt(ms: number, name: string): void
}

/** Why a stanza waits. */
export type Lock = {
  readonly cause: LockCause
  readonly owner: Address
  readonly sid?: string
  readonly code?: string
  readonly after?: Waited
  /** Its own number, when it waits for another. */
  readonly seq?: number
}

export interface Waits {
  lock(tx: Tx, stanza: Sealed, lock: Lock): void
  /** Looks at the locked stanzas of an account again, in the order they came. Answers how many were opened. */
  unlock(tx: Tx, from: Address, which: (row: LockedRow) => boolean): number
  /** A message of this account was handed over, which others may wait for. */
  release(tx: Tx, from: Address): void
  /** The person says of what compromised devices of this account sent that it counts, or that it does not. */
  decide(tx: Tx, from: Address, decision: 'take' | 'drop'): void
  /** Ends the waits of these that are over; asks for what others wait for. */
  expire(tx: Tx, keys: readonly string[]): void
}

export function createWaits(parts: WaitsParts): Waits {
  const { self, keyring, limits, apply } = parts

  const refuse = (tx: Tx, code: string, from: Address): void => {
    tx.after(() => parts.report(code, from))
  }

  const lock = (tx: Tx, stanza: Sealed, opening: Lock): void => {
    const { from, device, entry, body } = stanza
    if (!isWithinQuota(tx, from, entry.length + body.length, limits)) {
      refuse(tx, 'locked-quota', from)
      return
    }
    const isOrder = opening.cause === 'order'
    const deadline = isOrder ? tx.steady + limits.orderWaitMs : tx.steady + parts.lifetimeMs
    const key = tx.next('locked')
    tx.put('locked', key, {
      cause: opening.cause,
      from,
      device,
      owner: opening.owner,
      ...(opening.sid === undefined ? {} : { sid: opening.sid }),
      ...orderMembers(tx, opening),
      received: tx.now,
      deadline,
      entryLength: entry.length,
      bytes: concat(entry, body),
    })
    tx.after(() => {
      parts.wakeAt(isOrder ? Math.min(deadline, tx.steady + limits.orderAskMs) : deadline, `locked ${key}`)
      parts.locked('locked', from, opening.cause)
      if (opening.code !== undefined) parts.report(opening.code, from)
    })
    repair(tx, opening, device)
  }

  // After a moment the sender is asked for what is missing.
  const orderMembers = (tx: Tx, { after, seq }: Lock): Partial<LockedRow> =>
    after === undefined || seq === undefined ? {} : { after, seq, ask: tx.steady + limits.orderAskMs }

  const repair = (tx: Tx, { cause, owner, sid }: Lock, device: DeviceId): void => {
    if (cause === 'key-unknown' && sid !== undefined) parts.dialBack.ask(tx, { owner, device, sid })
    else if (cause === 'card-unknown' || cause === 'card-outdated') tx.after(() => parts.wantCards(owner))
  }

  const unlock = (
    tx: Tx,
    from: Address,
    {
      which,
      released: before = false,
      takesRemoved = false,
    }: { which(row: LockedRow): boolean; readonly released?: boolean; readonly takesRemoved?: boolean },
  ): number => {
    let opened = 0
    let released = before
    // Whatever opens may release an earlier one, so the pass is repeated until nothing moves.
    for (let moved = true; moved; ) {
      moved = false
      for (const key of lockedOf(tx, from)) {
        const row = tx.get('locked', key)
        if (row === undefined) continue
        const isReleased = row.cause === 'order' && released && !stillWaits(tx, row)
        if (!(isReleased || which(row))) continue
        const outcome = again(tx, { key, row, takesRemoved })
        if (outcome === 'locked') continue
        moved = true
        if (outcome === 'refused') continue
        opened++
        released = true
      }
    }
    return opened
  }

  /** Looks at one locked stanza again. */
  const again = (
    tx: Tx,
    { key, row, takesRemoved }: { readonly key: string; readonly row: LockedRow; readonly takesRemoved: boolean },
  ): 'opened' | 'refused' | 'locked' => {
    const sealed = {
      from: row.from,
      device: row.device,
      entry: row.bytes.subarray(0, row.entryLength),
      body: row.bytes.subarray(row.entryLength),
    }
    const opening = openStanza(sealed, { self, keyring, state: tx })
    if (opening.outcome === 'refused') {
      tx.del('locked', key)
      refuse(tx, opening.code, row.from)
      return 'refused'
    }
    const lock: Lock | undefined =
      opening.outcome === 'locked'
        ? opening
        : lockOf(apply(tx, opening, { patient: row.deadline > tx.steady, key, was: row.cause, takesRemoved }), row.from)
    if (lock === undefined) {
      tx.del('locked', key)
      tx.after(() => parts.locked('opened', row.from, row.cause))
      return 'opened'
    }
    const { cause, owner, sid, code } = lock
    if (cause === row.cause) return 'locked'
    const { sid: _, after: __, seq: ___, ask: ____, ...rest } = row
    // A wait for an earlier message is short; what takes its place is not.
    const wait = cause === 'order' ? limits.orderWaitMs : parts.lifetimeMs
    const deadline = cause === 'order' || row.cause === 'order' ? tx.steady + wait : row.deadline
    tx.put('locked', key, {
      ...rest,
      cause,
      owner,
      deadline,
      ...(sid === undefined ? {} : { sid }),
      ...orderMembers(tx, lock),
    })
    tx.after(() => {
      parts.wakeAt(cause === 'order' ? Math.min(deadline, tx.steady + limits.orderAskMs) : deadline, `locked ${key}`)
      parts.locked('locked', row.from, cause)
      if (code !== undefined) parts.report(code, row.from)
    })
    repair(tx, lock, row.device)
    return 'locked'
  }

  return {
    lock,
    unlock: (tx, from, which) => unlock(tx, from, { which }),
    release(tx, from) {
      unlock(tx, from, { which: () => false, released: true })
    },
    decide(tx, from, decision) {
      if (decision === 'take') {
        unlock(tx, from, { which: ({ cause }) => cause === 'signer-removed', takesRemoved: true })
        return
      }
      for (const key of lockedOf(tx, from)) {
        if (tx.get('locked', key)?.cause !== 'signer-removed') continue
        tx.del('locked', key)
        refuse(tx, 'signer-removed', from)
      }
    },
    expire(tx, keys) {
      for (const key of keys) {
        const row = tx.get('locked', key)
        if (row === undefined) continue
        const { cause, from, deadline, ask = deadline } = row
        if (Math.min(ask, deadline) > tx.steady) tx.after(() => parts.wakeAt(Math.min(ask, deadline), `locked ${key}`))
        else if (cause === 'order') expireOrder(tx, key, row)
        else {
          tx.del('locked', key)
          refuse(tx, cause === 'signer-removed' ? cause : `undecryptable-${cause}`, from)
        }
      }
    },
  }

  // The wait for an earlier message goes on while that may be locked itself; else its sender is asked, and in the end it is a gap.
  function expireOrder(tx: Tx, key: string, row: LockedRow): void {
    const isRepairing = lockedOf(tx, row.from).some((other) => {
      const candidate = tx.get('locked', other)
      return candidate?.device === row.device && isUnderRepair(candidate) && candidate.deadline > tx.steady
    })
    if (isRepairing || row.deadline > tx.steady) {
      const { ask: _, ...rest } = row
      const deadline = isRepairing ? tx.steady + limits.orderWaitMs : row.deadline
      if (!isRepairing) askFor(tx, row)
      tx.put('locked', key, { ...rest, deadline, ...(isRepairing ? { ask: tx.steady + limits.orderAskMs } : {}) })
      tx.after(() => parts.wakeAt(isRepairing ? tx.steady + limits.orderAskMs : deadline, `locked ${key}`))
    } else unlock(tx, row.from, { which: (candidate) => candidate === row })
  }

  function askFor(tx: Tx, { after }: LockedRow): void {
    if (after === undefined) return
    const { seq, ...sequence } = after
    askAgain(tx, sequence, { ...parts.threads.outbox, seq, here: waitingOf(tx, sequence) })
  }
}

// Contacts may fill what the disk gives; strangers only so much.
function isWithinQuota(tx: Tx, from: Address, bytes: number, limits: AgentLimits): boolean {
  if (tx.get('conversation', from)?.contact === true) return true
  const { keys, bytes: before } = tx.group('locked', from)
  return keys.size < limits.lockedStanzasMax && before + bytes <= limits.lockedBytesMax
}

/** The locked stanzas of an account, in the order they came. */
function lockedOf(tx: Tx, from: Address): readonly string[] {
  const { keys } = tx.group('locked', from)
  return keys.size === 0 ? [] : [...keys].sort()
}

/** The numbers of a sequence that came and wait for earlier ones. */
export function waitingOf(tx: Tx, { from, device, inc, conversation }: Sequence): ReadonlySet<number> {
  const numbers = new Set<number>()
  for (const key of tx.group('locked', from).keys) {
    const { seq, after } = tx.get('locked', key) ?? {}
    const isOf = after?.device === device && after.inc === inc && after.conversation === conversation
    if (seq !== undefined && isOf) numbers.add(seq)
  }
  return numbers
}

/** What a message that was not handed over waits for. */
export function lockOf(applied: Applied, owner: Address): Lock | undefined {
  if (applied === 'done') return undefined
  if (applied === 'protocol-unknown' || applied === 'signer-removed') return { cause: applied, owner }
  return { cause: 'order', owner, ...applied }
}

/** Whether a message would only wait again: spares opening it. */
export function stillWaits(tx: Tx, { after }: LockedRow): boolean {
  if (after === undefined) return false
  return !isSettled(tx, after, after.seq)
}

/** Whether something of the same device that came before this is locked and can still open: relays keep the order per device. */
export function mayStillOpen(tx: Tx, { content, device }: Opened, ownKey: string | undefined): boolean {
  for (const key of lockedOf(tx, content.from)) {
    if (ownKey !== undefined && key >= ownKey) return false
    const row = tx.get('locked', key)
    if (row?.device === device && isUnderRepair(row)) return true
  }
  return false
}

function isUnderRepair({ cause }: LockedRow): boolean {
  return cause !== 'order' && cause !== 'protocol-unknown' && cause !== 'signer-removed'
}
