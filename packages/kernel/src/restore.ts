/**
 * A machine's state out of its record, and back. A record of an older version is led on by the protocol's migrations; one
 * that fits no machine is a problem, never an exception.
 * @module
 */
import { isJsonObject, type Json, type Result } from '@parley/core'
import { type AnyActorScope, type AnyMachineSnapshot, type AnyStateMachine, createActor, createMachine } from 'xstate'
import type { ProblemCode } from './errors.ts'
import { kernelLimits } from './limits.ts'
import { toPlain } from './plain.ts'
import type { Migrating, Protocol } from './protocol.ts'
import type { StoredState, ThreadRecord } from './thread.ts'

/** The record in the present version of its protocol. */
export function migrate(protocol: Protocol, record: ThreadRecord): Result<{ readonly record: ThreadRecord }, ProblemCode> {
  if (record.version === protocol.version) return { ok: true, record }
  let stored: Migrating = { value: record.state.value, context: record.state.context, deadlines: record.deadlines }
  for (let version = record.version; version !== protocol.version; version++) {
    const next = protocol.migrations.find((migration) => migration.from === version && migration.role === record.role)
    if (next === undefined) return { ok: false, code: 'version-unknown' }
    try {
      stored = next.migrate(stored)
    } catch {
      return { ok: false, code: 'migration-failed' }
    }
  }
  const plain = toPlain(stored, kernelLimits.stateCharsMax)
  if (!plain.ok) return { ok: false, code: 'migration-failed' }
  const { value, context, deadlines } = stored
  return { ok: true, record: { ...record, version: protocol.version, state: { ...record.state, value, context }, deadlines } }
}

// Many steps leave a state as it was, and a record that is kept in memory brings the same object again.
const restored = new WeakMap<StoredState, { readonly machine: AnyStateMachine; readonly snapshot: AnyMachineSnapshot }>()

/** The live snapshot of a stored state. */
export function restore(
  machine: AnyStateMachine,
  state: StoredState,
): Result<{ readonly snapshot: AnyMachineSnapshot }, ProblemCode> {
  const known = restored.get(state)
  if (known?.machine === machine) return { ok: true, snapshot: known.snapshot }
  try {
    if (!namesStates(machine.root, state.value)) return { ok: false, code: 'state-unknown' }
    // resolveState makes a snapshot without an actor around it; machines with history, which it cannot revive, are refused.
    const snapshot = bounded(machine).resolveState({ value: state.value as string, context: state.context })
    restored.set(state, { machine, snapshot })
    return { ok: true, snapshot }
  } catch {
    return { ok: false, code: 'state-unknown' }
  }
}

const boundedMachines = new WeakMap<AnyStateMachine, AnyStateMachine>()

/** The same machine, which gives up where it would never come to rest: by itself xstate goes on for ever. */
export function bounded(machine: AnyStateMachine): AnyStateMachine {
  let made = boundedMachines.get(machine)
  if (made === undefined) {
    const { config, implementations } = machine
    const maxIterations = Math.min(config.options?.maxIterations ?? kernelLimits.microstepsMax, kernelLimits.microstepsMax)
    const options = { ...config.options, maxIterations }
    made = createMachine({ ...config, options }, implementations) as AnyStateMachine
    boundedMachines.set(machine, made)
  }
  return made
}

const scopes = new WeakMap<AnyStateMachine, AnyActorScope>()

/**
 * What xstate's pure `transition` answers. That makes an actor for every call, which costs as much as the step; the steps of machines
 * without children touch nothing of it, so one for each machine serves them all.
 */
export function pureTransition(
  machine: AnyStateMachine,
  from: AnyMachineSnapshot,
  event: { readonly type: string },
): readonly [AnyMachineSnapshot, readonly Action[]] {
  const logic = bounded(machine)
  let scope = scopes.get(logic)
  if (scope === undefined) {
    const self = createActor(logic)
    const nothing = (): void => {}
    scope = {
      self,
      system: self.system,
      id: '',
      sessionId: '',
      logger: nothing,
      defer: nothing,
      stopChild: nothing,
      emit: nothing,
      actionExecutor: nothing,
    }
    scopes.set(logic, scope)
  }
  const actions: Action[] = []
  const next = logic.transition(from, event, { ...scope, actionExecutor: (action) => actions.push(action) })
  return [next as AnyMachineSnapshot, actions]
}

type Action = { readonly type: string; readonly params: unknown }

/** Whether a machine was given up so. xstate has no code for it; a test holds the words. */
export function isEndless(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('Infinite loop detected')
}

/** What is stored of a snapshot. */
export function persist(snapshot: AnyMachineSnapshot): Result<{ readonly state: StoredState }, ProblemCode> {
  const { value, context, output, status } = snapshot as { value: unknown; context: unknown; output?: unknown; status: string }
  const plain = toPlain({ value, context, output, status }, kernelLimits.stateCharsMax)
  if (!plain.ok) return { ok: false, code: plain.code === 'too-large' ? 'state-too-large' : 'state-not-json' }
  if (!isJsonObject(plain.value) || !isJsonObject(plain.value['context'])) return { ok: false, code: 'state-not-json' }
  // Copied from exactly these members.
  return { ok: true, state: plain.value as StoredState }
}

type Node = { readonly type: string; readonly states: { readonly [name: string]: Node } }

// resolveState fills what a value leaves out with initial states; a stored value leaves nothing out.
function namesStates(node: Node, value: Json): boolean {
  if (typeof value === 'string')
    return Object.hasOwn(node.states, value) && node.type !== 'parallel' && isLeaf(node.states[value])
  if (!isJsonObject(value)) return false
  const names = Object.keys(value)
  if (node.type === 'parallel' ? names.length !== Object.keys(node.states).length : names.length !== 1) return false
  return names.every((name) => {
    const child = Object.hasOwn(node.states, name) ? node.states[name] : undefined
    const inner = value[name]
    if (child === undefined || inner === undefined) return false
    return isLeaf(child) ? isJsonObject(inner) && Object.keys(inner).length === 0 : namesStates(child, inner)
  })
}

function isLeaf(node: Node | undefined): boolean {
  return node !== undefined && Object.keys(node.states).length === 0
}
