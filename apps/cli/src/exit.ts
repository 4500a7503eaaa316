/**
 * Exit codes of `parley` (those of sysexits.h where it has one), and which error means which.
 * @module
 */
import { isMessagingError } from '@parley/core'

export const exitCodes = {
  done: 0,
  /** Refused or failed. */
  failed: 1,
  usage: 2,
  /** Another process has the profile open (EX_CANTCREAT). */
  profileInUse: 73,
  /** Kept in the outbox; any later command sends it (EX_TEMPFAIL). */
  queued: 75,
  /** Somebody's keys wait for a decision of the person (EX_PROTOCOL). */
  trustHeld: 76,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends a command with this exit code and, on standard error, this line. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The exit code and the line for whatever a command threw. */
export function explain(error: unknown): { readonly exitCode: ExitCode; readonly line: string } {
  if (error instanceof CommandFailed) return { exitCode: error.exitCode, line: error.message }
  if (isMessagingError(error)) {
    const exitCode =
      error.code === 'ERR_AGENT_PROFILE_IN_USE'
        ? exitCodes.profileInUse
        : error.code === 'ERR_AGENT_TRUST_HELD'
          ? exitCodes.trustHeld
          : error.code.endsWith('_MALFORMED')
            ? exitCodes.usage
            : exitCodes.failed
    return { exitCode, line: `${error.message} (${error.code})` }
  }
  if (error instanceof TypeError || error instanceof RangeError) return { exitCode: exitCodes.usage, line: error.message }
  return { exitCode: exitCodes.failed, line: error instanceof Error ? error.message : String(error) }
}
