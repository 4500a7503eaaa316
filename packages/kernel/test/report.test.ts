import { parseAddress } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { assign, setup } from 'xstate'
import { defineProtocol, type Protocol, type ReportEvents, type RoleInput, step, type ThreadRecord } from '../src/index.ts'

const bob = parseAddress('bob@b.example')
const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const start = (protocol: Protocol): ThreadRecord => {
  const { record } = step(protocol, undefined, { kind: 'start', role: 'one', threadId, peer: bob, now: 0 })
  if (record === undefined) throw new Error('not started')
  return record
}

describe('a report of the peer', () => {
  const machine = setup({
    types: { input: {} as RoleInput, context: {} as { why: string }, events: {} as ReportEvents },
  }).createMachine({
    id: 'hopeful',
    context: { why: '' },
    initial: 'asking',
    states: {
      asking: { on: { 'thread.reported': { target: 'told', actions: assign({ why: ({ event }) => event.code }) } } },
      told: { type: 'final' },
    },
    output: ({ context }) => context,
  })
  const hope = defineProtocol({ uri: 'urn:test:hope:1', version: 1, messages: {}, roles: { one: { machine } } })
  const deafMachine = setup({ types: { input: {} as RoleInput } }).createMachine({ id: 'deaf', initial: 'a', states: { a: {} } })
  const deaf = defineProtocol({ uri: 'urn:test:deaf:1', version: 1, messages: {}, roles: { one: { machine: deafMachine } } })
  const report = { kind: 'report', code: 'protocol-unknown', now: 9 } as const

  test('comes to the machine that asks for it', () => {
    const before = start(hope)
    const after = step(hope, before, report).record
    expect(after).toMatchObject({ status: 'done', output: { why: 'protocol-unknown' } })
    expect(step(hope, after, report)).toMatchObject({ record: after, outcome: 'ignored' })
  })

  test('changes nothing for one that does not', () => {
    const before = start(deaf)
    expect(step(deaf, before, report)).toEqual({ record: before, effects: [], outcome: 'ignored' })
  })
})
