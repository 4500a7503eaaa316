/**
 * What machines see and say, as types: the events that the kernel gives them, and the four actions that it performs for
 * them. Put both into xstate's `setup`; everything else a machine does is its own states, guards and assignments.
 * @module
 */
import type { Address, DeviceId, Json, JsonObject } from '@parley/core'
import type { BodyInput, BodyOutput, MessageDefinition, Messages } from './message.ts'

/** The input of a machine: `input` is what `start` was given, `undefined` when a message opened the thread. */
export type RoleInput<Input = undefined> = {
  readonly threadId: string
  readonly peer: Address
  readonly now: number
  readonly input: Input
}

type FromMessage<Type extends string, Body> = {
  readonly type: Type
  readonly id: string
  /** `undefined` for messages that carry secrets. */
  readonly body: Body
  /** The account that signed, proven. */
  readonly from: Address
  /** The device that signed, proven. */
  readonly device: DeviceId
  readonly referentId?: string
  readonly now: number
}

type Readable<M> =
  M extends MessageDefinition<infer Schema, infer Secret>
    ? Secret extends true
      ? undefined
      : BodyOutput<MessageDefinition<Schema, Secret>>
    : never

/** `received.<name>`: a message of the peer in this thread. */
export type ReceivedEvents<M extends Messages> = {
  [N in keyof M & string]: FromMessage<`received.${N}`, Readable<M[N]>>
}[keyof M & string]

/** `copied.<name>`: a message that another device of the own account sent in this thread. */
export type CopiedEvents<M extends Messages, N extends keyof M & string = keyof M & string> = {
  [K in N]: FromMessage<`copied.${K}`, Readable<M[K]>>
}[N]

/** `send.<name>`: the application sends a message in this thread. */
export type SendEvents<M extends Messages, N extends keyof M & string = keyof M & string> = {
  [K in N]: {
    readonly type: `send.${K}`
    readonly body: BodyInput<M[K]> & JsonObject
    readonly referentId?: string
    readonly now: number
  }
}[N]

/** `thread.expired`: the life time of the thread is over; it ends after this step. */
export type ThreadEvents = { readonly type: 'thread.expired'; readonly now: number }

/** `thread.reported`: the peer could not do what this thread asked, and says why by one of the `reportCodes`. */
export type ReportEvents = { readonly type: 'thread.reported'; readonly code: string; readonly now: number }

/** A capability: something the agent does for a machine because it touches keys or the directory. */
export type Capability<Name extends string = string, Request = unknown, Outcome = unknown> = {
  readonly name: Name
  readonly '~types'?: { readonly request: Request; readonly result: Outcome }
}
/** The capabilities that a protocol's machines may call. */
export type Capabilities = readonly Capability[]

/** Declares a capability with the types of its request and its result, both plain JSON without secrets. */
export function defineCapability<Request extends JsonObject, Outcome extends JsonObject>(): <const Name extends string>(
  name: Name,
) => Capability<Name, Request, Outcome> {
  return (name) => ({ name })
}

/** `result.<capability>`: what came of a call. */
export type ResultEvents<C extends Capabilities> = {
  [K in keyof C]: C[K] extends Capability<infer Name, unknown, infer Outcome>
    ? { readonly type: `result.${Name}`; readonly id: string; readonly result: Outcome; readonly now: number }
    : never
}[number]

/** Encryption to one public key of the message's own making, in place of the keys of the peer's devices. */
export type Seal = { readonly jwk: JsonObject }

/** Parameters of the action `send`. */
export type SendParams<M extends Messages> = {
  [N in keyof M & string]: {
    readonly message: N
    readonly referentId?: string | undefined
    /** An account of this thread; the peer when left out. */
    readonly to?: string | undefined
    /** Only these devices of `to`; all of them when left out. */
    readonly devices?: readonly string[] | undefined
    readonly seal?: Seal | undefined
  } & (
    | { readonly body: BodyInput<M[N]> }
    /** The body is what the call with this id made, so that secrets pass by the machine. */
    | { readonly bodyFrom: string }
  )
}[keyof M & string]

/** Parameters of the action `emit`: a named event for whoever watches this run. */
export type EmitParams = { readonly name: string } & { readonly [member: string]: Json | undefined }

/** Parameters of the action `call`. */
export type CallParams<C extends Capabilities> = {
  [K in keyof C]: C[K] extends Capability<infer Name, infer Request, unknown>
    ? { readonly capability: Name; readonly request: Request }
    : never
}[number]

/** The actions of the kernel for `setup({ actions })`. They do nothing here: the kernel reads their names and parameters. */
export type EffectActions<M extends Messages, C extends Capabilities> = {
  /** Sends a message of this protocol to the peer. */
  readonly send: (args: unknown, params: SendParams<M>) => void
  /** Tells the watchers of this run. */
  readonly emit: (args: unknown, params: EmitParams) => void
  /** Hands the message that this step is about to the application's inbox. */
  readonly deliver: () => void
  /** Calls a capability; its result comes as the event `result.<capability>`. */
  readonly call: (args: unknown, params: CallParams<C>) => void
}

/** The kernel's actions, typed for the messages and capabilities of one protocol. */
export function effectActions<M extends Messages, C extends Capabilities = readonly []>(): EffectActions<M, C> {
  const nothing = (): void => {}
  return { send: nothing, emit: nothing, deliver: nothing, call: nothing }
}
