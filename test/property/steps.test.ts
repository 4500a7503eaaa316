import { type JsonObject, parseAddress, toDeviceId } from '@parley/core'
import {
  kernelLimits,
  type Protocol,
  type Received,
  type StepInput,
  type StepResult,
  step,
  type ThreadRecord,
} from '@parley/kernel'
import { chat } from '@parley/protocols/chat'
import { dialBack } from '@parley/protocols/dial-back'
import { discoverFeatures } from '@parley/protocols/discover-features'
import { problemReport } from '@parley/protocols/problem-report'
import { receipts } from '@parley/protocols/receipts'
import { trustPing } from '@parley/protocols/trust-ping'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('steps of protocols')))

const protocols: readonly Protocol[] = [chat, trustPing, receipts, problemReport, discoverFeatures, dialBack]
const start = 1_800_000_000_000
const [alice, bob, carol] = [parseAddress('alice@a.example'), parseAddress('bob@b.example'), parseAddress('carol@c.example')]
const device = toDeviceId('d'.repeat(43)) as Received['device']
const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'

const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<never>
const object = fc.dictionary(
  fc.constantFrom('text', 'up_to', 'code', 'comment', 'protocols', 'response_requested', 'id', 'sid', '__proto__', 'constructor'),
  json,
) as fc.Arbitrary<JsonObject>
/** Bodies that fit some message, and others. */
const body = fc.oneof(
  object,
  fc.constantFrom<JsonObject>(
    { text: 'x' },
    { up_to: 'urn:uuid:1' },
    { code: 'internal' },
    { protocols: ['*'] },
    { protocols: [{ uri: 'urn:x', roles: ['a'] }] },
    { response_requested: true },
    {},
  ),
)

const inputsOf = (protocol: Protocol): fc.Arbitrary<StepInput> => {
  const names = Object.keys(protocol.messages)
  const types = [...Object.values(protocol.messages).map(({ type }) => type), 'urn:other:1:x', 'constructor']
  const roles = [...Object.keys(protocol.roles), 'constructor', '__proto__']
  const deadlines = ['kernel.lifetime', 'kernel.retention', 'xstate.after.answerMs.trust-ping-sender.waiting', 'x']
  const now = fc.integer({ min: -1000, max: 400 * 86_400_000 }).map((ms) => start + ms)
  const optional = <T>(name: string, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<object> =>
    fc.option(arbitrary).map((value) => (value === null ? {} : { [name]: value }))
  const message = fc
    .tuple(
      fc.record({
        id: fc.constantFrom('m1', 'm2'),
        type: fc.constantFrom(...types),
        body,
        from: fc.constantFrom(alice, bob, carol),
        device: fc.constant(device),
        peer: fc.constantFrom(bob, bob, bob, carol),
        threadId: fc.constantFrom(threadId, threadId, 'other'),
      }),
      optional('referentId', fc.constant('m0')),
      optional('copy', fc.constant(true)),
    )
    .map(([always, ...rest]) => Object.assign({}, always, ...rest) as Received)
  return fc.oneof(
    fc
      .tuple(fc.record({ role: fc.constantFrom(...roles), now }), optional('input', json))
      .map(([always, rest]) => ({ kind: 'start', threadId, peer: bob, ...always, ...rest }) as StepInput),
    fc.record({ kind: fc.constant('message' as const), message, now }),
    fc.record({ kind: fc.constant('deadline' as const), id: fc.constantFrom(...deadlines), now }),
    fc.record({
      kind: fc.constant('command' as const),
      event: fc
        .tuple(fc.constantFrom('cancel', 'opened', 'failed', 'thread.expired', ...names.map((name) => `send.${name}`)), body)
        .map(([type, sent]) => ({ type, body: sent, referentId: 'm0' })),
      now,
    }),
    fc.record({ kind: fc.constant('report' as const), code: fc.constantFrom('internal', ''), now }),
    fc.record({
      kind: fc.constant('result' as const),
      id: fc.constantFrom('noteDisplayed.1', 'noteReport.1', 'listProtocols.1', 'answerKey.1', 'importKey.1', 'x'),
      result: object,
      now,
    }),
  )
}

/** A value with one part of it replaced, as a damaged or foreign store would have it. */
function damage(value: unknown, path: number, by: unknown): unknown {
  if (typeof value !== 'object' || value === null) return by
  const names = Object.keys(value)
  const name = names[path % Math.max(1, names.length)]
  if (name === undefined) return by
  const inner = damage((value as Record<string, unknown>)[name], Math.floor(path / names.length), by)
  return Array.isArray(value) ? value.map((item, i) => (String(i) === name ? inner : item)) : { ...value, [name]: inner }
}

function holds(protocol: Protocol, before: ThreadRecord | undefined, { record, effects, outcome, problem }: StepResult): void {
  expect(JSON.parse(JSON.stringify(effects))).toEqual(effects)
  expect(effects.length).toBeLessThanOrEqual(kernelLimits.effectsMax)
  expect(problem !== undefined).toBe(outcome === 'refused' || outcome === 'failed')
  if (outcome === 'refused' || outcome === 'ignored') expect(effects).toEqual([])
  if (record === undefined) return
  if (record !== before) expect(JSON.parse(JSON.stringify(record))).toEqual(record)
  expect(record.messages).toBeLessThanOrEqual(protocol.limits.threadMessagesMax)
  // Whatever happened to it, time ends it.
  expect(record.deadlines.length).toBeGreaterThan(0)
  expect(record.deadlines.length).toBeLessThanOrEqual(kernelLimits.deadlinesMax)
  expect(record.calls.length).toBeLessThanOrEqual(kernelLimits.callsMax)
}

describe.each(protocols.map((protocol) => [protocol.uri, protocol] as const))('%s', (_, protocol) => {
  it('answers whatever comes in whatever order, within its limits, with plain JSON, and never throws', () => {
    const outcomes = new Set<string>()
    check(
      fc.property(fc.array(inputsOf(protocol), { maxLength: 12 }), (inputs) => {
        let record: ThreadRecord | undefined
        for (const input of inputs) {
          const result = step(protocol, record, input)
          holds(protocol, record, result)
          outcomes.add(result.outcome)
          record = result.record === undefined ? undefined : JSON.parse(JSON.stringify(result.record))
        }
      }),
      300,
    )
    expect([...outcomes]).toEqual(expect.arrayContaining(['stepped', 'ignored', 'refused']))
  })

  it('never throws for a record whose state is damaged', () => {
    const inputs = inputsOf(protocol)
    check(
      fc.property(fc.array(inputs, { maxLength: 4 }), inputs, fc.nat(), json, (before, last, path, by) => {
        let record: ThreadRecord | undefined
        for (const input of before) record = step(protocol, record, input).record ?? record
        if (record === undefined) return
        const state = damage(record.state, path, by) as ThreadRecord['state']
        expect(() => step(protocol, { ...record, state } as ThreadRecord, last)).not.toThrow()
      }),
      300,
    )
  })
})
