/**
 * What this package throws when the caller's own message cannot be written. Hostile input never throws.
 * @module
 */
import { MessagingError } from '@parley/core'

/** Each is explained in docs/errors.md. */
export type JwmErrorCode = 'ERR_JWM_ATTRIBUTES_MALFORMED'

/** What goes wrong while making messages. */
export class JwmError extends MessagingError<JwmErrorCode> {
  override readonly name = 'JwmError'
}
