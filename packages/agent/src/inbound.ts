/**
 * One inbound stanza, one whole step (design §7): open, check numbers, step the machine, write inbox, outbox, counters and
 * keys. What cannot be opened yet is locked with its cause; what may never be opened is refused and counted.
 * @module
 */
import { type Address, concat, limits as coreLimits, type DeviceId, type StanzaId } from '@parley/core'
import { kernelPrefix, type Received, type Registry } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { confirmKey, keyType, readKeyBody, sessionKey, takeKey } from '@parley/session'
import type { Content } from './content.ts'
import { isKnown, isSeen, markSeen, type Sequence, wasMissed } from './counters.ts'
import type { DialBack } from './dial-back.ts'
import { noteVersion } from './directory.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import { type Opening, openStanza, type Sealed } from './open.ts'
import { addReceipt, receiptType, takeReceipt } from './receipts.ts'
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
  /** After the commit: a card of this account is missing, or a newer one exists. */
  wantCards(address: Address): void
  /** After the commit: counted, and shown to the developer. Never content. */
  report(code: string, from: Address): void
  /** After the commit: a message waits, or waits no longer. */
  locked(kind: 'locked' | 'opened', from: Address, cause: LockCause): void
  wakeAt(ms: number): void
}

export interface Inbound {
  /** A stanza from the relay, at its position. */
  receive(tx: Tx, stanza: InboundStanza, epoch: string): void
  /** Looks at locked stanzas again, in the order they came. Answers how many were opened. */
  unlock(tx: Tx, which: (row: LockedRow) => boolean): number
  /** Ends the waits that are over. */
  expire(tx: Tx): void
}

/** Why a stanza waits. */
type Lock = {
  readonly cause: LockCause
  readonly owner: Address
  readonly sid?: string
  readonly code?: string
  readonly after?: Waited
}

/** What became of an opened message: done with, or the number of the message that must come before it. */
type Applied = 'done' | 'protocol-unknown' | Waited
type Waited = NonNullable<LockedRow['after']>

export function createInbound(parts: InboundParts): Inbound {
  const { self, keyring, limits } = parts

  const refuse = (tx: Tx, code: string, from: Address): void => {
    tx.after(() => parts.report(code, from))
  }

  const lock = (tx: Tx, stanza: InboundStanza, opening: Lock): void => {
    const { from, device, entry, body } = stanza
    if (!isWithinQuota(tx, from, entry.length + body.length, limits)) {
      refuse(tx, 'locked-quota', from)
      return
    }
    const deadline = opening.cause === 'order' ? tx.now + limits.orderWaitMs : tx.now + parts.lifetimeMs
    tx.put('locked', tx.next('locked'), {
      cause: opening.cause,
      from,
      device,
      owner: opening.owner,
      ...(opening.sid === undefined ? {} : { sid: opening.sid }),
      ...(opening.after === undefined ? {} : { after: opening.after }),
      received: tx.now,
      deadline,
      entryLength: entry.length,
      bytes: concat(entry, body),
    })
    tx.after(() => {
      parts.wakeAt(deadline)
      parts.locked('locked', from, opening.cause)
      if (opening.code !== undefined) parts.report(opening.code, from)
    })
    repair(tx, opening, device)
  }

  const repair = (tx: Tx, { cause, owner, sid }: Lock, device: DeviceId): void => {
    if (cause === 'key-unknown' && sid !== undefined) parts.dialBack.ask(tx, { owner, device, sid })
    else if (cause === 'card-unknown' || cause === 'card-outdated') tx.after(() => parts.wantCards(owner))
  }

  const apply = (
    tx: Tx,
    opening: Opening & { outcome: 'opened' },
    options: { readonly patient: boolean; readonly key?: string },
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
    if (isSeen(tx, sequence, seq)) {
      refuse(tx, 'duplicate', from)
      return 'done'
    }
    const found = parts.registry.find(content.type)
    if (found === undefined) return 'protocol-unknown'
    const lacks = prev > 0 && !isSeen(tx, sequence, prev) && !wasMissed(tx, sequence, prev)
    // What was said before this device was let in never went to it: the thread begins here, without a gap.
    const begins = lacks && isFurtherDevice() && !isKnown(tx, sequence) && !mayStillOpen(tx, opening, options.key)
    const waitsFor = lacks && !begins
    if (waitsFor && options.patient) return { ...sequence, seq: prev }
    const late = wasMissed(tx, sequence, seq)
    markSeen(tx, sequence, { seq, holesMax: limits.counterHolesMax, ...(lacks ? { missed: prev } : {}) })
    const isCopy = from === self.address
    const message: Received = {
      id: content.id,
      type: content.type,
      body: content.body,
      from,
      device,
      peer: isCopy ? conversation : from,
      // A message without a thread is one of its own.
      threadId: content.threadId ?? content.id,
      ...(content.referentId === undefined ? {} : { referentId: content.referentId }),
      ...(isCopy ? { copy: true } : {}),
    }
    const { protocol } = found
    const record = findThread(tx, { protocol: protocol.uri, peer: message.peer, threadId: message.threadId })
    const told = {
      ...parts.threads,
      deliver: (inner: Tx, delivered: Received): void => {
        inner.put('inbox', inner.next('inbox'), {
          message: delivered,
          sent: content.sent,
          received: inner.now,
          attempt: 0,
          ...(waitsFor ? { gap: [prev] } : {}),
          ...(late ? { late: true as const } : {}),
        })
      },
    }
    const stepped = stepThread(tx, told, { protocol, record, input: { kind: 'message', message, now: tx.now } })
    if (stepped.problem !== undefined) refuse(tx, stepped.problem, from)
    if (!isCopy)
      addReceipt(tx, { to: from, id: content.id, hash: opening.payloadHash, dueMs: limits.receiptDelayMs, wakeAt: parts.wakeAt })
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
      inbound.unlock(tx, (row) => row.cause === 'key-unknown' && row.owner === from && row.sid === read.smk.sid)
      return
    }
    if (type === receiptType) {
      takeReceipt(tx, { from, body })
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
    unlock(tx, () => false, new Set([from]))
  }

  const unlock = (tx: Tx, which: (row: LockedRow) => boolean, released: Set<Address>): number => {
    let opened = 0
    // Whatever opens may release an earlier one, so the pass is repeated until nothing moves.
    for (let moved = true; moved; ) {
      moved = false
      for (const [key, row] of [...tx.rows('locked')]) {
        const isReleased = row.cause === 'order' && released.has(row.from) && !stillWaits(tx, row)
        if (!(isReleased || which(row)) || tx.get('locked', key) !== row) continue
        const outcome = again(tx, key, row)
        if (outcome === 'locked') continue
        moved = true
        if (outcome === 'refused') continue
        opened++
        released.add(row.from)
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
      opening.outcome === 'locked' ? opening : lockOf(apply(tx, opening, { patient: row.deadline > tx.now, key }), row.from)
    if (lock === undefined) {
      tx.del('locked', key)
      tx.after(() => parts.locked('opened', row.from, row.cause))
      return 'opened'
    }
    const { cause, owner, sid, after, code } = lock
    if (cause === row.cause) return 'locked'
    const { sid: _, after: __, ...rest } = row
    const deadline = cause === 'order' ? tx.now + limits.orderWaitMs : row.deadline
    tx.put('locked', key, {
      ...rest,
      cause,
      owner,
      deadline,
      ...(sid === undefined ? {} : { sid }),
      ...(after === undefined ? {} : { after }),
    })
    tx.after(() => {
      parts.wakeAt(deadline)
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

    unlock: (tx, which) => unlock(tx, which, new Set()),

    expire(tx) {
      const due = [...tx.rows('locked')].filter(([, row]) => row.deadline <= tx.now)
      if (due.length === 0) return
      const underRepair = new Set<string>()
      for (const [, row] of tx.rows('locked')) if (isUnderRepair(row) && row.deadline > tx.now) underRepair.add(senderOf(row))
      for (const [key, row] of due) {
        if (row.cause === 'order' && underRepair.has(senderOf(row))) {
          // What it waits for may be locked itself: no gap while that can still open.
          const deadline = tx.now + limits.orderWaitMs
          tx.put('locked', key, { ...row, deadline })
          tx.after(() => parts.wakeAt(deadline))
        } else if (row.cause === 'order') unlock(tx, (candidate) => candidate === row, new Set())
        else {
          tx.del('locked', key)
          refuse(tx, `undecryptable-${row.cause}`, row.from)
        }
      }
    },
  }
  return inbound

  function isFurtherDevice(): boolean {
    return self.card()?.card.devices[0]?.id !== self.device
  }

  function isStale(content: Content, now: number): boolean {
    const tolerance = coreLimits.clockToleranceMs
    return content.sent > now + tolerance || content.sent < now - parts.lifetimeMs - tolerance
  }
}

// Contacts may fill what the disk gives; strangers only so much.
function isWithinQuota(tx: Tx, from: Address, bytes: number, limits: AgentLimits): boolean {
  if (tx.get('conversation', from)?.contact === true) return true
  let count = 1
  let total = bytes
  for (const [, row] of tx.rows('locked')) {
    if (row.from !== from) continue
    count++
    total += row.bytes.length
  }
  return count <= limits.lockedStanzasMax && total <= limits.lockedBytesMax
}

function senderOf({ from, device }: LockedRow): string {
  return `${from} ${device}`
}

function lockOf(applied: Applied, owner: Address): Lock | undefined {
  if (applied === 'done') return undefined
  if (applied === 'protocol-unknown') return { cause: applied, owner }
  return { cause: 'order', owner, after: applied }
}

// Spares opening a message that would only wait again.
function stillWaits(tx: Tx, { after }: LockedRow): boolean {
  if (after === undefined) return false
  return !isSeen(tx, after, after.seq) && !wasMissed(tx, after, after.seq)
}

// Something of the same device that came before this stanza is locked and can still open: relays keep the order per device.
function mayStillOpen(tx: Tx, { content, device }: Opening & { outcome: 'opened' }, ownKey: string | undefined): boolean {
  for (const [key, row] of tx.rows('locked')) {
    if (ownKey !== undefined && key >= ownKey) return false
    if (row.from === content.from && row.device === device && isUnderRepair(row)) return true
  }
  return false
}

function isUnderRepair({ cause }: LockedRow): boolean {
  return cause !== 'order' && cause !== 'protocol-unknown'
}
