/**
 * The statechart of a machine as a mermaid state diagram, for spec pages. Drawn from the configuration, so it can't lie;
 * a test compares the page with it.
 * @module
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { effectNames } from './machine-check.ts'

/** Draws `machine` as the text of a mermaid `stateDiagram-v2` block. */
export function stateDiagram(machine: AnyStateMachine): string {
  const lines = ['stateDiagram-v2']
  drawStates(machine.root, lines, '  ')
  return lines.join('\n')
}

function drawStates(parent: AnyStateNode, lines: string[], indent: string): void {
  const first = parent.initial?.target[0]
  if (first !== undefined) lines.push(`${indent}[*] --> ${name(first)}`)
  for (const state of Object.values(parent.states)) {
    const label = [state.key, ...effectsOf(state.entry)].join(' / ')
    if (label !== name(state)) lines.push(`${indent}state "${label}" as ${name(state)}`)
  }
  for (const state of Object.values(parent.states)) {
    if (Object.keys(state.states).length > 0) {
      lines.push(`${indent}state ${name(state)} {`)
      drawStates(state, lines, `${indent}  `)
      lines.push(`${indent}}`)
    }
    drawTransitions(state, lines, indent)
    if (state.type === 'final') lines.push(`${indent}${name(state)} --> [*]`)
  }
  if (parent.parent === undefined) drawTransitions(parent, lines, indent)
}

function drawTransitions(state: AnyStateNode, lines: string[], indent: string): void {
  const transitions = [...state.transitions.values()].flat().concat(state.always ?? [])
  for (const { eventType, target, guard, actions } of transitions) {
    const guarded = guard === undefined ? '' : ` [${labelOf(guard)}]`
    const label = [`${eventLabel(eventType)}${guarded}`, ...effectsOf(actions)].join(' / ')
    for (const to of target ?? [state]) lines.push(`${indent}${name(state)} --> ${name(to)}: ${label}`)
  }
}

function effectsOf(actions: readonly unknown[]): readonly string[] {
  const labels = actions.map(labelOf).filter((label) => effectNames.has(label))
  return labels.length === 0 ? [] : [labels.join(', ')]
}

// Delayed transitions are events `xstate.after.<delay>.<state>` inside.
function eventLabel(event: string): string {
  const delay = /^xstate\.after\.([^.]+)\./.exec(event)?.[1]
  return delay === undefined ? event || 'always' : `after ${delay}`
}

function labelOf(named: unknown): string {
  if (typeof named === 'string') return named
  const { type } = named as { type?: unknown }
  return typeof type === 'string' ? type : 'inline'
}

// Mermaid takes no dots or dashes in names of states.
function name(state: AnyStateNode): string {
  return state.path.length === 0
    ? state.machine.id.replace(/[^A-Za-z0-9]/g, '_')
    : state.path.join('_').replace(/[^A-Za-z0-9]/g, '_')
}
