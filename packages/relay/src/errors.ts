/**
 * The coded errors of relays (docs/errors.md). What goes wrong with one client is said on the wire and is none of these.
 * @module
 */
import { MessagingError } from '@parley/core'

/** Codes of a relay; docs/errors.md explains each. */
export type RelayErrorCode =
  | 'ERR_RELAY_DOMAIN_MISMATCH'
  | 'ERR_RELAY_INVITES_FULL'
  | 'ERR_RELAY_ROUTE_MALFORMED'
  | 'ERR_RELAY_STORE_CORRUPT'
  | 'ERR_RELAY_STORE_NEWER'

/** What stops a relay from starting, or its operator's wish from being granted. */
export class RelayError extends MessagingError<RelayErrorCode> {
  override readonly name = 'RelayError'
}
