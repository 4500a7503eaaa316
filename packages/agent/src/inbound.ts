/**
 * One inbound stanza, one whole step (design §7): open, check numbers, step the machine, write inbox, outbox, counters and
 * keys. What cannot be opened yet is locked with its cause; what may never be opened is refused and counted.
 * @module
 */
import { type Address, concat, limits as coreLimits, type DeviceId, type StanzaId } from '@parley/core'
import { kernelPrefix, type Protocol, type Received, type Registry, reportCode } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { problemReport } from '@parley/protocols/problem-report'
import { delivered, receipts } from '@parley/protocols/receipts'
import { confirmKey, keyType, readKeyBody, sessionKey, takeKey } from '@parley/session'
import type { Content } from './content.ts'
import { isKnown, isLate, isSeen, isSettled, markSeen, otherDigest, type Sequence, wasMissed } from './counters.ts'
import type { DialBack } from './dial-back.ts'
import { noteVersion } from './directory.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import { type Opening, openStanza, type Sealed } from './open.ts'
import { addReceipt, takeReceipt } from './receipts.ts'
import type { Reports } from './reports.ts'
import { answerAgain, askAgain, goneType, resendType, takeGone } from './resend.ts'
import type { LockCause, LockedRow } from './rows.ts'
import type { Self } from './self.ts'
import type { Tx } from './state.ts'
import { findThread, stepThread, type ThreadParts } from './threads.ts'

export type InboundStanza = Sealed & { readonly id: StanzaId; readonly n: number | undefined; readonly expiry: number }

export type InboundParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly limits: AgentLimits
  readonly lifetimeMs: number
  readonly registry: Registry
  readonly threads: ThreadParts
  readonly dialBack: DialBack
  readonly reports: Pick<Reports, 'send'>
  /** After the commit: a card of this account is missing, or a newer one exists. */
  wantCards(address: Address): void
  /** After the commit: counted, and shown to the developer. Never content. */
  report(code: string, from: Address, proof?: readonly [string, string]): void
  /** After the commit: this stanza row is durable. */
  sealed(key: string): void
  /** After the commit: a message waits, or waits no longer. */
  locked(kind: 'locked' | 'opened', from: Address, cause: LockCause): void
  wakeAt(ms: number, name: string): void
}

export interface Inbound {
  /** A stanza from the relay, at its position. */
  receive(tx: Tx, stanza: InboundStanza, epoch: string): void
  /** Looks at the locked stanzas of an account again, in the order they came. Answers how many were opened. */
  unlock(tx: Tx, from: Address, which: (row: LockedRow) => boolean): number
  /** Ends the waits of these that are over; asks for what others wait for. */
  expire(tx: Tx, keys: readonly string[]): void
}

/** Why a stanza waits. */
type Lock = {
  readonly cause: LockCause
  readonly owner: Address
  readonly sid?: string
  readonly code?: string
  readonly after?: Waited
  /** Its own number, when it waits for another. */
  readonly seq?: number
}

/** What became of an opened message: done with, or the number of the message that must come before it. */
type Applied = 'done' | 'protocol-unknown' | { readonly after: Waited; readonly seq: number }
type Waited = NonNullable<LockedRow['after']>

export function createInbound(parts: InboundParts): Inbound {
  const { self, keyring, limits } = parts

  const refuse = (tx: Tx, code: string, from: Address): void => {
    tx.after(() => parts.report(code, from))
  }

  // The first goes at once; those that follow it soon go together.
  const receiptsAt = new Map<Address, number>()
  const receipt = (tx: Tx, of: { readonly to: Address; readonly id: string; readonly hash: string }): void => {
    if (tx.get('conversation', of.to)?.contact !== true) return
    const last = receiptsAt.get(of.to) ?? Number.NEGATIVE_INFINITY
    const due = Math.max(tx.steady, last + limits.receiptDelayMs)
    if (addReceipt(tx, { ...of, due, wakeAt: parts.wakeAt })) receiptsAt.set(of.to, due)
  }

  const lock = (tx: Tx, stanza: InboundStanza, opening: Lock): void => {
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

  const apply = (
    tx: Tx,
    opening: Opening & { outcome: 'opened' },
    options: { readonly patient: boolean; readonly key?: string; readonly was?: LockCause },
  ): Applied => {
    const { content, device, under } = opening
    const { from } = content
    if (isStale(content, tx.now)) {
      refuse(tx, 'stale', from)
      return 'done'
    }
    if (under !== undefined) confirm(tx, under)
    if (noteVersion(tx, from, content.numbers.card)) tx.after(() => parts.wantCards(from))
    if (content.type.startsWith(kernelPrefix)) {
      applyKernel(tx, opening)
      return 'done'
    }
    const [conversation] = content.to
    const { inc, seq, prev } = content.numbers
    if (conversation === undefined || seq === 0) {
      refuse(tx, 'content-malformed', from)
      return 'done'
    }
    const sequence: Sequence = { from, device, inc, conversation }
    const hash = opening.payloadHash
    if (isSeen(tx, sequence, seq)) {
      const other = otherDigest(tx, sequence, { seq, hash })
      // Two signed contents under one number prove that the device lies, or was copied.
      if (other === undefined) refuse(tx, 'duplicate', from)
      else tx.after(() => parts.report('equivocation', from, [other, hash]))
      return 'done'
    }
    const found = parts.registry.find(content.type)
    if (found === undefined) {
      // Once: it is looked at again at every start.
      if (options.was !== 'protocol-unknown')
        parts.reports.send(tx, { to: from, code: 'protocol-unknown', id: content.id, threadId: content.threadId ?? content.id })
      return 'protocol-unknown'
    }
    const isGap = prev > 0 && !isSeen(tx, sequence, prev)
    const lacks = isGap && !isSettled(tx, sequence, prev)
    // What was said before this device was let in never went to it: the thread begins here, without a gap.
    const begins = lacks && isFurtherDevice() && !isKnown(tx, sequence) && !mayStillOpen(tx, opening, options.key)
    if (lacks && !begins && options.patient) return { after: { ...sequence, seq: prev }, seq }
    // A message without a thread is one of its own.
    const threadId = content.threadId ?? content.id
    const late = isLate(tx, sequence, { threadId, seq })
    // Told once of each number.
    const gap = isGap && !begins && !wasMissed(tx, sequence, prev) ? [prev] : undefined
    markSeen(tx, sequence, {
      seq,
      hash,
      threadId,
      begins,
      holesMax: limits.counterHolesMax,
      ...(gap === undefined && !begins ? {} : { missed: prev }),
    })
    const isCopy = from === self.address
    const message: Received = {
      id: content.id,
      type: content.type,
      body: content.body,
      from,
      device,
      peer: isCopy ? conversation : from,
      threadId,
      ...(content.referentId === undefined ? {} : { referentId: content.referentId }),
      ...(isCopy ? { copy: true } : {}),
    }
    const { protocol } = found
    const record = findThread(tx, { protocol: protocol.uri, peer: message.peer, threadId: message.threadId })
    if (record === undefined && !mayBegin(tx, protocol, { peer: message.peer, isCopy, threadsMax: limits.strangerThreadsMax })) {
      refuse(tx, 'thread-quota', from)
      return 'done'
    }
    const told = {
      ...parts.threads,
      deliver: (inner: Tx, delivered: Received): void => {
        inner.put('inbox', inner.next('inbox'), {
          message: delivered,
          sent: content.sent,
          received: inner.now,
          attempt: 0,
          ...(gap === undefined ? {} : { gap }),
          ...(late ? { late: true as const } : {}),
        })
      },
    }
    const stepped = stepThread(tx, told, { protocol, record, input: { kind: 'message', message, now: tx.steady } })
    if (stepped.problem !== undefined) {
      refuse(tx, stepped.problem, from)
      const code = reportCode(stepped.problem)
      if (code !== undefined && protocol.uri !== problemReport.uri)
        parts.reports.send(tx, { to: from, code, id: content.id, threadId })
    }
    // A receipt of a person gets none of the machine.
    if (!isCopy && protocol.uri !== receipts.uri) receipt(tx, { to: from, id: content.id, hash })
    return 'done'
  }

  const applyKernel = (tx: Tx, opening: Opening & { outcome: 'opened' }): void => {
    const { content, device } = opening
    const { from, type, body, id } = content
    if (type === keyType) {
      const account = self.account()
      const read =
        account === undefined
          ? undefined
          : readKeyBody(body, { from, device, reader: { address: self.address, account }, now: tx.now })
      if (read?.ok !== true) {
        refuse(tx, read?.code ?? 'not-addressed', from)
        return
      }
      const key = sessionKey(from, read.smk.sid)
      const taken = takeKey(tx.get('held', key), read.smk, { source: 'ahead', now: tx.now })
      if (taken.outcome === 'taken') tx.put('held', key, taken.held)
      parts.dialBack.cancel(tx, key)
      inbound.unlock(tx, from, (row) => row.cause === 'key-unknown' && row.sid === read.smk.sid)
      return
    }
    if (type === delivered.type) {
      takeReceipt(tx, { from, body })
      return
    }
    if (type === resendType) {
      const pin = tx.get('pin', from)
      const isActive = pin !== undefined && keyring.device(pin, device)?.status === 'active'
      const options = { ...parts.threads.outbox, body, self: self.address, inc: self.profile().inc, sealed: parts.sealed }
      if (isActive) answerAgain(tx, { from, device }, options)
      return
    }
    if (type === goneType) {
      const gone = takeGone(tx, { from, device }, { body, numbersMax: limits.resendNumbersMax })
      for (const _ of gone) refuse(tx, 'message-gone', from)
      if (gone.length > 0) inbound.unlock(tx, from, (row) => row.cause === 'order' && !stillWaits(tx, row))
      return
    }
    const known = Object.values(dialBack.messages).some((message) => message.type === type)
    if (!known) {
      refuse(tx, 'type-unknown', from)
      return
    }
    const message: Received = { id, type, body, from, device, peer: from, threadId: content.threadId ?? id }
    parts.dialBack.receive(tx, message)
  }

  const confirm = (tx: Tx, under: { readonly owner: Address; readonly sid: string }): void => {
    const key = sessionKey(under.owner, under.sid)
    const held = tx.get('held', key)
    if (held === undefined || held.status === 'working') return
    tx.put('held', key, confirmKey(held))
    parts.dialBack.opened(tx, key)
  }

  // A stanza that was handed over may be what others of its sender wait for.
  const release = (tx: Tx, from: Address): void => {
    unlock(tx, from, { which: () => false, released: true })
  }

  const unlock = (
    tx: Tx,
    from: Address,
    { which, released: before = false }: { which(row: LockedRow): boolean; readonly released?: boolean },
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
        const outcome = again(tx, key, row)
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
  const again = (tx: Tx, key: string, row: LockedRow): 'opened' | 'refused' | 'locked' => {
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
        : lockOf(apply(tx, opening, { patient: row.deadline > tx.steady, key, was: row.cause }), row.from)
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

  const inbound: Inbound = {
    receive(tx, stanza, epoch) {
      if (stanza.n !== undefined) tx.put('position', 'relay', { epoch, n: stanza.n })
      if (stanza.from === self.address && stanza.device === self.device) {
        refuse(tx, 'own-stanza', stanza.from)
        return
      }
      const opening = openStanza(stanza, { self, keyring, state: tx })
      if (opening.outcome === 'refused') {
        refuse(tx, opening.code, stanza.from)
        return
      }
      if (opening.outcome === 'locked') {
        lock(tx, stanza, opening)
        return
      }
      const result = apply(tx, opening, { patient: true })
      const waits = lockOf(result, stanza.from)
      if (waits === undefined) release(tx, stanza.from)
      else lock(tx, stanza, waits)
    },

    unlock: (tx, from, which) => unlock(tx, from, { which }),

    expire(tx, keys) {
      for (const key of keys) {
        const row = tx.get('locked', key)
        if (row === undefined) continue
        const { cause, from, deadline, ask = deadline } = row
        if (Math.min(ask, deadline) > tx.steady) tx.after(() => parts.wakeAt(Math.min(ask, deadline), `locked ${key}`))
        else if (cause === 'order') expireOrder(tx, key, row)
        else {
          tx.del('locked', key)
          refuse(tx, `undecryptable-${cause}`, from)
        }
      }
    },
  }
  return inbound

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

  function askFor(tx: Tx, { from, after }: LockedRow): void {
    if (after === undefined) return
    const { seq, ...sequence } = after
    const here = new Set<number>()
    for (const key of lockedOf(tx, from)) {
      const row = tx.get('locked', key)
      if (row?.seq !== undefined && row.after?.device === after.device && row.after.inc === after.inc) here.add(row.seq)
    }
    askAgain(tx, sequence, { ...parts.threads.outbox, seq, here })
  }

  function isFurtherDevice(): boolean {
    return self.card()?.card.devices[0]?.id !== self.device
  }

  function isStale(content: Content, now: number): boolean {
    const tolerance = coreLimits.clockToleranceMs
    return content.sent > now + tolerance || content.sent < now - parts.lifetimeMs - tolerance
  }
}

// Contacts may begin as many threads as they like; each is kept for as long as its protocol says.
function mayBegin(
  tx: Tx,
  { uri, roles }: Protocol,
  { peer, isCopy, threadsMax }: { readonly peer: Address; readonly isCopy: boolean; readonly threadsMax: number },
): boolean {
  if (isCopy || tx.get('conversation', peer)?.contact === true) return true
  const threads = Object.keys(roles).map((role) => tx.group('thread', `${uri} ${role} ${peer}`).keys.size)
  return threads.reduce((sum, count) => sum + count, 0) < threadsMax
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

function lockOf(applied: Applied, owner: Address): Lock | undefined {
  if (applied === 'done') return undefined
  if (applied === 'protocol-unknown') return { cause: applied, owner }
  return { cause: 'order', owner, ...applied }
}

// Spares opening a message that would only wait again.
function stillWaits(tx: Tx, { after }: LockedRow): boolean {
  if (after === undefined) return false
  return !isSettled(tx, after, after.seq)
}

// Something of the same device that came before this stanza is locked and can still open: relays keep the order per device.
function mayStillOpen(tx: Tx, { content, device }: Opening & { outcome: 'opened' }, ownKey: string | undefined): boolean {
  for (const key of lockedOf(tx, content.from)) {
    if (ownKey !== undefined && key >= ownKey) return false
    const row = tx.get('locked', key)
    if (row?.device === device && isUnderRepair(row)) return true
  }
  return false
}

function isUnderRepair({ cause }: LockedRow): boolean {
  return cause !== 'order' && cause !== 'protocol-unknown'
}
