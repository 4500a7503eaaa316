/**
 * The durable outbox: what is to be sent, before it is sealed. A message has its number here, in the same batch as the
 * step that made it.
 * @module
 */
import { type Address, type DeviceId, type JsonObject, type MessageId, type Random, uuidUrnFrom } from '@parley/core'
import type { Seal } from '@parley/kernel'
import { kernelPrefix } from '@parley/kernel'
import { allot, tailKey } from './counters.ts'
import { AgentError } from './errors.ts'
import type { AgentLimits } from './limits.ts'
import type { OutboxRow } from './rows.ts'
import type { Tx } from './state.ts'

export type Draft = {
  readonly to: Address
  readonly type: string
  readonly body: JsonObject
  readonly threadId?: string
  readonly referentId?: string
  readonly devices?: readonly DeviceId[]
  readonly seal?: Seal
}

export type OutboxOptions = {
  readonly random: Random
  readonly limits: AgentLimits
  readonly lifetimeMs: number
  /** What waits as the steps so far left it: messages to be sealed, and stanzas that no relay has accepted yet. */
  waiting(): number
  /** A message came into the outbox; whatever can be sealed is sealed in the same step. */
  added(tx: Tx, key: string, to: Address): void
  /** After the commit: there was no room for something that the agent or a machine would have sent. */
  dropped(to: Address): void
}

/** Whether there is room for what the agent or a machine sends by itself, which has a reserve of its own. */
export function hasRoomForAnswer({ limits, waiting }: OutboxOptions): boolean {
  return waiting() < limits.outboxMessagesMax + limits.outboxAnswersMax
}

/** Puts what the application sends into the outbox and answers its id; refuses it when the outbox is full. */
export function enqueue(tx: Tx, draft: Draft, options: OutboxOptions): MessageId {
  if (options.waiting() >= options.limits.outboxMessagesMax)
    throw new AgentError('ERR_AGENT_OUTBOX_FULL', 'too many messages wait in the outbox', { retryable: true })
  return add(tx, draft, { ...options, makesContact: true })
}

/**
 * Puts what the agent or a machine sends by itself into the outbox. It belongs to a step that must not fail for it, so without
 * room it is dropped and reported; and nobody becomes a contact by asking.
 */
export function enqueueAnswer(tx: Tx, draft: Draft, options: OutboxOptions): MessageId | undefined {
  if (hasRoomForAnswer(options)) return add(tx, draft, { ...options, makesContact: false })
  tx.after(() => options.dropped(draft.to))
  return undefined
}

// Messages of applications and machines are counted, and their fate is kept.
function add(tx: Tx, draft: Draft, options: OutboxOptions & { readonly makesContact: boolean }): MessageId {
  const { lifetimeMs } = options
  const isKernel = draft.type.startsWith(kernelPrefix)
  // A brand: uuidUrnFrom makes what MessageId stands for.
  const id = uuidUrnFrom(options.random.bytes(16)) as MessageId
  const after = draft.threadId === undefined ? undefined : tx.get('tail', tailKey(draft.to, draft.threadId))?.id
  const { seq, prev } = isKernel ? { seq: 0, prev: 0 } : allot(tx, { ...draft, id })
  const row: OutboxRow = { id, ...draft, seq, prev, sent: tx.now, expiry: tx.now + lifetimeMs }
  const key = tx.next('outbox')
  tx.put('outbox', key, row)
  if (!isKernel) {
    const threadId = draft.threadId ?? id
    tx.put('sent', id, {
      to: draft.to,
      threadId,
      state: 'queued',
      expiry: row.expiry,
      ...(after === undefined ? {} : { after }),
    })
    const conversation = tx.get('conversation', draft.to)
    if (conversation?.contact !== true && options.makesContact)
      tx.put('conversation', draft.to, { seq, ...conversation, contact: true })
  }
  options.added(tx, key, draft.to)
  return id
}
