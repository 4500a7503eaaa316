/**
 * The pure step: a thread record and one input give the next record and the effects to perform after it is stored.
 * No actor, timer, id or clock of its own: time comes with the input, delays become stored deadlines (design §7).
 * @module
 */
import type { Address, Json, JsonObject } from '@parley/core'
import { type AnyMachineSnapshot, type AnyStateMachine, initialTransition } from 'xstate'
import { type Checked, type Effect, readActions } from './effects.ts'
import type { Problem, ProblemCode } from './errors.ts'
import { readBody } from './message.ts'
import { toPlain } from './plain.ts'
import { messageName, messageNamed, type Protocol, type Role, roleNamed } from './protocol.ts'
import { bounded, isEndless, migrate, persist, pureTransition, restore } from './restore.ts'
import type { Deadline, Received, ThreadRecord } from './thread.ts'

/** What may happen to a thread. `now` is in milliseconds, by a clock that goes on over restarts. */
export type StepInput =
  /** Opens a thread here. */
  | {
      readonly kind: 'start'
      readonly role: string
      readonly threadId: string
      readonly peer: Address
      readonly also?: readonly Address[]
      readonly input?: Json
      readonly now: number
    }
  /** A message came. */
  | { readonly kind: 'message'; readonly message: Received; readonly now: number }
  /** A deadline of the record is due; earlier or unknown ones change nothing. */
  | { readonly kind: 'deadline'; readonly id: string; readonly now: number }
  /** The application wants something: `send.<name>`, or an event of the machine's own. */
  | { readonly kind: 'command'; readonly event: { readonly type: string } & JsonObject; readonly now: number }
  /** The peer says that it could not do what this thread asked. */
  | { readonly kind: 'report'; readonly code: string; readonly now: number }
  /** A call has its result. */
  | { readonly kind: 'result'; readonly id: string; readonly result: JsonObject; readonly now: number }

/** What came of a step. */
export type StepResult = {
  /** What to store; `undefined` when there is nothing, or nothing any more. */
  readonly record: ThreadRecord | undefined
  /** To perform once the record is stored, in this order. */
  readonly effects: readonly Effect[]
  /** `ignored`: the machine has no answer to this in its state, and nothing changed. `refused`: see `problem`; nothing changed. `failed`: the thread ended with `problem`. */
  readonly outcome: 'stepped' | 'ignored' | 'refused' | 'failed'
  readonly problem?: Problem
}

/** Steps a thread. Never throws for what a peer, a machine or an old record does. */
export function step(protocol: Protocol, record: ThreadRecord | undefined, input: StepInput): StepResult {
  if (input.kind === 'start') return record === undefined ? start(protocol, input) : refused(record, 'thread-exists')
  if (record === undefined)
    return input.kind === 'message' ? open(protocol, input.message, input.now) : refused(record, 'thread-unknown')
  if (record.protocol !== protocol.uri) return refused(record, 'thread-foreign')
  if (record.status !== 'active') return stepEnded(record, input)
  const role = roleNamed(protocol, record.role)
  if (role === undefined) return failed(protocol, record, { code: 'role-unknown', now: input.now })
  const migrated = migrate(protocol, record)
  if (!migrated.ok) return failed(protocol, record, { code: migrated.code, now: input.now })
  const thread: Thread = { protocol, role, record: migrated.record, now: input.now }
  switch (input.kind) {
    case 'message':
      return receive(thread, input.message)
    case 'command':
      return command(thread, input.event)
    case 'deadline':
      return deadline(thread, input.id)
    case 'report':
      return advance(thread, { type: 'thread.reported', code: input.code, now: input.now }, { before: thread.record })
    case 'result':
      return result(thread, input.id, input.result)
  }
}

type Thread = { readonly protocol: Protocol; readonly role: Role; readonly record: ThreadRecord; readonly now: number }
type MachineEvent = { readonly type: string; readonly [member: string]: unknown }

function start(protocol: Protocol, input: Extract<StepInput, { kind: 'start' }>): StepResult {
  const role = roleNamed(protocol, input.role)
  if (role === undefined) return refused(undefined, 'role-unknown')
  const { threadId, peer, also = [], now } = input
  const record = freshRecord(protocol, { role: input.role, threadId, peer, also, now })
  const made = begin({ protocol, role, record, now }, input.input)
  return made.ok ? settle({ protocol, role, record, now }, made, { onProblem: refusedNothing }) : refused(undefined, made.code)
}

// A message without a thread: the role that it opens, set up and stepped with it in one go.
function open(protocol: Protocol, message: Received, now: number): StepResult {
  const name = messageName(protocol, message.type)
  if (name === undefined) return refused(undefined, 'message-unknown')
  const list = message.copy === true ? 'copies' : 'opens'
  const roleName = Object.keys(protocol.roles).find((candidate) => roleNamed(protocol, candidate)?.[list]?.includes(name))
  const role = roleName === undefined ? undefined : roleNamed(protocol, roleName)
  if (roleName === undefined || role === undefined) {
    return message.copy === true ? { record: undefined, effects: [], outcome: 'ignored' } : refused(undefined, 'thread-unknown')
  }
  const { threadId, peer } = message
  const record = freshRecord(protocol, { role: roleName, threadId, peer, also: [], now })
  const thread: Thread = { protocol, role, record, now }
  const event = messageEvent(thread, name, message)
  if (!event.ok) return refused(undefined, event.code)
  const begun = begin(thread, undefined)
  if (!begun.ok) return refused(undefined, begun.code)
  const moved = move(role.machine, begun.snapshot, event.event)
  if (!moved.ok) return refused(undefined, moved.code)
  if (!moved.moved) return { record: undefined, effects: [], outcome: 'ignored' }
  const counted: Thread = { ...thread, record: { ...record, messages: 1 } }
  return settle(
    counted,
    { snapshot: moved.snapshot, actions: [...begun.actions, ...moved.actions] },
    { message, onProblem: refusedNothing },
  )
}

function receive(thread: Thread, message: Received): StepResult {
  const { protocol, role, record } = thread
  if (message.threadId !== record.threadId || ![record.peer, ...record.also].includes(message.peer))
    return refused(record, 'thread-foreign')
  const name = messageName(protocol, message.type)
  if (name === undefined) return refused(record, 'message-unknown')
  if (message.copy === true && role.copies?.includes(name) !== true) return { record, effects: [], outcome: 'ignored' }
  const event = messageEvent(thread, name, message)
  if (!event.ok) return refused(record, event.code)
  return advance({ ...thread, record: { ...record, messages: record.messages + 1 } }, event.event, { before: record, message })
}

function command(thread: Thread, event: MachineEvent): StepResult {
  const { protocol, role, record } = thread
  // The names that the kernel gives out itself; a command must not pass for a message or a timer.
  if (/^(received|copied|result|thread|xstate|kernel)\./.test(event.type)) return refused(record, 'effect-invalid')
  if (event.type.startsWith('send.')) {
    const name = event.type.slice(5)
    const message = messageNamed(protocol, name)
    if (message === undefined || role.sends?.includes(name) !== true) return refused(record, 'message-unknown')
    const plain = toPlain(event['body'], message.bytesMax)
    if (!plain.ok) return refused(record, plain.code === 'too-large' ? 'body-too-large' : 'body-invalid')
    const body = plain.value
    const read = readBody(message, body)
    if (!read.ok) return refused(record, read.code)
    return advance(thread, { ...event, body, now: thread.now }, { before: record, checked: { name, body } })
  }
  return advance(thread, { ...event, now: thread.now }, { before: record })
}

function deadline(thread: Thread, id: string): StepResult {
  const { record, now } = thread
  const due = record.deadlines.find((candidate) => candidate.id === id)
  if (due === undefined || due.at > now) return { record, effects: [], outcome: 'ignored' }
  const rest = { ...record, deadlines: record.deadlines.filter((candidate) => candidate.id !== id) }
  const stepped = advance({ ...thread, record: rest }, { ...due.event, now }, { before: rest, mustMove: true })
  if (id !== lifetimeId || stepped.record === undefined || stepped.record.status !== 'active') return stepped
  return { ...failed(thread.protocol, stepped.record, { code: 'thread-expired', now }), effects: stepped.effects }
}

function result(thread: Thread, id: string, outcome: JsonObject): StepResult {
  const { record, now } = thread
  const call = record.calls.find((candidate) => candidate.id === id)
  if (call === undefined) return { record, effects: [], outcome: 'ignored' }
  const rest = { ...record, calls: record.calls.filter((candidate) => candidate.id !== id) }
  return advance(
    { ...thread, record: rest },
    { type: `result.${call.capability}`, id, result: outcome, now },
    { before: rest, mustMove: true },
  )
}

// An ended thread keeps its record for a while and answers nothing.
function stepEnded(record: ThreadRecord, input: StepInput): StepResult {
  if (input.kind === 'command') return refused(record, 'thread-ended')
  const forgotten = input.kind === 'deadline' && record.deadlines.some(({ id, at }) => id === input.id && at <= input.now)
  return forgotten ? { record: undefined, effects: [], outcome: 'stepped' } : { record, effects: [], outcome: 'ignored' }
}

type Options = {
  /** The record that a refused step leaves. */
  readonly before: ThreadRecord
  readonly message?: Received
  readonly checked?: Checked
  /** The input comes once only and cannot be refused: a problem ends the thread, an unanswered event is still taken off the record. */
  readonly mustMove?: boolean
}

function advance(thread: Thread, event: MachineEvent, options: Options): StepResult {
  const onProblem = (code: ProblemCode): StepResult =>
    options.mustMove === true ? failed(thread.protocol, options.before, { code, now: thread.now }) : refused(options.before, code)
  const restored = restore(thread.role.machine, thread.record.state)
  if (!restored.ok) return failed(thread.protocol, options.before, { code: restored.code, now: thread.now })
  const moved = move(thread.role.machine, restored.snapshot, event)
  if (!moved.ok) return onProblem(moved.code)
  if (!moved.moved) return { record: options.before, effects: [], outcome: 'ignored' }
  const { message, checked } = options
  return settle(thread, moved, { message, checked, from: restored.snapshot, onProblem })
}

type Moved = {
  readonly snapshot: AnyMachineSnapshot
  readonly actions: readonly { readonly type: string; readonly params: unknown }[]
}
type Attempt = ({ readonly ok: true; readonly moved: boolean } & Moved) | { readonly ok: false; readonly code: ProblemCode }

function begin({ role, record, now }: Thread, input: Json | undefined): Attempt {
  return attempt(() => initialTransition(bounded(role.machine), { threadId: record.threadId, peer: record.peer, now, input }))
}

function move(machine: AnyStateMachine, from: AnyMachineSnapshot, event: MachineEvent): Attempt {
  return attempt(() => pureTransition(machine, from, event), from)
}

function attempt(run: () => readonly [AnyMachineSnapshot, Moved['actions']], from?: AnyMachineSnapshot): Attempt {
  try {
    const [snapshot, actions] = run()
    if (snapshot.status === 'error' || Object.keys(snapshot.children).length > 0) return { ok: false, code: 'machine-failed' }
    // xstate answers the snapshot itself when no transition was taken, and also when one changed nothing but has actions.
    return { ok: true, moved: snapshot !== from || actions.length > 0, snapshot, actions }
  } catch (error) {
    return { ok: false, code: isEndless(error) ? 'microsteps-exceeded' : 'machine-failed' }
  }
}

type Settling = {
  readonly message?: Received | undefined
  readonly checked?: Checked | undefined
  /** The snapshot of the record's state: when the machine stays in it, so does the record. */
  readonly from?: AnyMachineSnapshot
  onProblem(code: ProblemCode): StepResult
}

// The next record: state, deadlines, calls, counters; or its end.
function settle(thread: Thread, { snapshot, actions }: Moved, { message, checked, from, onProblem }: Settling): StepResult {
  const { protocol, record, now } = thread
  const outcome = readActions(actions, { protocol, record, now, message, checked })
  if (!outcome.ok) return onProblem(outcome.code)
  const persisted = from === snapshot ? { ok: true as const, state: record.state } : persist(snapshot)
  if (!persisted.ok) return onProblem(persisted.code)
  const { effects, deadlines, calls, messages, called } = outcome
  const next: ThreadRecord = { ...record, state: persisted.state, deadlines, calls, messages, called }
  const done = persisted.state.status === 'done'
  return {
    record: done ? ended(protocol.limits.threadRetentionMs, next, { status: 'done', now }) : next,
    effects,
    outcome: 'stepped',
  }
}

function messageEvent(
  thread: Thread,
  name: string,
  message: Received,
): { ok: true; event: MachineEvent } | { ok: false; code: ProblemCode } {
  const definition = messageNamed(thread.protocol, name)
  if (definition === undefined) return { ok: false, code: 'message-unknown' }
  const read = readBody(definition, message.body)
  if (!read.ok) return read
  const { id, from, device, referentId } = message
  return {
    ok: true,
    event: {
      type: `${message.copy === true ? 'copied' : 'received'}.${name}`,
      id,
      body: definition.secret ? undefined : read.body,
      from,
      device,
      ...(referentId === undefined ? {} : { referentId }),
      now: thread.now,
    },
  }
}

const lifetimeId = 'kernel.lifetime'
const retentionId = 'kernel.retention'

function freshRecord(
  protocol: Protocol,
  { now, ...thread }: { role: string; threadId: string; peer: Address; also: readonly Address[]; now: number },
): ThreadRecord {
  const lifetime: Deadline = { id: lifetimeId, at: now + protocol.limits.threadLifetimeMs, event: { type: 'thread.expired' } }
  return {
    protocol: protocol.uri,
    version: protocol.version,
    ...thread,
    state: { value: '', context: {}, status: 'active' },
    deadlines: [lifetime],
    calls: [],
    started: now,
    messages: 0,
    called: 0,
    status: 'active',
  }
}

function ended(
  retentionMs: number,
  record: ThreadRecord,
  end: { status: 'done' | 'failed'; now: number; problem?: ProblemCode },
): ThreadRecord {
  const { output } = record.state
  return {
    ...record,
    status: end.status,
    ended: end.now,
    deadlines: [{ id: retentionId, at: end.now + retentionMs, event: { type: retentionId } }],
    calls: [],
    ...(end.status === 'done' && output !== undefined ? { output } : {}),
    ...(end.problem === undefined ? {} : { problem: end.problem }),
  }
}

function refused(record: ThreadRecord | undefined, code: ProblemCode): StepResult {
  return { record, effects: [], outcome: 'refused', problem: { code } }
}

function failed(
  protocol: Protocol,
  record: ThreadRecord,
  { code, now }: { readonly code: ProblemCode; readonly now: number },
): StepResult {
  const end = ended(protocol.limits.threadRetentionMs, record, { status: 'failed', now, problem: code })
  return { record: end, effects: [], outcome: 'failed', problem: { code } }
}

function refusedNothing(code: ProblemCode): StepResult {
  return refused(undefined, code)
}
