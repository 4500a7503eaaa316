import { parseAddress } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { createMachine, setup } from 'xstate'
import {
  defineProtocol,
  effectActions,
  nextDeadline,
  type Protocol,
  type Received,
  type StepResult,
  step,
  type ThreadRecord,
  threadKey,
  threadKeys,
} from '../src/index.ts'
import { buyer, haggle, messages } from './haggle.ts'

const alice = parseAddress('alice@a.example')
const bob = parseAddress('bob@b.example')
const mallory = parseAddress('mallory@m.example')
const device = 'd'.repeat(43) as Received['device']
const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'

const start = (now = 1000): StepResult =>
  step(haggle, undefined, { kind: 'start', role: 'buyer', threadId, peer: bob, input: { thing: 'lamp' }, now })
const received = (type: string, body: Received['body'], more: Partial<Received> = {}): Received => ({
  id: `id ${type}`,
  type,
  body,
  from: bob,
  peer: bob,
  device,
  threadId,
  ...more,
})
const offer = (more: Partial<Received> = {}): Received => received(messages.offer.type, { price: 3 }, more)
const ask = (more: Partial<Received> = {}): Received =>
  received(messages.ask.type, { thing: 'lamp' }, { from: alice, peer: alice, ...more })
const record = (result: StepResult): ThreadRecord => {
  expect(result.record).toBeDefined()
  // What a store gives back.
  return JSON.parse(JSON.stringify(result.record))
}

describe('starting', () => {
  test('sets the machine up, sends and keeps the delay as a deadline on the wall clock', () => {
    const result = start()
    expect(result.outcome).toBe('stepped')
    expect(result.effects).toEqual([
      { kind: 'send', to: bob, message: 'ask', type: messages.ask.type, body: { thing: 'lamp' }, threadId },
    ])
    expect(record(result)).toMatchObject({
      role: 'buyer',
      peer: bob,
      version: 1,
      started: 1000,
      messages: 1,
      status: 'active',
      state: { value: 'asking' },
    })
    expect(nextDeadline(record(result))).toMatchObject({ id: 'xstate.after.offerMs.buyer.asking', at: 2000 })
  })

  test('leaves a record that JSON gives back unchanged', () => {
    const result = start()
    expect(record(result)).toEqual(result.record)
  })

  test('is refused for a thread that is there, a role that is not, and input that the machine cannot take', () => {
    expect(step(haggle, record(start()), { kind: 'start', role: 'buyer', threadId, peer: bob, now: 0 })).toMatchObject({
      outcome: 'refused',
      problem: { code: 'thread-exists' },
    })
    for (const role of ['broker', 'constructor', '__proto__']) {
      expect(step(haggle, undefined, { kind: 'start', role, threadId, peer: bob, now: 0 })).toMatchObject({
        record: undefined,
        problem: { code: 'role-unknown' },
      })
    }
    expect(step(haggle, undefined, { kind: 'start', role: 'buyer', threadId, peer: bob, now: 0 })).toMatchObject({
      record: undefined,
      problem: { code: 'machine-failed' },
    })
  })
})

describe('a message', () => {
  test('opens a thread in the role that it opens, delivers and calls', () => {
    const result = step(haggle, undefined, { kind: 'message', message: ask(), now: 5 })
    expect(record(result)).toMatchObject({
      role: 'seller',
      peer: alice,
      messages: 1,
      calls: [{ id: 'lookUp.1', capability: 'lookUp', request: { thing: 'lamp' } }],
    })
    expect(result.effects).toEqual([
      { kind: 'deliver', message: ask() },
      { kind: 'call', id: 'lookUp.1', capability: 'lookUp', request: { thing: 'lamp' } },
    ])
  })

  test('moves the machine and cancels the deadlines of the state it leaves', () => {
    const result = step(haggle, record(start()), { kind: 'message', message: offer(), now: 1500 })
    expect(result.effects).toEqual([{ kind: 'emit', name: 'offered', params: { price: 3 } }])
    expect(record(result).deadlines.map(({ id, at }) => [id, at])).toEqual([
      ['kernel.lifetime', 101_000],
      ['xstate.after.lapseMs.buyer.choosing', 6500],
    ])
  })

  const refusals: [string, Received, string][] = [
    ['with a body that its schema refuses', offer({ body: { price: 'much' } }), 'body-invalid'],
    ['of a type that the protocol does not have', offer({ type: 'urn:test:haggle:1:bid' }), 'message-unknown'],
    ['of somebody who guessed the thread id', offer({ from: mallory, peer: mallory }), 'thread-foreign'],
    ['of another thread', offer({ threadId: 'urn:uuid:00000000-0000-4000-8000-000000000002' }), 'thread-foreign'],
  ]
  for (const [what, message, code] of refusals) {
    test(`${what} is refused and changes nothing`, () => {
      const before = record(start())
      expect(step(haggle, before, { kind: 'message', message, now: 1500 })).toEqual({
        record: before,
        effects: [],
        outcome: 'refused',
        problem: { code },
      })
    })
  }

  test('that opens no thread is refused without one', () => {
    expect(step(haggle, undefined, { kind: 'message', message: offer(), now: 5 })).toMatchObject({
      record: undefined,
      problem: { code: 'thread-unknown' },
    })
  })

  test('that the state does not expect is ignored', () => {
    const before = record(start())
    expect(step(haggle, before, { kind: 'message', message: received(messages.take.type, {}), now: 5 })).toEqual({
      record: before,
      effects: [],
      outcome: 'ignored',
    })
  })

  test('of another own device reaches only roles that follow copies', () => {
    const copy = ask({ from: bob, peer: alice, copy: true })
    expect(step(haggle, undefined, { kind: 'message', message: copy, now: 5 })).toMatchObject({
      outcome: 'stepped',
      effects: [{ kind: 'deliver' }],
    })
    const offerCopy = offer({ from: alice, copy: true })
    expect(step(haggle, undefined, { kind: 'message', message: offerCopy, now: 5 })).toEqual({
      record: undefined,
      effects: [],
      outcome: 'ignored',
    })
    const before = record(start())
    expect(step(haggle, before, { kind: 'message', message: offerCopy, now: 5 })).toEqual({
      record: before,
      effects: [],
      outcome: 'ignored',
    })
  })

  test('that carries a secret comes to the machine without its body', () => {
    const result = step(haggle, record(start()), {
      kind: 'message',
      message: received(messages.token.type, { key: 'secret' }),
      now: 5,
    })
    expect(record(result).state.context).toMatchObject({ heard: 'no secret' })
    expect(JSON.stringify(result.record)).not.toContain('"secret"')
  })

  test('beyond the limit of the thread is refused', () => {
    let now = record(step(haggle, undefined, { kind: 'message', message: ask(), now: 5 }))
    now = record(step(haggle, now, { kind: 'result', id: 'lookUp.1', result: { price: 3 }, now: 6 }))
    const note = received(messages.note.type, { text: 'x' }, { from: alice, peer: alice })
    for (let i = 2; i < haggle.limits.threadMessagesMax; i++)
      now = record(step(haggle, now, { kind: 'message', message: note, now: 7 }))
    expect(now.messages).toBe(6)
    expect(step(haggle, now, { kind: 'message', message: note, now: 7 })).toMatchObject({
      record: now,
      outcome: 'refused',
      problem: { code: 'thread-messages-exceeded' },
    })
  })

  test('of another protocol does not reach the record', () => {
    const other = defineProtocol({
      uri: 'urn:test:other',
      version: 1,
      messages,
      roles: haggle.roles,
      capabilities: haggle.capabilities,
    })
    expect(step(other, record(start()), { kind: 'message', message: offer(), now: 5 })).toMatchObject({
      outcome: 'refused',
      problem: { code: 'thread-foreign' },
    })
  })
})

describe('a deadline', () => {
  const id = 'xstate.after.offerMs.buyer.asking'

  test('does nothing before its time, nor when there is no such deadline', () => {
    const before = record(start())
    for (const input of [
      { id, now: 1999 },
      { id: 'xstate.after.lapseMs.buyer.choosing', now: 9999 },
    ]) {
      expect(step(haggle, before, { kind: 'deadline', ...input })).toEqual({ record: before, effects: [], outcome: 'ignored' })
    }
  })

  test('moves the machine, also long after and after a restart', () => {
    expect(record(step(haggle, record(start()), { kind: 'deadline', id, now: 90_000 }))).toMatchObject({
      status: 'done',
      ended: 90_000,
      output: { price: null },
    })
  })

  test('ends the thread when its life time is over', () => {
    const { record: last, ...result } = step(haggle, record(start()), { kind: 'deadline', id: 'kernel.lifetime', now: 101_000 })
    expect(result).toEqual({ effects: [], outcome: 'failed', problem: { code: 'thread-expired' } })
    expect(last).toMatchObject({
      status: 'failed',
      problem: 'thread-expired',
      deadlines: [{ id: 'kernel.retention', at: 101_500 }],
    })
  })
})

describe('an ended thread', () => {
  const ended = (): ThreadRecord =>
    record(step(haggle, record(start()), { kind: 'deadline', id: 'kernel.lifetime', now: 101_000 }))

  test('ignores late messages, deadlines and results, and refuses commands', () => {
    const before = ended()
    expect(step(haggle, before, { kind: 'message', message: offer(), now: 101_001 })).toEqual({
      record: before,
      effects: [],
      outcome: 'ignored',
    })
    expect(step(haggle, before, { kind: 'result', id: 'lookUp.1', result: {}, now: 101_001 })).toEqual({
      record: before,
      effects: [],
      outcome: 'ignored',
    })
    expect(step(haggle, before, { kind: 'command', event: { type: 'take' }, now: 101_001 })).toMatchObject({
      problem: { code: 'thread-ended' },
    })
  })

  test('is forgotten after its retention', () => {
    expect(step(haggle, ended(), { kind: 'deadline', id: 'kernel.retention', now: 101_499 }).record).toBeDefined()
    expect(step(haggle, ended(), { kind: 'deadline', id: 'kernel.retention', now: 101_500 })).toEqual({
      record: undefined,
      effects: [],
      outcome: 'stepped',
    })
  })
})

describe('a command', () => {
  test('moves the machine', () => {
    const choosing = record(step(haggle, record(start()), { kind: 'message', message: offer(), now: 1500 }))
    const result = step(haggle, choosing, { kind: 'command', event: { type: 'take' }, now: 1600 })
    expect(record(result)).toMatchObject({ status: 'done', output: { price: 3 } })
    expect(result.effects).toMatchObject([{ kind: 'send', message: 'take' }])
  })

  test('sends what its role lets applications send', () => {
    const result = step(haggle, record(start()), { kind: 'command', event: { type: 'send.note', body: { text: 'x' } }, now: 1 })
    expect(result.effects).toMatchObject([{ kind: 'send', to: bob, message: 'note', body: { text: 'x' } }])
  })

  const refusals: [string, string][] = [
    ['received.offer', 'effect-invalid'],
    ['result.lookUp', 'effect-invalid'],
    ['thread.expired', 'effect-invalid'],
    ['xstate.after.offerMs.buyer.asking', 'effect-invalid'],
    ['send.take', 'message-unknown'],
    ['send.constructor', 'message-unknown'],
    ['send.note', 'body-invalid'],
  ]
  for (const [type, code] of refusals) {
    test(`${type} is refused`, () => {
      const before = record(start())
      expect(step(haggle, before, { kind: 'command', event: { type }, now: 1 })).toEqual({
        record: before,
        effects: [],
        outcome: 'refused',
        problem: { code },
      })
    })
  }
})

describe('a call', () => {
  test('takes its result once', () => {
    const looking = record(step(haggle, undefined, { kind: 'message', message: ask(), now: 5 }))
    const result = step(haggle, looking, { kind: 'result', id: 'lookUp.1', result: { price: 3 }, now: 6 })
    expect(result.effects).toMatchObject([
      { kind: 'send', to: alice, message: 'offer', body: { price: 3 }, referentId: 'id urn:test:haggle:1:ask' },
    ])
    const again = step(haggle, record(result), { kind: 'result', id: 'lookUp.1', result: { price: 9 }, now: 7 })
    expect(again).toEqual({ record: record(result), effects: [], outcome: 'ignored' })
  })

  test('with a result that makes the machine ask for nonsense ends the thread', () => {
    const looking = record(step(haggle, undefined, { kind: 'message', message: ask(), now: 5 }))
    const result = step(haggle, looking, { kind: 'result', id: 'lookUp.1', result: { price: 'none' }, now: 6 })
    expect(result).toMatchObject({
      outcome: 'failed',
      effects: [],
      problem: { code: 'effect-invalid' },
      record: { status: 'failed', calls: [] },
    })
  })
})

describe('a machine that', () => {
  test('throws leaves the thread as it was', () => {
    const before = record(start())
    expect(step(haggle, before, { kind: 'command', event: { type: 'break' }, now: 1 })).toEqual({
      record: before,
      effects: [],
      outcome: 'refused',
      problem: { code: 'machine-failed' },
    })
  })

  test('keeps what JSON cannot hold leaves the thread as it was', () => {
    const before = record(start())
    expect(step(haggle, before, { kind: 'command', event: { type: 'pollute' }, now: 1 })).toEqual({
      record: before,
      effects: [],
      outcome: 'refused',
      problem: { code: 'state-not-json' },
    })
  })

  const act = effectActions<typeof messages>()
  const asking: [string, object, string][] = [
    ['sends an unknown message', { type: 'send', params: { message: 'bid', body: {} } }, 'effect-invalid'],
    ['sends a wrong body', { type: 'send', params: { message: 'ask', body: {} } }, 'effect-invalid'],
    [
      'sends to somebody outside the thread',
      { type: 'send', params: { message: 'take', body: {}, to: mallory } },
      'effect-invalid',
    ],
    [
      'sends to a device that has no such id',
      { type: 'send', params: { message: 'take', body: {}, devices: ['x'] } },
      'effect-invalid',
    ],
    ['sends to no device', { type: 'send', params: { message: 'take', body: {}, devices: [] } }, 'effect-invalid'],
    ['puts a secret into an effect', { type: 'send', params: { message: 'token', body: { key: 'k' } } }, 'effect-invalid'],
    ['delivers outside of a message', { type: 'deliver' }, 'effect-invalid'],
    ['calls what is not declared', { type: 'call', params: { capability: 'rm', request: {} } }, 'effect-invalid'],
    ['emits without a name', { type: 'emit', params: {} }, 'effect-invalid'],
  ]
  for (const [what, action, code] of asking) {
    test(`${what} is refused`, () => {
      const machine = setup({ actions: act }).createMachine({ id: 'm', initial: 'a', states: { a: { entry: action as never } } })
      const protocol = defineProtocol({ uri: 'urn:a:b', version: 1, messages, roles: { r: { machine } } })
      expect(step(protocol, undefined, { kind: 'start', role: 'r', threadId, peer: bob, now: 1 })).toEqual({
        record: undefined,
        effects: [],
        outcome: 'refused',
        problem: { code },
      })
    })
  }

  test('asks for too much at once is refused', () => {
    const machine = setup({ actions: act }).createMachine({
      id: 'm',
      entry: Array.from({ length: 65 }, () => ({ type: 'emit' as const, params: { name: 'x' } })),
    })
    const protocol = defineProtocol({ uri: 'urn:a:b', version: 1, messages, roles: { r: { machine } } })
    expect(step(protocol, undefined, { kind: 'start', role: 'r', threadId, peer: bob, now: 1 })).toMatchObject({
      problem: { code: 'effects-exceeded' },
    })
  })

  test('sets more deadlines than a thread may have is refused', () => {
    const after = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i + 1, { target: 'a' }]))
    const machine = createMachine({ id: 'm', initial: 'a', states: { a: { after } } })
    const protocol = defineProtocol({ uri: 'urn:a:b', version: 1, messages, roles: { r: { machine } } })
    expect(step(protocol, undefined, { kind: 'start', role: 'r', threadId, peer: bob, now: 1 })).toMatchObject({
      problem: { code: 'deadlines-exceeded' },
    })
  })

  test('asks for a delay that is no time is refused', () => {
    const machine = setup({ delays: { never: () => Number.NaN } }).createMachine({
      id: 'm',
      initial: 'a',
      states: { a: { after: { never: 'a' } } },
    })
    const protocol = defineProtocol({ uri: 'urn:a:b', version: 1, messages, roles: { r: { machine } } })
    expect(step(protocol, undefined, { kind: 'start', role: 'r', threadId, peer: bob, now: 1 })).toMatchObject({
      problem: { code: 'effect-invalid' },
    })
  })
})

describe('a record of another version', () => {
  const second = (migrations?: Protocol['migrations']): Protocol =>
    defineProtocol({ ...(haggle as Protocol), version: 3, ...(migrations === undefined ? {} : { migrations }) })
  const input = { kind: 'message', message: offer(), now: 1500 } as const

  test('is led on by named migrations, one after the other', () => {
    const old = { ...record(start()), state: { value: 'wanting', context: { thing: 'lamp' }, status: 'active' } }
    const protocol = second([
      { name: 'renames wanting', from: 1, role: 'buyer', migrate: (stored) => ({ ...stored, value: 'asking' }) },
      {
        name: 'adds price',
        from: 2,
        role: 'buyer',
        migrate: (stored) => ({ ...stored, context: { ...stored.context, price: null, heard: '' } }),
      },
    ])
    expect(record(step(protocol, old, input))).toMatchObject({ version: 3, state: { value: 'choosing', context: { price: 3 } } })
  })

  test('ends with a problem when no migration leads on, or one fails', () => {
    expect(step(second(), record(start()), input)).toMatchObject({
      outcome: 'failed',
      problem: { code: 'version-unknown' },
      record: { status: 'failed' },
    })
    const failing = second([
      {
        name: 'fails',
        from: 1,
        role: 'buyer',
        migrate: () => {
          throw new Error('inside')
        },
      },
    ])
    expect(step(failing, record(start()), input)).toMatchObject({ outcome: 'failed', problem: { code: 'migration-failed' } })
  })

  test('ends with a problem when it is newer', () => {
    expect(step(haggle, { ...record(start()), version: 9 }, input)).toMatchObject({
      outcome: 'failed',
      problem: { code: 'version-unknown' },
    })
  })
})

test('a stored state that the machine does not have ends with a problem', () => {
  const values: unknown[] = [
    'wanting',
    '',
    { asking: 'deep' },
    { asking: {}, choosing: {} },
    {},
    'constructor',
    7,
    null,
    ['asking'],
  ]
  for (const value of values) {
    const broken = { ...record(start()), state: { value, context: {}, status: 'active' } } as ThreadRecord
    expect(step(haggle, broken, { kind: 'message', message: offer(), now: 1 }), JSON.stringify(value)).toMatchObject({
      outcome: 'failed',
      problem: { code: 'state-unknown' },
    })
  }
})

test('a state of states is restored whole', () => {
  const machine = createMachine({
    id: 'm',
    type: 'parallel',
    states: {
      left: { initial: 'a', states: { a: { on: { x: 'b' } }, b: { initial: 'c', states: { c: { on: { x: 'd' } }, d: {} } } } },
      right: { initial: 'a', states: { a: {} } },
    },
  })
  const protocol = defineProtocol({ uri: 'urn:a:b', version: 1, messages: {}, roles: { r: { machine } } })
  let now = record(step(protocol, undefined, { kind: 'start', role: 'r', threadId, peer: bob, now: 1 }))
  for (const value of [
    { left: { b: 'c' }, right: 'a' },
    { left: { b: 'd' }, right: 'a' },
  ]) {
    now = record(step(protocol, now, { kind: 'command', event: { type: 'x' }, now: 1 }))
    expect(now.state.value).toEqual(value)
  }
})

test('threads are keyed by protocol, peer and id', () => {
  expect(threadKey({ protocol: 'p', peer: bob, threadId })).not.toBe(threadKey({ protocol: 'p', peer: mallory, threadId }))
  const also = record(
    step(haggle, undefined, { kind: 'start', role: 'buyer', threadId, peer: bob, also: [alice], input: { thing: 'x' }, now: 1 }),
  )
  expect(threadKeys(also)).toEqual([
    threadKey({ protocol: haggle.uri, peer: bob, threadId }),
    threadKey({ protocol: haggle.uri, peer: alice, threadId }),
  ])
  expect(step(haggle, also, { kind: 'message', message: offer({ from: alice, peer: alice }), now: 5 }).outcome).toBe('stepped')
})

test('a step reads no clock and changes nothing that it was given', () => {
  const deepFreeze = <T>(value: T): T => {
    if (typeof value === 'object' && value !== null) for (const member of Object.values(Object.freeze(value))) deepFreeze(member)
    return value
  }
  const before = deepFreeze(record(start()))
  const input = deepFreeze({ kind: 'message', message: offer(), now: 1500 } as const)
  expect(step(haggle, before, input)).toEqual(step(haggle, before, input))
  expect(buyer.id).toBe('buyer')
})
