/**
 * The coded errors of this package. What a relay or a stranger sent never throws: it comes back as a `Result`.
 * @module
 */
import { MessagingError } from '@parley/core'

export type IdentityErrorCode = 'ERR_IDENTITY_LINK_MALFORMED' | 'ERR_IDENTITY_CARD_INVALID'

export class IdentityError extends MessagingError<IdentityErrorCode> {
  override readonly name = 'IdentityError'
}
