/**
 * What this package throws when the caller asks for something that cannot be done (design §3, style §5).
 * Hostile input never throws: decoders answer `{ ok: false, code }`.
 * @module
 */
import { MessagingError } from '@parley/core'

/** Each is explained in docs/errors.md. */
export type JoseErrorCode =
  | 'ERR_JOSE_KEY_MALFORMED'
  | 'ERR_JOSE_KEY_UNSUPPORTED'
  | 'ERR_JOSE_KEY_UNAVAILABLE'
  | 'ERR_JOSE_KEY_UNFIT'
  | 'ERR_JOSE_KEY_ASYNCHRONOUS'
  | 'ERR_JOSE_ALGORITHM_UNKNOWN'
  | 'ERR_JOSE_ALGORITHM_UNAVAILABLE'
  | 'ERR_JOSE_HEADER_INVALID'
  | 'ERR_JOSE_FORM_IMPOSSIBLE'
  | 'ERR_JOSE_LIMIT_EXCEEDED'

/** What goes wrong while preparing keys and making JOSE objects. */
export class JoseError extends MessagingError<JoseErrorCode> {
  override readonly name = 'JoseError'
}
