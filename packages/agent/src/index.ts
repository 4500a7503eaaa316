/**
 * The Parley SDK without a platform: bring your own ports. In Node and in browsers use `@parley/agent/node` and `./browser`.
 * @module
 */
export { type Agent, type AgentOptions, createAgent } from './agent.ts'
export type { ConnectionStatus } from './connection.ts'
export type { Device } from './devices.ts'
export { AgentError, type AgentErrorCode } from './errors.ts'
export type { AgentEvent } from './events.ts'
export type { AppOp, HandleOptions, Message } from './inbox.ts'
export { type AgentLimits, agentLimits } from './limits.ts'
export type { LockedMessage, Repair } from './locked.ts'
export type { Contact } from './people.ts'
export type { LockCause, SentState } from './rows.ts'
export type { Run, RunState, StartOptions } from './runs.ts'
export type { Sent } from './sent.ts'
export { hasProfile, makeAccount, makeLinkedDevice } from './set-up.ts'
