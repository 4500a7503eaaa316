/**
 * Thread records: one run of a protocol role with one peer, as plain JSON. They are all that survives between two steps.
 * @module
 */
import type { Address, DeviceId, Json, JsonObject } from '@parley/core'

/** An event that comes at a time, unless it is cancelled. Times are milliseconds by the `now` of the steps, so that they survive a restart. */
export type Deadline = { readonly id: string; readonly at: number; readonly event: { readonly type: string } & JsonObject }

/** A call of a capability that has no result yet. After a restart it is made again, with the same id. */
export type OpenCall = { readonly id: string; readonly capability: string; readonly request: Json }

/** A machine's state as it is stored. */
export type StoredState = {
  readonly value: Json
  readonly context: JsonObject
  readonly status: string
  readonly output?: Json
  readonly historyValue?: Json
}

/** One run of a protocol role with one peer: all that is stored of it, plain JSON. */
export type ThreadRecord = {
  /** URI of the protocol. */
  readonly protocol: string
  readonly role: string
  /** Version of the machines that wrote `state`. */
  readonly version: number
  readonly threadId: string
  readonly peer: Address
  /** Further accounts that may speak in this thread: the own one, where other own devices are asked too. */
  readonly also: readonly Address[]
  readonly state: StoredState
  readonly deadlines: readonly Deadline[]
  readonly calls: readonly OpenCall[]
  readonly started: number
  readonly ended?: number
  /** Messages sent and received. */
  readonly messages: number
  /** Calls made so far. */
  readonly called: number
  readonly status: 'active' | 'done' | 'failed'
  /** What the machine left when it was done. */
  readonly output?: Json
  /** Why it failed. */
  readonly problem?: string
}

/** A message as the agent hands it over: opened, verified, addressed to this account. */
export type Received = {
  readonly id: string
  readonly type: string
  /** As it was on the wire. */
  readonly body: JsonObject
  readonly from: Address
  readonly device: DeviceId
  /** The other side of the conversation: `from`, or for a copy whom it was sent to. */
  readonly peer: Address
  readonly threadId: string
  readonly referentId?: string
  /** Sent by another device of the own account. */
  readonly copy?: boolean
}

/** Key of a thread in a store: a thread belongs to a protocol and a peer, so a stranger who guesses its id gets another one. */
export function threadKey(thread: { readonly protocol: string; readonly peer: string; readonly threadId: string }): string {
  return `${thread.protocol} ${thread.peer} ${thread.threadId}`
}

/** All keys under which messages for `record` are looked up, its own first. */
export function threadKeys(record: ThreadRecord): readonly string[] {
  return [record.peer, ...record.also].map((peer) => threadKey({ ...record, peer }))
}

/** The deadline that comes first; at equal times the one that was set first. */
export function nextDeadline(record: ThreadRecord): Deadline | undefined {
  return record.deadlines.reduce<Deadline | undefined>(
    (first, next) => (first === undefined || next.at < first.at ? next : first),
    undefined,
  )
}
