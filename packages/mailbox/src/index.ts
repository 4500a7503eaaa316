/**
 * Durable ordered logs, one per reader (design §6).
 * @module
 */
export { createMailboxCheck, type Finding, type MailboxCheck } from './check.ts'
export { MailboxError, type MailboxErrorCode } from './errors.ts'
export { type MailboxLimits, mailboxLimits } from './limits.ts'
export {
  type AckOutcome,
  type AppendListener,
  createMailbox,
  type Mailbox,
  type MailboxContent,
  type MailboxEntry,
  type MailboxItem,
  type MailboxOptions,
  type MailboxPosition,
  type ReadLimits,
} from './mailbox.ts'
export type { Amount, Full, Quota } from './quota.ts'
