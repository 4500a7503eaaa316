/**
 * Sending: the protocol that sends such messages takes a step, and the message stands in the durable outbox with its
 * numbers, all in one batch. No network is needed for it; delivery.ts goes on from there.
 * @module
 */
import { type Address, type Random, uuidUrnFrom } from '@parley/core'
import { encodeAttributes } from '@parley/jwm'
import { kernelPrefix, type Outgoing, type Registry } from '@parley/kernel'
import type { Commit } from './commit.ts'
import { AgentError } from './errors.ts'
import type { AgentLimits } from './limits.ts'
import type { Sent, SentBook } from './sent.ts'
import { activeThread, findThread, stepThread, type ThreadParts } from './threads.ts'

export type SendParts = {
  readonly registry: Registry
  readonly commit: Commit
  readonly random: Random
  readonly limits: AgentLimits
  readonly threads: ThreadParts
  readonly sentBook: SentBook
}

/** Resolves when the message is in the durable outbox; rejects when it can never be sent. */
export async function send(parts: SendParts, peer: Address, message: Outgoing): Promise<Sent> {
  const { registry, commit, random, limits, threads, sentBook } = parts
  if (message.type.startsWith(kernelPrefix))
    throw new AgentError('ERR_AGENT_KERNEL_TYPE', 'messages of the kernel cannot be sent by applications')
  const sending = registry.sending(message)
  if (sending === undefined) throw new AgentError('ERR_AGENT_PROTOCOL_UNKNOWN', 'no protocol of this agent sends such messages')
  // What could never be sealed is refused here, while somebody listens.
  if (encodeAttributes(message).length > limits.messageBytesMax) {
    throw new AgentError('ERR_AGENT_MESSAGE_TOO_LARGE', `a message has at most ${limits.messageBytesMax} octets`)
  }
  const { protocol, role, event } = sending
  return await commit((tx) => {
    if (tx.get('pin', peer)?.held !== undefined)
      throw new AgentError('ERR_AGENT_TRUST_HELD', 'the keys of this account wait for a decision')
    const {
      threadId = activeThread(tx, threads, { protocol: protocol.uri, role, peer })?.threadId ?? uuidUrnFrom(random.bytes(16)),
    } = message
    let record = findThread(tx, { protocol: protocol.uri, peer, threadId })
    if (record === undefined) {
      record = stepThread(tx, threads, {
        protocol,
        record,
        input: { kind: 'start', role, threadId, peer, now: tx.steady },
      }).record
    }
    const stepped = stepThread(tx, threads, { protocol, record, input: { kind: 'command', event, now: tx.steady } })
    const [id] = stepped.sent
    if (id === undefined) {
      const reason = stepped.problem ?? stepped.outcome
      throw new AgentError('ERR_AGENT_PROTOCOL_PROBLEM', `the protocol did not send the message: ${reason}`, { reason })
    }
    return sentBook.handle(id, threadId)
  })
}
