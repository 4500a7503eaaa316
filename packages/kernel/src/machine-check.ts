/**
 * Reads the configuration of a machine for what the kernel does not run: actors, history, functions in place of named
 * actions. Everything a protocol does between two steps must be in its record.
 * @module
 */
import type { AnyStateMachine } from 'xstate'

/** The actions that the kernel performs. */
export const effectNames: ReadonlySet<string> = new Set(['send', 'emit', 'deliver', 'call'])

// Assignments and raised events are computed by xstate inside the step; the rest of its own actions needs a live actor.
const builtIn: ReadonlySet<string> = new Set(['xstate.assign', 'xstate.raise', 'xstate.cancel', 'xstate.enqueueActions'])

/** What the kernel refuses in `machine`, one line each; empty for a machine it can run. */
export function machineOffences(machine: AnyStateMachine): readonly string[] {
  const offences: string[] = []
  walk(machine.config, machine.id, offences)
  for (const [name, implementation] of Object.entries(machine.implementations.actions)) {
    const type = builtInType(implementation)
    if (type === undefined ? !effectNames.has(name) : !builtIn.has(type)) {
      offences.push(`action ${name}: only send, emit, deliver, call, and assign, raise, cancel, enqueueActions of xstate`)
    }
  }
  if (Object.keys(machine.implementations.actors).length > 0) offences.push('actors: a machine is stepped, it has no actors')
  return offences
}

function walk(node: unknown, path: string, offences: string[]): void {
  if (typeof node !== 'object' || node === null) return
  const state = node as Record<string, unknown>
  if (state['invoke'] !== undefined) offences.push(`${path}: invoke`)
  if (state['type'] === 'history' || state['history'] !== undefined) offences.push(`${path}: history`)
  checkActions(state['entry'], `${path} entry`, offences)
  checkActions(state['exit'], `${path} exit`, offences)
  for (const table of ['on', 'after']) {
    for (const [name, transitions] of Object.entries((state[table] ?? {}) as Record<string, unknown>)) {
      checkTransitions(transitions, `${path} ${table} ${name}`, offences)
    }
  }
  checkTransitions(state['always'], `${path} always`, offences)
  checkTransitions(state['onDone'], `${path} onDone`, offences)
  if (state['initial'] !== null && typeof state['initial'] === 'object')
    checkTransitions(state['initial'], `${path} initial`, offences)
  for (const [name, child] of Object.entries((state['states'] ?? {}) as Record<string, unknown>))
    walk(child, `${path}.${name}`, offences)
}

function checkTransitions(transitions: unknown, path: string, offences: string[]): void {
  for (const transition of toArray(transitions)) {
    if (typeof transition === 'object' && transition !== null)
      checkActions((transition as { actions?: unknown }).actions, path, offences)
  }
}

function checkActions(actions: unknown, path: string, offences: string[]): void {
  for (const action of toArray(actions)) {
    if (typeof action !== 'function') continue
    const type = builtInType(action)
    if (type === undefined) offences.push(`${path}: a function in place of a named action`)
    else if (!builtIn.has(type)) offences.push(`${path}: ${type}`)
  }
}

function builtInType(action: unknown): string | undefined {
  const type = typeof action === 'function' ? (action as { type?: unknown }).type : undefined
  return typeof type === 'string' ? type : undefined
}

function toArray(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value]
}
