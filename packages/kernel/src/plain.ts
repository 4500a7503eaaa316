/**
 * Plain JSON out of what a machine or schema left in memory: what a store cannot give back unchanged is refused here and
 * not found out at the next restart.
 * @module
 */
import type { Json, Result } from '@parley/core'

/** Copies `value` as JSON. Members that are `undefined` are left out; anything else that JSON cannot hold is refused. */
export function toPlain(value: unknown, sizeMax: number): Result<{ readonly value: Json }, 'not-json' | 'too-large'> {
  const budget = { left: sizeMax }
  const copy = copyPlain(value, budget, 32)
  if (copy !== undefined) return { ok: true, value: copy }
  return { ok: false, code: budget.left < 0 ? 'too-large' : 'not-json' }
}

function copyPlain(value: unknown, budget: { left: number }, depth: number): Json | undefined {
  budget.left -= typeof value === 'string' ? value.length + 2 : 8
  if (budget.left < 0 || depth < 0) return undefined
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value !== 'object') return undefined
  if (Array.isArray(value)) {
    const items: Json[] = []
    for (const item of value) {
      const copy = copyPlain(item, budget, depth - 1)
      if (copy === undefined) return undefined
      items.push(copy)
    }
    return items
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const members: Record<string, Json> = {}
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue
    // xstate revives objects with its marker as references to actors; an assigned `__proto__` would be lost.
    if (name === 'xstate$$type' || name === '__proto__') return undefined
    budget.left -= name.length + 3
    const copy = copyPlain(member, budget, depth - 1)
    if (copy === undefined) return undefined
    members[name] = copy
  }
  return members
}
