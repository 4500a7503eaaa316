import { type Address, type JsonObject, type MessageId, parseAddress } from '@parley/core'
import { createRegistry, type ThreadRecord } from '@parley/kernel'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { beforeEach, describe, expect, it } from 'vitest'
import { agentLimits } from '../src/limits.ts'
import { activeThread, findThread, type Stepped, stepThread, type ThreadParts } from '../src/threads.ts'
import { lifetimeMs, type Person, person, start } from './people.ts'

const bob: Address = parseAddress('bob@b.test')
let alice: Person
let parts: ThreadParts
let log: string[]
let waiting: number

beforeEach(async () => {
  alice = await person('alice@a.test')
  log = []
  waiting = 0
  parts = {
    registry: createRegistry([chat, trustPing]),
    outbox: {
      random: alice.random,
      limits: agentLimits,
      lifetimeMs,
      waiting: () => waiting,
      dropped: (to) => log.push(`dropped ${to}`),
      added: (_, key, to) => log.push(`added ${to} ${key}`),
    },
    call: () => ({ result: {} }),
    recent: new Map(),
    deliver: (_, { body }) => log.push(`deliver ${body['text']}`),
    emit: ({ name, params }) => log.push(`${name} ${Object.values(params)}`),
    wakeAt: (_, name) => log.push(`wake ${name.split(' ')[0]}`),
  }
})

const begin = (threadId: string, now = start): Stepped =>
  alice.run(
    (tx) =>
      stepThread(tx, parts, {
        protocol: chat,
        record: undefined,
        input: { kind: 'start', role: 'peer', threadId, peer: bob, now: tx.now },
      }),
    now,
  )
const of = { protocol: chat.uri, role: 'peer', peer: bob }
const active = (): string | undefined => alice.run((tx) => activeThread(tx, parts, of)?.threadId)
const find = (threadId: string): ThreadRecord | undefined =>
  alice.run((tx) => findThread(tx, { protocol: chat.uri, peer: bob, threadId }))
const command = (threadId: string, event: JsonObject & { readonly type: string }): Stepped =>
  alice.run((tx) =>
    stepThread(tx, parts, { protocol: chat, record: find(threadId), input: { kind: 'command', event, now: tx.now } }),
  )

it('stores a thread and the time of its next deadline', () => {
  expect(begin('t').outcome).toBe('stepped')
  expect(find('t')).toMatchObject({ threadId: 't', status: 'active' })
  expect(log).toContain('wake thread')
  expect(find('u')).toBeUndefined()
})

it('puts what a machine sends into the outbox, in the same step', () => {
  begin('t')
  const { sent } = command('t', { type: 'send.text', body: { text: 'hi' } })
  expect(sent).toHaveLength(1)
  expect([...alice.state.rows('outbox')].map(([, { id, to, threadId, seq }]) => [id, to, threadId, seq])).toEqual([
    [sent[0], bob, 't', 1],
  ])
  expect(log.filter((line) => line.startsWith('added'))).toHaveLength(1)
})

it('hands received messages on, and finds the newest thread of a role with a peer', () => {
  expect(active()).toBeUndefined()
  begin('old')
  begin('new', start + 1000)
  expect(active()).toBe('new')
  // Also when nothing is remembered but the store.
  parts.recent.clear()
  expect(active()).toBe('new')
  const message = {
    id: 'urn:uuid:7' as MessageId,
    type: chat.text.type,
    body: { text: 'hello' },
    from: bob,
    device: alice.device,
    peer: bob,
    threadId: 'old',
  }
  alice.run((tx) =>
    stepThread(tx, parts, { protocol: chat, record: find('old'), input: { kind: 'message', message, now: tx.now } }),
  )
  expect(log).toContain('deliver hello')
})

describe('in a full outbox', () => {
  const ping = (id: string): Stepped =>
    alice.run((tx) =>
      stepThread(tx, parts, {
        protocol: trustPing,
        record: undefined,
        input: {
          kind: 'message',
          message: {
            id: id as MessageId,
            type: trustPing.messages.ping.type,
            body: {},
            from: bob,
            device: alice.device,
            peer: bob,
            threadId: id,
          },
          now: tx.now,
        },
      }),
    )

  it('there is no room for what the application sends, and its step changes nothing', () => {
    begin('t')
    waiting = agentLimits.outboxMessagesMax
    expect(() => command('t', { type: 'send.text', body: { text: 'hi' } })).toThrow(
      expect.objectContaining({ code: 'ERR_AGENT_OUTBOX_FULL' }),
    )
    expect([alice.state.size('outbox'), alice.state.get('conversation', bob)]).toEqual([0, undefined])
  })

  it('what a machine answers has a reserve; beyond it the answer is dropped and reported, and the message is taken', () => {
    waiting = agentLimits.outboxMessagesMax + agentLimits.outboxAnswersMax - 1
    expect(ping('urn:uuid:1')).toMatchObject({ outcome: 'stepped', sent: [expect.any(String)] })
    waiting++
    expect(ping('urn:uuid:2')).toMatchObject({ outcome: 'stepped', sent: [] })
    expect(log.filter((line) => line.startsWith('dropped'))).toEqual([`dropped ${bob}`])
    expect(alice.state.size('outbox')).toBe(1)
    expect(alice.state.size('thread')).toBe(2)
  })
})

it('changes nothing for what a machine does not take, and says why', () => {
  begin('t')
  const before = alice.state.size('outbox')
  expect(command('t', { type: 'send.text', body: { text: 7 } })).toMatchObject({ outcome: 'refused' })
  expect(command('t', { type: 'nonsense' })).toMatchObject({ outcome: 'ignored' })
  expect(alice.state.size('outbox')).toBe(before)
})
