/**
 * Protocol definitions: a URI, messages, a machine per role, limits. `defineProtocol` checks at once what would otherwise
 * show in the middle of a conversation.
 * @module
 */
import type { JsonObject } from '@parley/core'
import type { AnyStateMachine, InputFrom, OutputFrom } from 'xstate'
import type { Capabilities } from './events.ts'
import { type ThreadLimits, threadLimits } from './limits.ts'
import { machineOffences } from './machine-check.ts'
import type { AnyMessage, Messages } from './message.ts'
import type { Deadline, StoredState } from './thread.ts'

/** Prefix of the message types that only the framework itself sends and reads. */
export const kernelPrefix = 'urn:parley:kernel:'

/** One side of a protocol: its machine, and the messages that concern it. */
export type Role<Names extends string = string, Machine extends AnyStateMachine = AnyStateMachine> = {
  readonly machine: Machine
  /** Messages that open a thread in this role. */
  readonly opens?: readonly Names[]
  /** Messages that the application may send in this role, as the event `send.<name>`. */
  readonly sends?: readonly Names[]
  /** Messages of other own devices that this role follows, as the event `copied.<name>`; other copies are ignored. */
  readonly copies?: readonly Names[]
}
/** The roles of a protocol by their names. */
export type Roles<Names extends string = string> = { readonly [role: string]: Role<Names> }

/** What a migration reads and gives: the stored state of one thread, and its deadlines. */
export type Migrating = {
  readonly value: StoredState['value']
  readonly context: JsonObject
  readonly deadlines: readonly Deadline[]
}

/** Leads the threads of one role from version `from` to the next. */
export type Migration = {
  /** For reports: what changed. */
  readonly name: string
  readonly from: number
  readonly role: string
  /** Gives the state as the next version has it; one that throws ends the thread. */
  migrate(stored: Migrating): Migrating
}

/** The limits of a protocol's threads and the named delays of its machines. */
export type ProtocolLimits = ThreadLimits & { readonly delays: { readonly [name: string]: number } }

/** A protocol as `defineProtocol` made and checked it. */
export type Protocol<M extends Messages = Messages, R extends Roles = Roles> = {
  readonly uri: string
  /** Version of the machines; a stored thread of another version is migrated or ended. */
  readonly version: number
  readonly messages: M
  readonly roles: R
  readonly limits: ProtocolLimits
  readonly capabilities: Capabilities
  readonly migrations: readonly Migration[]
  /** A part of the framework: its messages are sent by no application and delivered to none. */
  readonly kernelOnly: boolean
}

/** What `start` of `role` takes. */
export type StartInput<P extends Protocol, R extends keyof P['roles'] & string> =
  InputFrom<P['roles'][R]['machine']> extends { readonly input: infer I } ? I : undefined

/** What a run of `role` leaves when it is done. */
export type RunOutput<P extends Protocol, R extends keyof P['roles'] & string> = OutputFrom<P['roles'][R]['machine']>

/** Defines a protocol. Throws a `TypeError` that names what is wrong. */
export function defineProtocol<const M extends Messages, const R extends Roles<keyof M & string>>(definition: {
  readonly uri: string
  readonly version: number
  readonly messages: M
  readonly roles: R
  readonly limits?: Partial<ThreadLimits> & { readonly delays?: { readonly [name: string]: number } }
  readonly capabilities?: Capabilities
  readonly migrations?: readonly Migration[]
  readonly kernelOnly?: boolean
}): Protocol<M, R> {
  const protocol: Protocol<M, R> = {
    uri: definition.uri,
    version: definition.version,
    messages: definition.messages,
    roles: definition.roles,
    limits: { delays: {}, ...threadLimits, ...definition.limits },
    capabilities: definition.capabilities ?? [],
    migrations: definition.migrations ?? [],
    kernelOnly: definition.kernelOnly ?? false,
  }
  checkProtocol(protocol)
  return protocol
}

/** The name under which `protocol` knows a type URI. */
export function messageName(protocol: Protocol, type: string): string | undefined {
  for (const name of Object.keys(protocol.messages)) if (protocol.messages[name]?.type === type) return name
  return undefined
}

/** The message definition of that name; own members only, so that no name reaches a prototype. */
export function messageNamed(protocol: Protocol, name: string): AnyMessage | undefined {
  return Object.hasOwn(protocol.messages, name) ? protocol.messages[name] : undefined
}

export function roleNamed(protocol: Protocol, name: string): Role | undefined {
  return Object.hasOwn(protocol.roles, name) ? protocol.roles[name] : undefined
}

function checkProtocol(protocol: Protocol): void {
  const refuse = (what: string): never => {
    throw new TypeError(`defineProtocol ${protocol.uri}: ${what}`)
  }
  if (!/^[a-z][a-z0-9+.-]*:[!-~]+$/.test(protocol.uri)) refuse('uri must be an absolute URI')
  if (!Number.isSafeInteger(protocol.version) || protocol.version < 1) refuse('version must be a positive integer')
  for (const [name, value] of [...Object.entries({ ...protocol.limits, delays: 0 }), ...Object.entries(protocol.limits.delays)]) {
    if (!Number.isSafeInteger(value) || value < 0) refuse(`limit ${name} must be a whole number`)
  }
  const names = Object.keys(protocol.messages)
  const types = new Set<string>()
  for (const name of names) {
    const message = protocol.messages[name]
    if (message === undefined || types.has(message.type)) refuse(`message ${name} repeats a type`)
    else {
      types.add(message.type)
      if (message.type.startsWith(kernelPrefix) && !protocol.kernelOnly) refuse(`message ${name} takes a type of the kernel`)
    }
  }
  const opened = new Set<string>()
  const sent = new Set<string>()
  for (const [name, role] of Object.entries(protocol.roles)) {
    for (const known of [...(role.opens ?? []), ...(role.sends ?? []), ...(role.copies ?? [])]) {
      if (!names.includes(known)) refuse(`role ${name} names ${known}, which is no message`)
    }
    for (const message of role.opens ?? [])
      if (opened.size === opened.add(message).size) refuse(`two roles are opened by ${message}`)
    if (role.sends?.some((message) => protocol.messages[message]?.secret) === true)
      refuse(`role ${name} sends a secret for the application`)
    for (const message of role.sends ?? []) if (sent.size === sent.add(message).size) refuse(`two roles send ${message}`)
    const offences = machineOffences(role.machine)
    if (offences.length > 0) refuse(`role ${name}: ${offences.join('; ')}`)
  }
  for (const migration of protocol.migrations) {
    if (migration.from >= protocol.version) refuse(`migration ${migration.name} starts at the present version or later`)
    if (!Object.hasOwn(protocol.roles, migration.role)) refuse(`migration ${migration.name} names no role`)
  }
}
