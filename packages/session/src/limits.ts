/**
 * How long session keys are used, kept and answered for. Times are milliseconds.
 * @module
 */
import { limits } from '@parley/core'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

export type SessionLimits = {
  /** A session key is renewed when it is this old. */
  readonly smkAgeMsMax: number
  /** A session key is renewed after so many messages. */
  readonly smkUsesMax: number
  /** The longest validity that a key of somebody else may claim, so that it is erased one day. */
  readonly smkValidityMsMax: number
  /** How long a key is kept after its last use; at least the lifetime L of messages and two days (design §7). */
  readonly retentionMs: number
  /** Accounts in one audience. */
  readonly audienceMax: number
  /** How long the answer to a key request is waited for; at most L. */
  readonly requestLifetimeMs: number
  /** Answers to one device for one session in an hour. */
  readonly answersPerHourMax: number
  /** Refusals to one account in an hour; what comes beyond is not answered at all. */
  readonly refusalsPerHourMax: number
  /** Answered request ids that are remembered until they expire, and refused accounts within an hour. */
  readonly requestsSeenMax: number
}

/** The defaults. */
export const sessionLimits: SessionLimits = {
  smkAgeMsMax: 7 * day,
  smkUsesMax: 1000,
  smkValidityMsMax: limits.lifetimeMs,
  retentionMs: limits.lifetimeMs + 2 * day,
  audienceMax: 1024,
  requestLifetimeMs: limits.lifetimeMs,
  answersPerHourMax: 3,
  refusalsPerHourMax: 10,
  requestsSeenMax: 4096,
}

/** Fills in the defaults and checks the rules between limits; throws a `RangeError` that names the one that is wrong. */
export function checkSessionLimits(changes: Partial<SessionLimits>, lifetimeMs: number = limits.lifetimeMs): SessionLimits {
  const all: SessionLimits = { ...sessionLimits, ...changes }
  for (const [name, value] of Object.entries(all)) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a positive integer`)
  }
  if (all.retentionMs < lifetimeMs + 2 * day) throw new RangeError('retentionMs must be the lifetime and two days at least')
  if (all.smkAgeMsMax > all.smkValidityMsMax) throw new RangeError('smkAgeMsMax must not exceed smkValidityMsMax')
  if (all.requestLifetimeMs > lifetimeMs) throw new RangeError('requestLifetimeMs must not exceed the lifetime')
  return all
}

/** The window of the hourly quotas. */
export const quotaWindowMs: number = hour
