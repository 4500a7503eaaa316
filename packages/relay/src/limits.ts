/**
 * The limits of a relay: on by default, each with a name (design §8, guarantee 6).
 * @module
 */
import { limits } from '@parley/core'
import { type MailboxLimits, mailboxLimits } from '@parley/mailbox'
import { type StreamLimits, streamLimits } from '@parley/stream'

export type RelayLimits = {
  readonly stream: StreamLimits
  readonly mailbox: MailboxLimits
  /** Open connections of every kind. */
  readonly connectionsMax: number
  /** Open connections from one network address. */
  readonly connectionsPerPeerMax: number
  /** Accounts registered here. */
  readonly accountsMax: number
  /** From the opening of a connection to its login. */
  readonly loginTimeoutMs: number
  /** A refused login is answered this long after it came, whatever the reason was. */
  readonly refusalDelayMs: number
  /** A connection from which nothing was heard for so long is closed. */
  readonly idleMs: number
  /** How long an open request to another relay waits. */
  readonly requestTimeoutMs: number
  /** Open requests to one other relay. */
  readonly remoteRequestsMax: number
  /** Octets waiting for a slow connection, above which nothing more is read for it. */
  readonly bufferedBytesMax: number
  /** Stanza expiry may lie so far ahead. */
  readonly lifetimeMs: number
  /** How far clocks may differ. */
  readonly clockToleranceMs: number
  /** Between the first two attempts to reach another relay; doubled each time. */
  readonly retryMsMin: number
  /** Between two attempts to reach another relay at the most. */
  readonly retryMsMax: number
  /** How often the first of a queue is tried while the other relay says that it cannot store it just now. */
  readonly refusalsMax: number
  /** How long an attempt to reach another relay may take. */
  readonly dialTimeoutMs: number
  /** Published keys of another domain are fetched again after this. */
  readonly keysLifetimeMs: number
  /** A failure to fetch the keys of another domain is remembered so long. */
  readonly keysFailureMs: number
  /** The document with the keys of another domain. */
  readonly keysBytesMax: number
  /** Between two searches for what has expired. */
  readonly expiryIntervalMs: number
  /** Cards kept parsed in memory. */
  readonly cardsInMemoryMax: number
  /** Octets of cards or statements in one answer. */
  readonly answerBytesMax: number
  /** How long closing waits for connections to end. */
  readonly drainMs: number
}

/** The defaults. */
export const relayLimits: RelayLimits = {
  stream: streamLimits,
  mailbox: mailboxLimits,
  connectionsMax: 20_000,
  connectionsPerPeerMax: 5_000,
  accountsMax: 100_000,
  loginTimeoutMs: 5_000,
  refusalDelayMs: 200,
  idleMs: 90_000,
  requestTimeoutMs: 10_000,
  remoteRequestsMax: 256,
  bufferedBytesMax: 1024 * 1024,
  lifetimeMs: limits.lifetimeMs,
  clockToleranceMs: limits.clockToleranceMs,
  retryMsMin: 500,
  retryMsMax: 30_000,
  refusalsMax: 20,
  dialTimeoutMs: 10_000,
  keysLifetimeMs: 300_000,
  keysFailureMs: 2_000,
  keysBytesMax: 16 * 1024,
  expiryIntervalMs: 60_000,
  cardsInMemoryMax: 10_000,
  answerBytesMax: 512 * 1024,
  drainMs: 3_000,
}
