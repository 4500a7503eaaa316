import { expect, test } from 'vitest'
import { toPlain } from '../src/plain.ts'

test('copies what JSON gives back unchanged', () => {
  const value = { a: [1, -0.5, 'x', null, true], b: { c: {} } }
  const result = toPlain(value, 1000)
  expect(result).toEqual({ ok: true, value })
  expect(result.ok && result.value).not.toBe(value)
})

test('leaves out members that are undefined', () => {
  expect(toPlain({ a: undefined, b: 1 }, 1000)).toEqual({ ok: true, value: { b: 1 } })
})

test('refuses what JSON cannot hold', () => {
  const loop: Record<string, unknown> = {}
  loop['self'] = loop
  let deep: unknown = 1
  for (let i = 0; i < 40; i++) deep = [deep]
  const bad: unknown[] = [
    undefined,
    () => {},
    Symbol('x'),
    1n,
    Number.NaN,
    Infinity,
    new Map(),
    new Uint8Array(2),
    new (class A {})(),
    [undefined],
    loop,
    deep,
    { xstate$$type: 1 },
    JSON.parse('{"__proto__":1}'),
  ]
  for (const value of bad)
    expect(toPlain(value, 100_000), String(value === loop ? 'loop' : typeof value)).toEqual({ ok: false, code: 'not-json' })
})

test('refuses what is too large', () => {
  expect(toPlain({ a: 'x'.repeat(100) }, 100)).toEqual({ ok: false, code: 'too-large' })
  expect(
    toPlain(
      Array.from({ length: 100 }, () => 1),
      100,
    ),
  ).toEqual({ ok: false, code: 'too-large' })
})
