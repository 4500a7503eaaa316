import { parseAddress } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { assign, raise, setup } from 'xstate'
import { defineProtocol, kernelLimits, type Protocol, type RoleInput, step, type ThreadRecord } from '../src/index.ts'

const bob = parseAddress('bob@b.example')
const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const start = (protocol: Protocol): ThreadRecord => {
  const { record } = step(protocol, undefined, { kind: 'start', role: 'one', threadId, peer: bob, now: 0 })
  if (record === undefined) throw new Error('not started')
  return record
}

describe('a machine that never comes to rest', () => {
  const circle = {
    always: { a: { always: 'b' }, b: { always: 'a' } },
    raised: { a: { entry: raise({ type: 'on' }), on: { on: 'b' } }, b: { entry: raise({ type: 'on' }), on: { on: 'a' } } },
  }
  for (const [what, states] of Object.entries(circle)) {
    const machine = setup({ types: { input: {} as RoleInput } }).createMachine({
      id: 'round',
      initial: 'rest',
      states: { rest: { on: { go: 'a' } }, ...states },
    })
    const round = defineProtocol({ uri: 'urn:test:round:1', version: 1, messages: {}, roles: { one: { machine } } })

    test(`by ${what} transitions is given up, and the thread stays as it was`, () => {
      const before = start(round)
      expect(step(round, before, { kind: 'command', event: { type: 'go' }, now: 1 })).toEqual({
        record: before,
        effects: [],
        outcome: 'refused',
        problem: { code: 'microsteps-exceeded' },
      })
    })
  }

  test('may give up earlier by its own choice', () => {
    const states = { rest: { on: { go: 'a' } }, a: { always: 'b' }, b: { always: 'c' }, c: {} }
    const config = { id: 'short', initial: 'rest', states, options: { maxIterations: 1 } }
    const machine = setup({ types: { input: {} as RoleInput } }).createMachine(config)
    const short = defineProtocol({ uri: 'urn:test:short:1', version: 1, messages: {}, roles: { one: { machine } } })
    const command = { kind: 'command', event: { type: 'go' }, now: 1 } as const
    expect(step(short, start(short), command).problem).toEqual({ code: 'microsteps-exceeded' })
  })

  test('may go on by itself for as long as the limit says', () => {
    const machine = setup({ types: { input: {} as RoleInput, context: {} as { n: number } } }).createMachine({
      id: 'count',
      context: { n: 0 },
      initial: 'counting',
      states: {
        counting: {
          always: {
            guard: ({ context }) => context.n < kernelLimits.microstepsMax - 2,
            actions: assign({ n: ({ context }) => context.n + 1 }),
          },
        },
      },
    })
    const count = defineProtocol({ uri: 'urn:test:count:1', version: 1, messages: {}, roles: { one: { machine } } })
    expect(start(count).state.context).toEqual({ n: kernelLimits.microstepsMax - 2 })
  })
})
