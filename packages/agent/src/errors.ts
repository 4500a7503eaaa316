/**
 * The coded errors of the SDK. docs/errors.md describes each.
 * @module
 */
import { MessagingError, type MessagingErrorOptions } from '@parley/core'

/** Codes of an `AgentError`; docs/errors.md explains each. */
export type AgentErrorCode =
  | 'ERR_AGENT_CLOSED'
  | 'ERR_AGENT_LIMITS_INCONSISTENT'
  | 'ERR_AGENT_PROFILE_ABSENT'
  | 'ERR_AGENT_PROFILE_EXISTS'
  | 'ERR_AGENT_PROFILE_IN_USE'
  | 'ERR_AGENT_PROFILE_DAMAGED'
  | 'ERR_AGENT_STORE_NEWER'
  | 'ERR_AGENT_STORE_FAILED'
  | 'ERR_AGENT_KERNEL_TYPE'
  | 'ERR_AGENT_PROTOCOL_UNKNOWN'
  | 'ERR_AGENT_MESSAGE_TOO_LARGE'
  | 'ERR_AGENT_OUTBOX_FULL'
  | 'ERR_AGENT_TRUST_HELD'
  | 'ERR_AGENT_NOT_CONNECTED'
  | 'ERR_AGENT_NOT_ADMIN'
  | 'ERR_AGENT_REQUEST_REFUSED'
  | 'ERR_AGENT_DEVICE_LINE_MALFORMED'
  | 'ERR_AGENT_DEVICE_REMOVED'
  | 'ERR_AGENT_SEND_FAILED'
  | 'ERR_AGENT_PROTOCOL_PROBLEM'

/** What `send`, `approveDevice` and the other calls of an agent reject with. */
export class AgentError extends MessagingError<AgentErrorCode> {
  override readonly name = 'AgentError'
  /** The code that a relay or a protocol gave, when one did. */
  readonly reason: string | undefined

  constructor(code: AgentErrorCode, message: string, options: MessagingErrorOptions & { readonly reason?: string } = {}) {
    super(code, message, options)
    this.reason = options.reason
  }
}
