/**
 * The coded errors of mailboxes (docs/errors.md).
 * @module
 */
import { MessagingError } from '@parley/core'

/** Codes of a mailbox; docs/errors.md explains each. */
export type MailboxErrorCode =
  | 'ERR_MAILBOX_CLOSED'
  | 'ERR_MAILBOX_FULL'
  | 'ERR_MAILBOX_STORE_CORRUPT'
  | 'ERR_MAILBOX_STORE_FAILED'
  | 'ERR_MAILBOX_STORE_NEWER'

/** What goes wrong in a mailbox. */
export class MailboxError extends MessagingError<MailboxErrorCode> {
  override readonly name = 'MailboxError'
}
