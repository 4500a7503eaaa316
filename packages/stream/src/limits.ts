/**
 * The limits of a stream (design §5).
 * @module
 */
import { limits } from '@parley/core'

export type StreamLimits = {
  /** One frame after login. */
  readonly frameBytesMax: number
  /** One frame before login; a relay reads no more than twice as much of a connection until then. */
  readonly loginFrameBytesMax: number
  /** The JSON header of a frame. */
  readonly headerBytesMax: number
  /** Entries in one stanza. */
  readonly entriesMax: number
  /** Addresses in `to` of one stanza. */
  readonly addressesMax: number
  /** Stanzas on the way in one direction, sent and not acknowledged. */
  readonly windowStanzas: number
  /** The same between two relays: all that one domain has for the other goes this way. */
  readonly relayWindowStanzas: number
  /** Octets on the way in one direction. One stanza may always go. */
  readonly windowBytes: number
  /** Requests on the way in one direction. */
  readonly requestsMax: number
  /** How long a signed login or proof is good for. */
  readonly proofLifetimeMs: number
}

/** The defaults. */
export const streamLimits: StreamLimits = {
  frameBytesMax: limits.frameBytesMax,
  loginFrameBytesMax: limits.loginFrameBytesMax,
  headerBytesMax: limits.frameHeaderBytesMax,
  entriesMax: limits.stanzaEntriesMax,
  addressesMax: limits.stanzaAddressesMax,
  windowStanzas: 64,
  relayWindowStanzas: 512,
  windowBytes: 1024 * 1024,
  requestsMax: 16,
  proofLifetimeMs: 60_000,
}
