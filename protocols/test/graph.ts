/**
 * What a machine can do, from its graph: the shortest path to every situation, what it does not answer there, and
 * whether what a store gives back goes on as what was stored.
 * @module
 */
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type AnyStateNode,
  getInitialMicrosteps,
  getMicrosteps,
  transition,
} from 'xstate'
import { getShortestPaths } from 'xstate/graph'

type GraphEvent = { readonly type: string; readonly [member: string]: unknown }

export type Graph = {
  /** Leaf states that no path passes through. */
  readonly unreached: readonly string[]
  /** Per leaf state, the types of events that it never answers on any path. */
  readonly unanswered: { readonly [state: string]: readonly string[] }
  /** Situations after a path whose stored form did not go on as the original; empty unless the machine hides something. */
  readonly changedByStore: readonly string[]
  readonly paths: number
}

/** Walks `machine` with these events and all its own delays. */
export function explore(
  machine: AnyStateMachine,
  options: { readonly events: readonly GraphEvent[]; readonly input: unknown },
): Graph {
  const events = [...options.events, ...delayEvents(machine.root)]
  const paths = getShortestPaths(machine, { events, input: options.input, limit: 20_000 })
  const leaves = leafNames(machine.root)
  const passed = new Set<string>()
  const note = (snapshot: AnyMachineSnapshot): void => {
    for (const name of namesOf(snapshot)) passed.add(name)
  }
  for (const [snapshot] of getInitialMicrosteps(machine, options.input)) note(snapshot)
  const answered = new Map<string, Set<string>>()
  const changedByStore: string[] = []
  for (const { state } of paths) {
    note(state)
    if (state.status !== 'active') continue
    const stored = JSON.parse(JSON.stringify({ value: state.value, context: state.context }))
    const restored = machine.resolveState(stored)
    for (const event of events) {
      for (const [snapshot] of getMicrosteps(machine, state, event)) note(snapshot)
      const [next, actions]: [AnyMachineSnapshot, Actions] = transition(machine, state, event)
      const [same, sameActions]: [AnyMachineSnapshot, Actions] = transition(machine, restored, event)
      if (situation(next, actions) !== situation(same, sameActions))
        changedByStore.push(`${JSON.stringify(stored)} ${event.type}`)
      if (next === state && actions.length === 0) continue
      for (const name of namesOf(state)) {
        const types = answered.get(name) ?? new Set()
        answered.set(name, types.add(event.type))
      }
    }
  }
  const own = new Set(options.events.map(({ type }) => type))
  const waiting = [...new Set(paths.filter(({ state }) => state.status === 'active').flatMap(({ state }) => namesOf(state)))]
  const unanswered = waiting.map(
    (name) => [name, [...own].filter((type) => answered.get(name)?.has(type) !== true).sort()] as const,
  )
  return {
    unreached: leaves.filter((leaf) => !passed.has(leaf)),
    unanswered: Object.fromEntries(unanswered),
    changedByStore,
    paths: paths.length,
  }
}

type Actions = readonly { readonly type: string; readonly params: unknown }[]

function situation(snapshot: AnyMachineSnapshot, actions: Actions): string {
  const { value, context, status } = snapshot
  return JSON.stringify({ value, context, status, actions: actions.map(({ type, params }) => [type, params]) })
}

function namesOf(snapshot: AnyMachineSnapshot): readonly string[] {
  return snapshot._nodes
    .filter((node: AnyStateNode) => node.type === 'atomic' || node.type === 'final')
    .map((node: AnyStateNode) => node.path.join('.'))
}

function leafNames(node: AnyStateNode): readonly string[] {
  const children = Object.values(node.states)
  return children.length === 0 ? [node.path.join('.')] : children.flatMap(leafNames)
}

function delayEvents(node: AnyStateNode): readonly GraphEvent[] {
  const own = node.after.map(({ eventType }) => ({ type: eventType }))
  return [...own, ...Object.values(node.states).flatMap(delayEvents)]
}
