/**
 * Protocols as pure state machines: definitions, threads as plain records, one step at a time, stored deadlines, effects.
 * @module
 */
export { stateDiagram } from './diagram.ts'
export type { Effect } from './effects.ts'
export { type BodyProblemCode, KernelError, type KernelErrorCode, type Problem, type ProblemCode } from './errors.ts'
export {
  type CallParams,
  type Capabilities,
  type Capability,
  type CopiedEvents,
  defineCapability,
  type EffectActions,
  type EmitParams,
  effectActions,
  type ReceivedEvents,
  type ReportEvents,
  type ResultEvents,
  type RoleInput,
  type Seal,
  type SendEvents,
  type SendParams,
  type ThreadEvents,
} from './events.ts'
export { bodyBytesMax, type KernelLimits, kernelLimits, type ThreadLimits, threadLimits } from './limits.ts'
export { machineOffences } from './machine-check.ts'
export {
  type AnyMessage,
  type BodyInput,
  type BodyOutput,
  defineMessage,
  type MessageDefinition,
  type Messages,
  type Outgoing,
  type OutgoingOptions,
  readBody,
} from './message.ts'
export {
  defineProtocol,
  kernelPrefix,
  type Migrating,
  type Migration,
  messageName,
  type Protocol,
  type ProtocolLimits,
  type Role,
  type Roles,
  type RunOutput,
  type StartInput,
} from './protocol.ts'
export { createRegistry, type Registry, type Sending } from './registry.ts'
export { type ReportCode, reportCode, reportCodes } from './report-codes.ts'
export { type StepInput, type StepResult, step } from './step.ts'
export {
  type Deadline,
  nextDeadline,
  type OpenCall,
  type Received,
  type StoredState,
  type ThreadRecord,
  threadKey,
  threadKeys,
} from './thread.ts'
