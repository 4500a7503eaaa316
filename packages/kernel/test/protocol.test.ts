import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit, fromPromise, raise, setup, spawnChild } from 'xstate'
import { createRegistry, defineMessage, defineProtocol, machineOffences, type Protocol } from '../src/index.ts'
import { buyer, haggle, messages, seller } from './haggle.ts'
import { object } from './schema.ts'

const plain = createMachine({ id: 'm', initial: 'a', states: { a: {} } })
const actor = fromPromise(async () => 1)

describe('a machine', () => {
  test('of the kernel’s actions, guards, assignments and delays is taken', () => {
    expect(machineOffences(buyer)).toEqual([])
    expect(machineOffences(seller)).toEqual([])
    expect(machineOffences(createMachine({ id: 'm', entry: [raise({ type: 'x' }), assign({})] }))).toEqual([])
  })

  const offenders: [string, Parameters<typeof machineOffences>[0]][] = [
    ['invoke', createMachine({ id: 'm', initial: 'a', states: { a: { invoke: { src: actor } } } })],
    ['invoke at the root', createMachine({ id: 'm', invoke: { src: actor } })],
    ['spawnChild', createMachine({ id: 'm', entry: spawnChild(actor) })],
    [
      'spawnChild in a nested transition',
      createMachine({ id: 'm', initial: 'a', states: { a: { on: { x: { actions: [spawnChild(actor)] } } } } }),
    ],
    ['spawnChild after a delay', createMachine({ id: 'm', after: { 5: { actions: spawnChild(actor) } } })],
    ['an actor that could be spawned in an assignment', setup({ actors: { actor } }).createMachine({ id: 'm' })],
    ['a function for an action', createMachine({ id: 'm', exit: () => {} })],
    ['a function for an action of an eventless transition', createMachine({ id: 'm', always: { actions: () => {} } })],
    ['an emitted event of xstate', createMachine({ id: 'm', entry: emit({ type: 'x' }) })],
    ['a named action of its own', setup({ actions: { fire: () => {} } }).createMachine({ id: 'm' })],
    ['history', createMachine({ id: 'm', initial: 'a', states: { a: {}, h: { type: 'history' } } })],
  ]
  for (const [what, machine] of offenders) {
    test(`with ${what} is refused`, () => {
      expect(machineOffences(machine)).toHaveLength(1)
      expect(() => defineProtocol({ uri: 'urn:a:b', version: 1, messages: {}, roles: { r: { machine } } })).toThrow(TypeError)
    })
  }
})

describe('a protocol', () => {
  const good = { uri: 'urn:a:b', version: 1, messages: { ask: messages.ask }, roles: { r: { machine: plain } } }
  const bad: [string, object][] = [
    ['a relative URI', { uri: 'b' }],
    ['version 0', { version: 0 }],
    ['a type twice', { messages: { a: messages.ask, b: messages.ask } }],
    ['a role that opens an unknown message', { roles: { r: { machine: plain, opens: ['x'] } } }],
    [
      'two roles that one message opens',
      { roles: { r: { machine: plain, opens: ['ask'] }, s: { machine: plain, opens: ['ask'] } } },
    ],
    ['a negative limit', { limits: { threadLifetimeMs: -1 } }],
    ['a delay that is no number', { limits: { delays: { soon: Number.NaN } } }],
    ['a migration from the present version', { migrations: [{ name: 'x', from: 1, role: 'r', migrate: (s: unknown) => s }] }],
    ['a kernel type', { messages: { k: defineMessage({ type: 'urn:parley:kernel:1:key', body: object({}) }) } }],
    ['a secret for the application to send', { messages, roles: { r: { machine: plain, sends: ['token'] } } }],
  ]
  for (const [what, change] of bad) {
    test(`with ${what} is refused`, () => {
      expect(() => defineProtocol({ ...good, ...change } as never)).toThrow(TypeError)
    })
  }
})

describe('a registry', () => {
  const registry = createRegistry([haggle])

  test('finds protocols by URI and by message type', () => {
    expect(registry.get(haggle.uri)).toBe(haggle)
    expect(registry.find(messages.offer.type)).toEqual({ protocol: haggle, name: 'offer' })
    expect(registry.find('urn:test:haggle:1:constructor')).toBeUndefined()
  })

  test('names the role and the command that send a message', () => {
    expect(registry.sending(messages.note({ text: 'x' }))).toMatchObject({
      role: 'buyer',
      event: { type: 'send.note', body: { text: 'x' } },
    })
    expect(registry.sending(messages.ask({ thing: 'x' }))).toBeUndefined()
  })

  test('sends nothing of the kernel for an application', () => {
    const type = 'urn:parley:kernel:1:key'
    const key = defineMessage({ type, body: object({}) })
    const kernel = defineProtocol({
      uri: 'urn:k:1',
      version: 1,
      messages: { key },
      roles: { r: { machine: plain, sends: ['key'] } },
      kernelOnly: true,
    })
    expect(createRegistry([kernel]).sending(key({}))).toBeUndefined()
  })

  test('refuses a URI or a type twice', () => {
    expect(() => createRegistry([haggle, haggle])).toThrow(TypeError)
    expect(() => createRegistry([haggle, { ...(haggle as Protocol), uri: 'urn:other' }])).toThrow(TypeError)
  })
})
