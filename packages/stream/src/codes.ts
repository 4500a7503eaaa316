/**
 * The words in which a hop says no: codes on the wire, whether trying again may help, and the WebSocket close code.
 * They are stable for ever; internals never leave. A code that a peer does not know is treated as its `retryable` says.
 * @module
 */

/** Ends the stream: sent in an error frame, then as the reason of the close. */
export type StreamCode =
  | 'version-unsupported'
  | 'frame-malformed'
  | 'frame-too-large'
  | 'frame-unexpected'
  | 'login-timeout'
  | 'login-stale'
  | 'login-refused'
  | 'registration-closed'
  | 'registration-refused'
  | 'invite-refused'
  | 'address-taken'
  | 'domain-unknown'
  | 'proof-refused'
  | 'keys-unavailable'
  | 'relay-key-changed'
  | 'ack-beyond'
  | 'stanza-gap'
  | 'stanza-not-yours'
  | 'stanza-not-here'
  | 'window-exceeded'
  | 'superseded'
  | 'device-cloned'
  | 'device-removed'
  | 'going-away'
  | 'idle'
  | 'overloaded'
  | 'rate-limited'
  | 'account-removed'
  | 'internal'

/** Ends one stanza, or its way to some of its recipients. */
export type BounceCode =
  | 'stanza-malformed'
  | 'recipient-unknown'
  | 'domain-unknown'
  | 'mailbox-full'
  | 'queue-full'
  | 'expired'
  | 'expiry-too-late'
  | 'undeliverable'
  | 'unavailable'
  | 'rate-limited'
  | 'forbidden'

/** Ends one request. */
export type RequestCode =
  | 'request-malformed'
  | 'request-unknown'
  | 'too-many-requests'
  | 'item-not-found'
  | 'domain-unknown'
  | 'forbidden'
  | 'card-invalid'
  | 'card-too-large'
  | 'card-rollback'
  | 'card-chain-broken'
  | 'card-fork'
  | 'statement-invalid'
  | 'too-many-devices'
  | 'too-many-cards'
  | 'too-many-blocks'
  | 'unavailable'

type Ending = { readonly close: number; readonly retryable: boolean }

/** Close codes are 4000 and up, the private range of RFC 6455 §7.4.2. */
export const streamCodes: Readonly<Record<StreamCode, Ending>> = {
  'version-unsupported': { close: 4000, retryable: false },
  'frame-malformed': { close: 4001, retryable: false },
  'frame-too-large': { close: 4002, retryable: false },
  'frame-unexpected': { close: 4003, retryable: false },
  'login-timeout': { close: 4004, retryable: true },
  'login-stale': { close: 4005, retryable: true },
  'login-refused': { close: 4006, retryable: false },
  'registration-closed': { close: 4007, retryable: false },
  'registration-refused': { close: 4008, retryable: false },
  'address-taken': { close: 4009, retryable: false },
  'domain-unknown': { close: 4010, retryable: false },
  'proof-refused': { close: 4011, retryable: false },
  'relay-key-changed': { close: 4012, retryable: false },
  'ack-beyond': { close: 4013, retryable: false },
  'stanza-gap': { close: 4014, retryable: true },
  'stanza-not-yours': { close: 4015, retryable: false },
  'stanza-not-here': { close: 4016, retryable: false },
  'window-exceeded': { close: 4017, retryable: false },
  superseded: { close: 4018, retryable: false },
  'device-cloned': { close: 4019, retryable: false },
  'device-removed': { close: 4020, retryable: false },
  'going-away': { close: 4021, retryable: true },
  idle: { close: 4022, retryable: true },
  overloaded: { close: 4023, retryable: true },
  internal: { close: 4024, retryable: true },
  'keys-unavailable': { close: 4025, retryable: true },
  'invite-refused': { close: 4026, retryable: false },
  'rate-limited': { close: 4027, retryable: true },
  'account-removed': { close: 4028, retryable: false },
}

/** Whether sending again may help. */
export const bounceCodes: Readonly<Record<BounceCode, { readonly retryable: boolean }>> = {
  'stanza-malformed': { retryable: false },
  'recipient-unknown': { retryable: false },
  'domain-unknown': { retryable: false },
  'mailbox-full': { retryable: true },
  'queue-full': { retryable: true },
  expired: { retryable: false },
  'expiry-too-late': { retryable: false },
  undeliverable: { retryable: false },
  unavailable: { retryable: true },
  'rate-limited': { retryable: true },
  forbidden: { retryable: false },
}

/** Whether asking again may help. */
export const requestCodes: Readonly<Record<RequestCode, { readonly retryable: boolean }>> = {
  'request-malformed': { retryable: false },
  'request-unknown': { retryable: false },
  'too-many-requests': { retryable: true },
  'item-not-found': { retryable: false },
  'domain-unknown': { retryable: false },
  forbidden: { retryable: false },
  'card-invalid': { retryable: false },
  'card-too-large': { retryable: false },
  'card-rollback': { retryable: false },
  'card-chain-broken': { retryable: false },
  'card-fork': { retryable: false },
  'statement-invalid': { retryable: false },
  'too-many-devices': { retryable: false },
  'too-many-cards': { retryable: false },
  'too-many-blocks': { retryable: false },
  unavailable: { retryable: true },
}

/** What may stand as a code on the wire. */
export function isCode(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z][a-z0-9-]{0,63}$/.test(value)
}
