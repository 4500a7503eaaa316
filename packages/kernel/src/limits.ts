/**
 * Limits of the kernel. Sizes are octets or UTF-16 units as named, times milliseconds.
 * @module
 */
import { limits } from '@parley/core'

/** Limits of every thread of a protocol, and the named delays of its machines. */
export type ThreadLimits = {
  /** Messages sent and received in one thread. */
  readonly threadMessagesMax: number
  /** From the first step to the end of the thread, whatever its machine does. */
  readonly threadLifetimeMs: number
  /** How long the record of an ended thread is kept, so that a late copy of its first message does not open it again. */
  readonly threadRetentionMs: number
}

/** Limits that no protocol can raise. */
export type KernelLimits = {
  /** Size of a machine's state as JSON text, about. */
  readonly stateCharsMax: number
  /** Effects of one step. */
  readonly effectsMax: number
  /** Open deadlines of one thread. */
  readonly deadlinesMax: number
  /** Open calls of capabilities of one thread. */
  readonly callsMax: number
  /** Transitions that one event may set off by itself: eventless ones and events that the machine raises. */
  readonly microstepsMax: number
}

/** A message's body as JSON text, unless its definition says otherwise. */
export const bodyBytesMax = 64 * 1024

/** The limits of threads whose protocol sets no others. */
export const threadLimits: ThreadLimits = {
  threadMessagesMax: 1000,
  threadLifetimeMs: limits.lifetimeMs,
  threadRetentionMs: limits.clockToleranceMs,
}

/** The limits that hold for every protocol. */
export const kernelLimits: KernelLimits = {
  stateCharsMax: 64 * 1024,
  effectsMax: 64,
  deadlinesMax: 16,
  callsMax: 16,
  microstepsMax: 1000,
}
