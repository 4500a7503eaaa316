/**
 * Limits that more than one package must agree on. Every limit has a name and a default; those that only one package
 * knows stand there. Times are milliseconds, sizes octets.
 * @module
 */

const day = 86_400_000

/** The named limits; each can be lowered where it is used, none is unlimited. */
export type Limits = {
  /** One WebSocket message: header, entries and body. */
  readonly frameBytesMax: number
  /** One frame before login (design §5). */
  readonly loginFrameBytesMax: number
  /** The JSON header of a frame. */
  readonly frameHeaderBytesMax: number
  /** Entries in one stanza; more recipients' devices take several stanzas. */
  readonly stanzaEntriesMax: number
  /** Addresses in `to` of one stanza. */
  readonly stanzaAddressesMax: number
  /** Devices on a card, the removed ones included. */
  readonly cardDevicesMax: number
  /** One lifetime L: expiry of stanzas, outbox, queues and mailboxes; retention of keys is this and two days more. */
  readonly lifetimeMs: number
  /** How far a sender's clock may be ahead, and how long after L a message is still taken. */
  readonly clockToleranceMs: number
  /** A key statement's validity. */
  readonly statementLifetimeMs: number
}

/** The defaults. */
export const limits: Limits = {
  frameBytesMax: 1024 * 1024,
  loginFrameBytesMax: 4096,
  frameHeaderBytesMax: 48 * 1024,
  stanzaEntriesMax: 256,
  stanzaAddressesMax: 64,
  cardDevicesMax: 64,
  lifetimeMs: 30 * day,
  clockToleranceMs: day,
  statementLifetimeMs: 30 * day,
}
