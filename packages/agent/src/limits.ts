/**
 * The limits of an agent: everything that grows or waits has one, with a name and a default. Times are milliseconds.
 * @module
 */

import { limits as coreLimits } from '@parley/core'
import { sessionLimits } from '@parley/session'
import { AgentError } from './errors.ts'

/** The limits of an agent, each with a name. Times are milliseconds. */
export type AgentLimits = {
  /** L: how long a message may be on its way (design §7). At most that of the relays. */
  readonly lifetimeMs: number
  /** Session keys are kept so long after their last use, own and others'. */
  readonly sessionRetentionMs: number
  /** A replaced agreement key is kept so long. */
  readonly agreementRetentionMs: number
  /** Numbers of a sender are remembered so long after the last one. */
  readonly counterRetentionMs: number
  /** Messages and sealed stanzas in the outbox that no relay has accepted yet; `send` refuses more. */
  readonly outboxMessagesMax: number
  /** So many more for what the agent and its protocols send by themselves; what goes beyond is dropped and reported. */
  readonly outboxAnswersMax: number
  /** Octets of a message's attributes set. */
  readonly messageBytesMax: number
  /** Locked stanzas per account that is not a contact. */
  readonly lockedStanzasMax: number
  /** Octets of them. */
  readonly lockedBytesMax: number
  /** Threads of one protocol that an account which is not a contact may begin, while their records are kept. */
  readonly strangerThreadsMax: number
  /** How long a message waits for the one before it in its thread. */
  readonly orderWaitMs: number
  /** After this long its sender is asked for what is missing. */
  readonly orderAskMs: number
  /** Numbers that one request for missing messages names. */
  readonly resendNumbersMax: number
  /** Requests for missing messages that are answered to one account in an hour. */
  readonly resendRequestsPerHourMax: number
  /** Messages that relays accepted and that are kept for readers that miss them, the newest. */
  readonly resendMessagesMax: number
  /** Octets of them. */
  readonly resendBytesMax: number
  /** Missing numbers that are remembered per sender, so that they are still taken when they come late. */
  readonly counterHolesMax: number
  /** Time to the first retry of a connection or a fetch; doubles up to the maximum. */
  readonly retryMsMin: number
  /** Time between two retries at the most. */
  readonly retryMsMax: number
  /** How long a relay may ask to be left alone, when one of its limits was met. */
  readonly relayWaitMsMax: number
  /** How long an attempt to reach the relay may take. */
  readonly dialTimeoutMs: number
  /** How long a relay may take to answer a request. */
  readonly requestTimeoutMs: number
  /** Silence on the stream after which the agent asks for a sign of life, and after which it gives the connection up. */
  readonly idleMsMax: number
  /** How long closing waits for handlers that still run. */
  readonly handlersMsMax: number
  /** Delivered receipts that follow one soon are gathered for this long. */
  readonly receiptDelayMs: number
  /** Problem reports to one account in an hour. */
  readonly reportsPerHourMax: number
  /** Cards and statements are asked for again after this long, at the next send. */
  readonly directoryMsMax: number
  /** A device's own agreement key is replaced after this long. */
  readonly agreementKeyMsMax: number
}

const dayMs = 86_400_000

/** The limits of an agent that is given no others. */
export const agentLimits: AgentLimits = {
  lifetimeMs: coreLimits.lifetimeMs,
  sessionRetentionMs: sessionLimits.retentionMs,
  // A sender may seal to the old key until its statement ends, and the stanza may take the lifetime L to come.
  agreementRetentionMs: coreLimits.statementLifetimeMs + coreLimits.lifetimeMs + 2 * dayMs,
  counterRetentionMs: coreLimits.lifetimeMs + 2 * dayMs,
  outboxMessagesMax: 10_000,
  outboxAnswersMax: 1000,
  messageBytesMax: 256 * 1024,
  lockedStanzasMax: 100,
  lockedBytesMax: 1024 * 1024,
  strangerThreadsMax: 100,
  orderWaitMs: 30_000,
  orderAskMs: 2000,
  resendNumbersMax: 64,
  resendRequestsPerHourMax: 120,
  resendMessagesMax: 1024,
  resendBytesMax: 4 * 1024 * 1024,
  counterHolesMax: 1024,
  retryMsMin: 250,
  retryMsMax: 30_000,
  relayWaitMsMax: 600_000,
  dialTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  idleMsMax: 60_000,
  handlersMsMax: 5000,
  receiptDelayMs: 50,
  reportsPerHourMax: 10,
  directoryMsMax: 3_600_000,
  agreementKeyMsMax: 7 * 86_400_000,
}

/** What outlives a message by two days at least: its last day, and clocks that differ. */
const retentions = ['sessionRetentionMs', 'agreementRetentionMs', 'counterRetentionMs'] as const

/** Refuses limits under which a message could come when what is needed for it is gone (`ERR_AGENT_LIMITS_INCONSISTENT`). */
export function checkLimits(limits: AgentLimits): AgentLimits {
  if (!(limits.lifetimeMs > 0 && limits.lifetimeMs <= coreLimits.lifetimeMs))
    throw new AgentError('ERR_AGENT_LIMITS_INCONSISTENT', `lifetimeMs must be at most ${coreLimits.lifetimeMs}`)
  for (const name of retentions) {
    if (!(limits[name] >= limits.lifetimeMs + 2 * dayMs))
      throw new AgentError('ERR_AGENT_LIMITS_INCONSISTENT', `${name} must be lifetimeMs and two days at least`)
  }
  return limits
}
