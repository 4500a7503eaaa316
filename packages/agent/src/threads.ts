/**
 * Protocol runs inside a step: the kernel's pure step, and its effects as rows of the same batch. Sends go to the outbox,
 * deliveries to the inbox, calls are answered at once, events are told when the batch is durable.
 * @module
 */
import type { Address, JsonObject, MessageId } from '@parley/core'
import {
  type Effect,
  kernelPrefix,
  nextDeadline,
  type ProblemCode,
  type Protocol,
  type Received,
  type Registry,
  type StepInput,
  type StepResult,
  step,
  type ThreadRecord,
  threadKey,
  threadKeys,
} from '@parley/kernel'
import { type Draft, enqueue, enqueueAnswer, type OutboxOptions } from './outbox.ts'
import type { Tx } from './state.ts'

/** What a capability answers: a result for the machine, and for `bodyFrom` a body that the machine never sees. */
export type CallResult = { readonly result: JsonObject; readonly body?: JsonObject }
export type CallCapability = (
  tx: Tx,
  call: { readonly name: string; readonly request: JsonObject; readonly thread: ThreadRecord; readonly message?: Received },
) => CallResult

export type ThreadEvent = { readonly thread: ThreadRecord; readonly name: string; readonly params: JsonObject }

export type ThreadParts = {
  readonly registry: Registry
  readonly outbox: OutboxOptions
  readonly call: CallCapability
  /** Keys of the threads begun last, by protocol, role and peer: a hint that spares looking through all. */
  readonly recent: Map<string, string>
  /** A message for the application, in this step. */
  deliver(tx: Tx, message: Received): void
  /** After the commit. */
  emit(event: ThreadEvent): void
  /** After the commit: something is due at this time. */
  wakeAt(ms: number, name: string): void
}

export type Stepped = {
  readonly outcome: StepResult['outcome']
  readonly problem?: ProblemCode
  readonly record: ThreadRecord | undefined
  /** Ids of the messages that went into the outbox. */
  readonly sent: readonly MessageId[]
}

/** The thread that a message or an application names, through its aliases. */
export function findThread(
  tx: Pick<Tx, 'get'>,
  thread: { readonly protocol: string; readonly peer: Address; readonly threadId: string },
): ThreadRecord | undefined {
  const key = threadKey(thread)
  return tx.get('thread', tx.get('alias', key)?.key ?? key)
}

type RoleWith = Pick<ThreadRecord, 'protocol' | 'role' | 'peer'>

/** The newest active thread of a protocol role with a peer. */
export function activeThread(tx: Tx, { recent }: Pick<ThreadParts, 'recent'>, of: RoleWith): ThreadRecord | undefined {
  const fits = (record: ThreadRecord): boolean =>
    record.protocol === of.protocol && record.role === of.role && record.peer === of.peer && record.status === 'active'
  const hint = tx.get('thread', recent.get(roleWith(of)) ?? '')
  if (hint !== undefined && fits(hint)) return hint
  let newest: ThreadRecord | undefined
  for (const key of tx.group('thread', roleWith(of)).keys) {
    const record = tx.get('thread', key)
    if (record === undefined || !fits(record) || (newest !== undefined && record.started < newest.started)) continue
    newest = record
    recent.set(roleWith(of), key)
  }
  return newest
}

function roleWith({ protocol, role, peer }: RoleWith): string {
  return `${protocol} ${role} ${peer}`
}

/** Steps a thread and does in this batch what the step asks for. */
export function stepThread(
  tx: Tx,
  parts: ThreadParts,
  {
    protocol,
    record,
    input,
  }: { readonly protocol: Protocol; readonly record: ThreadRecord | undefined; readonly input: StepInput },
): Stepped {
  const message = input.kind === 'message' ? input.message : undefined
  const bodies = new Map<string, JsonObject>()
  // What the application begins or says is the person's own.
  const isAsked = input.kind === 'start' || input.kind === 'command'
  const sent: MessageId[] = []
  const first = step(protocol, record, input)
  let current = first.record
  const pending = [...first.effects]
  for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) {
    if (effect.kind === 'call') {
      if (current === undefined) continue
      const { id, capability, request } = effect
      const answered = parts.call(tx, {
        name: capability,
        // Capabilities are declared with object requests.
        request: request as JsonObject,
        thread: current,
        ...(message === undefined ? {} : { message }),
      })
      if (answered.body !== undefined) bodies.set(id, answered.body)
      const next = step(protocol, current, { kind: 'result', id, result: answered.result, now: tx.steady })
      current = next.record
      pending.push(...next.effects)
    } else perform(tx, parts, { effect, bodies, sent, record: current, isAsked })
  }
  store(tx, parts, { before: record, after: current })
  return {
    outcome: first.outcome,
    ...(first.problem === undefined ? {} : { problem: first.problem.code }),
    record: current,
    sent,
  }
}

type Performing = {
  readonly effect: Exclude<Effect, { kind: 'call' }>
  readonly bodies: ReadonlyMap<string, JsonObject>
  readonly sent: MessageId[]
  readonly record: ThreadRecord | undefined
  readonly isAsked: boolean
}

function perform(tx: Tx, parts: ThreadParts, { effect, bodies, sent, record, isAsked }: Performing): void {
  switch (effect.kind) {
    case 'send': {
      const body = effect.body ?? (effect.bodyFrom === undefined ? undefined : bodies.get(effect.bodyFrom))
      // A call that made no body had nothing to send.
      if (body === undefined) return
      const { to, type, threadId, referentId, devices, seal } = effect
      const draft: Draft = {
        to,
        type,
        body,
        threadId,
        ...(referentId === undefined ? {} : { referentId }),
        ...(devices === undefined ? {} : { devices }),
        ...(seal === undefined ? {} : { seal }),
      }
      // The kernel's own messages are nobody's wish, whatever brought them about.
      const isAnswer = !isAsked || type.startsWith(kernelPrefix)
      const id = isAnswer ? enqueueAnswer(tx, draft, parts.outbox) : enqueue(tx, draft, parts.outbox)
      if (id !== undefined) sent.push(id)
      return
    }
    case 'deliver':
      parts.deliver(tx, effect.message)
      return
    case 'emit': {
      const { name, params } = effect
      if (record !== undefined) tx.after(() => parts.emit({ thread: record, name, params }))
    }
  }
}

function store(
  tx: Tx,
  parts: ThreadParts,
  { before, after }: { readonly before: ThreadRecord | undefined; readonly after: ThreadRecord | undefined },
): void {
  if (after === before) return
  if (after === undefined) {
    if (before === undefined) return
    const [own, ...aliases] = threadKeys(before)
    if (own !== undefined) tx.del('thread', own)
    for (const alias of aliases) tx.del('alias', alias)
    return
  }
  const [own, ...aliases] = threadKeys(after)
  if (own === undefined) return
  tx.put('thread', own, after)
  if (before === undefined) parts.recent.set(roleWith(after), own)
  if (before === undefined) for (const alias of aliases) tx.put('alias', alias, { key: own })
  const due = nextDeadline(after)
  if (due !== undefined) tx.after(() => parts.wakeAt(due.at, `thread ${own}`))
  if (after.status !== before?.status)
    tx.after(() => parts.emit({ thread: after, name: 'status', params: { status: after.status } }))
}
