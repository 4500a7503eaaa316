/**
 * The limits of a relay: on by default, each with a name (design §8, guarantee 6).
 * @module
 */
import { limits } from '@parley/core'
import { cardBytesMax } from '@parley/identity'
import { type MailboxLimits, mailboxLimits } from '@parley/mailbox'
import { type StreamLimits, streamLimits } from '@parley/stream'

/** The limits of a relay; docs/limits.md lists them with their defaults. */
export type RelayLimits = {
  readonly stream: StreamLimits
  readonly mailbox: MailboxLimits
  /** Open connections of every kind. */
  readonly connectionsMax: number
  /** Open connections from one network address; of IPv6, from one /64. As many again that are no WebSocket, or not yet. */
  readonly connectionsPerPeerMax: number
  /** New connections from one network address; as many may come at once. */
  readonly connectionsPerPeerPerMinute: number
  /** Frames of one connection. One that is faster is read more slowly. */
  readonly framesPerSecond: number
  /** So many frames a connection may be ahead of its rate. */
  readonly framesBurst: number
  /** Octets of one connection. One that is faster is read more slowly. */
  readonly bytesPerSecond: number
  /** So many octets a connection may be ahead of its rate. */
  readonly bytesBurst: number
  /** Frames of one connection of another relay. One that is faster is read more slowly. */
  readonly peerFramesPerSecond: number
  /** Octets of one connection of another relay. One that is faster is read more slowly. */
  readonly peerBytesPerSecond: number
  /** Stanzas of one account, from all its devices together; what is above bounces with a time to try again. */
  readonly stanzasPerAccountPerSecond: number
  /** So many stanzas an account may be ahead of its rate. */
  readonly stanzasPerAccountBurst: number
  /** Octets of the stanzas of one account. */
  readonly bytesPerAccountPerSecond: number
  /** So many octets an account may be ahead of its rate; at least one frame. */
  readonly bytesPerAccountBurst: number
  /** What one device asks: cards, statements, its block list and so on; what is above is refused for now. */
  readonly requestsPerDevicePerSecond: number
  /** So many requests a device may be ahead of its rate. */
  readonly requestsPerDeviceBurst: number
  /** Accounts opened from one network address. */
  readonly registrationsPerPeerPerHour: number
  /** Refused logins from one network address, above which none is looked at for a while. */
  readonly loginFailuresPerPeerPerMinute: number
  /** HTTP requests from one network address. */
  readonly requestsPerPeerPerSecond: number
  /** Accounts registered here. */
  readonly accountsMax: number
  /** Devices in use on one account's card. */
  readonly devicesPerAccountMax: number
  /** Octets of one card; at most what is read of one at all, 32 KiB. */
  readonly cardBytesMax: number
  /** Versions of one account's card: all of them are kept, so that whoever pinned an old one can follow. */
  readonly cardsPerAccountMax: number
  /** Addresses and domains that one account may block. */
  readonly blocksPerAccountMax: number
  /** Stanzas that the mailboxes of all devices of one account may hold together. */
  readonly accountCountMax: number
  /** Octets that the mailboxes of all devices of one account may hold together. */
  readonly accountBytesMax: number
  /** Stanzas that may wait for one other domain. */
  readonly queueCountMax: number
  /** Octets that may wait for one other domain. */
  readonly queueBytesMax: number
  /** Devices that one stanza may go to. */
  readonly fanOutMax: number
  /** Open invitations. */
  readonly invitesMax: number
  /** After an account was removed nobody else gets its address for so long: mail for it may still be under way. */
  readonly addressHeldMs: number
  /** From the opening of a connection to its login; before it the handshakes of TLS and of the WebSocket may take as long each. */
  readonly loginTimeoutMs: number
  /** A refused login is answered this long after it came, whatever the reason was. */
  readonly refusalDelayMs: number
  /** A connection from which nothing was heard for so long is closed. */
  readonly idleMs: number
  /** How long an open request to another relay waits. */
  readonly requestTimeoutMs: number
  /** Open requests to one other relay. */
  readonly remoteRequestsMax: number
  /** Octets waiting for a slow connection, above which nothing more is read for it; one for which four times as many wait is ended. */
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
  /** A failure to find a domain that no route leads to is remembered so long. */
  readonly discoveryFailureMs: number
  /** Documents of other domains that are being fetched at once; at most half of them because somebody claims to be that domain. */
  readonly keysFetchesMax: number
  /** Other domains known at once. */
  readonly peersMax: number
  /** A connection to a domain without a route, on which nothing was said for so long, is closed. */
  readonly peerIdleMs: number
  /** What waits for a domain that was never reached since the start is given up after this, as if there were no such domain. */
  readonly undiscoveredMs: number
  /** How long a stanza may wait for another relay. */
  readonly queueMsMax: number
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
  connectionsPerPeerMax: 1_000,
  connectionsPerPeerPerMinute: 600,
  framesPerSecond: 1_000,
  framesBurst: 10_000,
  bytesPerSecond: 8 * 1024 * 1024,
  bytesBurst: 64 * 1024 * 1024,
  peerFramesPerSecond: 20_000,
  peerBytesPerSecond: 64 * 1024 * 1024,
  stanzasPerAccountPerSecond: 1_000,
  stanzasPerAccountBurst: 20_000,
  bytesPerAccountPerSecond: 8 * 1024 * 1024,
  bytesPerAccountBurst: 64 * 1024 * 1024,
  requestsPerDevicePerSecond: 100,
  requestsPerDeviceBurst: 2_000,
  registrationsPerPeerPerHour: 100,
  loginFailuresPerPeerPerMinute: 60,
  requestsPerPeerPerSecond: 10,
  accountsMax: 100_000,
  devicesPerAccountMax: 32,
  cardBytesMax,
  cardsPerAccountMax: 2_000,
  blocksPerAccountMax: 1_000,
  accountCountMax: 40_000,
  accountBytesMax: 256 * 1024 * 1024,
  queueCountMax: 100_000,
  queueBytesMax: 512 * 1024 * 1024,
  fanOutMax: 1_024,
  invitesMax: 1_000,
  addressHeldMs: limits.lifetimeMs + 2 * 86_400_000,
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
  discoveryFailureMs: 60_000,
  keysFetchesMax: 64,
  peersMax: 10_000,
  peerIdleMs: 300_000,
  undiscoveredMs: 600_000,
  queueMsMax: 5 * 86_400_000,
  keysBytesMax: 16 * 1024,
  expiryIntervalMs: 60_000,
  cardsInMemoryMax: 10_000,
  answerBytesMax: 512 * 1024,
  drainMs: 3_000,
}

/** Limits that are taken at the start and hold until the next one. All others change with `setLimits`. */
export const limitsOfTheStart: readonly (keyof RelayLimits)[] = [
  'stream',
  'mailbox',
  'accountsMax',
  'devicesPerAccountMax',
  'cardBytesMax',
  'cardsPerAccountMax',
  'blocksPerAccountMax',
  'accountCountMax',
  'accountBytesMax',
  'queueCountMax',
  'queueBytesMax',
  'invitesMax',
  'addressHeldMs',
  'cardsInMemoryMax',
]
