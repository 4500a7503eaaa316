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
  /** Sealed stanzas that no relay has accepted yet. */
  waiting(): number
  /** A message came into the outbox; whatever can be sealed is sealed in the same step. */
  added(tx: Tx, key: string, to: Address): void
  /** False for what machines answer by themselves: nobody becomes a contact by asking. */
  readonly makesContact?: boolean
}

/** Puts a message into the outbox and answers its id. Messages of the application are counted and their fate is kept. */
export function enqueue(tx: Tx, draft: Draft, options: OutboxOptions): MessageId {
  const { limits, lifetimeMs } = options
  const isKernel = draft.type.startsWith(kernelPrefix)
  const waiting = tx.size('outbox') + options.waiting()
  if (!isKernel && waiting >= limits.outboxMessagesMax) {
    throw new AgentError('ERR_AGENT_OUTBOX_FULL', 'too many messages wait in the outbox', { retryable: true })
  }
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
    if (conversation?.contact !== true && options.makesContact !== false)
      tx.put('conversation', draft.to, { seq, ...conversation, contact: true })
  }
  options.added(tx, key, draft.to)
  return id
}
