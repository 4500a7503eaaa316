/**
 * What an opened message does, in its step (design §7): its number is checked, the machine of its protocol is stepped, inbox, outbox,
 * counters and keys are written. What it must wait for is an answer; waits.ts keeps it meanwhile.
 * @module
 */
import { type Address, limits as coreLimits } from '@parley/core'
import { kernelPrefix, type Protocol, type Received, type Registry, reportCode } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { problemReport } from '@parley/protocols/problem-report'
import { delivered, receipts } from '@parley/protocols/receipts'
import { confirmKey, keyType, readKeyBody, sessionKey, takeKey } from '@parley/session'
import type { Content } from './content.ts'
import { isKnown, isLate, isSeen, isSettled, markSeen, missingUpTo, otherDigest, type Sequence, wasMissed } from './counters.ts'
import type { DialBack } from './dial-back.ts'
import { noteVersion } from './directory.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import type { Opening } from './open.ts'
import { addReceipt, takeReceipt } from './receipts.ts'
import type { Reports } from './reports.ts'
import { answerAgain, goneType, resendType, takeGone } from './resend.ts'
import type { LockCause, LockedRow } from './rows.ts'
import type { Self } from './self.ts'
import type { Tx } from './state.ts'
import { findThread, stepThread, type ThreadParts } from './threads.ts'
import { mayStillOpen, stillWaits, waitingOf } from './waits.ts'

export type ApplyParts = {
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
  wakeAt(ms: number, name: string): void
}

/** What became of an opened message: done with, or what it waits for. */
export type Applied = 'done' | 'protocol-unknown' | 'signer-removed' | { readonly after: Waited; readonly seq: number }

/** The message that must come before another, by its number. */
export type Waited = NonNullable<LockedRow['after']>

export type Apply = (
  tx: Tx,
  opening: Opened,
  options: {
    /** It may wait for an earlier message. */
    readonly patient: boolean
    /** The row that it was locked in, and why. */
    readonly key?: string
    readonly was?: LockCause
    /** The person said that what a compromised device sent counts. */
    readonly takesRemoved?: boolean
  },
) => Applied

export type Opened = Opening & { outcome: 'opened' }

export function createApply(
  parts: ApplyParts & {
    /** Looks at the locked stanzas of an account again, in the order they came. */
    unlock(tx: Tx, from: Address, which: (row: LockedRow) => boolean): void
  },
): Apply {
  const { self, keyring, limits, unlock } = parts

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

  const apply: Apply = (tx, opening, options) => {
    const { content, device, under } = opening
    const { from } = content
    if (isStale(content, tx.now)) {
      refuse(tx, 'stale', from)
      return 'done'
    }
    if (under !== undefined) confirm(tx, under)
    if (noteVersion(tx, from, content.numbers.card)) tx.after(() => parts.wantCards(from))
    const isHeld = opening.compromised === true && options.takesRemoved !== true
    if (content.type.startsWith(kernelPrefix)) {
      // A key is held with the messages under it; the rest says nothing to a person.
      if (isHeld && content.type === keyType) return 'signer-removed'
      if (isHeld) refuse(tx, 'signer-removed', from)
      else applyKernel(tx, opening)
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
    if (isHeld) return 'signer-removed'
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
    const gap =
      isGap && !begins && !wasMissed(tx, sequence, prev)
        ? missingUpTo(tx, sequence, { prev, here: waitingOf(tx, sequence) })
        : undefined
    markSeen(tx, sequence, {
      seq,
      hash,
      threadId,
      begins,
      holesMax: limits.counterHolesMax,
      ...(gap === undefined && !begins ? {} : { missed: prev, isNamed: gap !== undefined }),
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

  const applyKernel = (tx: Tx, opening: Opened): void => {
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
      unlock(tx, from, (row) => row.cause === 'key-unknown' && row.sid === read.smk.sid)
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
      if (gone.length > 0) unlock(tx, from, (row) => row.cause === 'order' && !stillWaits(tx, row))
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

  return apply

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
