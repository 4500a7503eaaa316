/**
 * What goes wrong in the kernel. Misuse by a caller is thrown; what a peer or an old store can cause is a `Problem`, a value.
 * @module
 */
import { MessagingError } from '@parley/core'

/** Codes of a `KernelError`; docs/errors.md explains each. */
export type KernelErrorCode = 'ERR_KERNEL_BODY_INVALID' | 'ERR_KERNEL_BODY_TOO_LARGE' | 'ERR_KERNEL_SCHEMA_ASYNCHRONOUS'

/** Thrown where a message is made from a body that its own schema refuses. */
export class KernelError extends MessagingError<KernelErrorCode> {
  override readonly name = 'KernelError'
}

/** Why a body was refused. */
export type BodyProblemCode = 'body-invalid' | 'body-too-large' | 'schema-asynchronous'

/** Why a step did not do what was asked. */
export type ProblemCode =
  | BodyProblemCode
  /** The protocol has no message of this type. */
  | 'message-unknown'
  /** No thread, and this message opens none. */
  | 'thread-unknown'
  /** The thread belongs to another protocol or peer. */
  | 'thread-foreign'
  /** There is such a thread already. */
  | 'thread-exists'
  /** A command came after the end. */
  | 'thread-ended'
  /** The life time of the thread is over. */
  | 'thread-expired'
  | 'thread-messages-exceeded'
  | 'role-unknown'
  /** The record was written by a version that no migration leads from. */
  | 'version-unknown'
  /** The machine has no such state as the record names. */
  | 'state-unknown'
  | 'migration-failed'
  /** A guard, an assignment or a parameter function of the machine threw. */
  | 'machine-failed'
  /** The machine went on and on without coming to rest: a circle of eventless transitions or raised events. */
  | 'microsteps-exceeded'
  /** The machine put something into its context that JSON cannot hold, or too much of it. */
  | 'state-not-json'
  | 'state-too-large'
  /** The machine asked for something that is not an effect of the kernel, or in a wrong form. */
  | 'effect-invalid'
  | 'effects-exceeded'
  | 'deadlines-exceeded'
  | 'calls-exceeded'

/** A step that was refused or that ended its thread, and why. */
export type Problem = { readonly code: ProblemCode }
