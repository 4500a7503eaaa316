import { createSimRandom } from '@parley/core/sim'
import { readBody } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { createExchange, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { trustPing } from '../index.ts'
import { delays } from '../machine.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const key = `${trustPing.uri} bob@b.example ${threadId}`
const from = { from: 'bob@b.example', device: 'd', id: 'm1', now: 5 }
const events = [
  { type: 'received.ping', body: { response_requested: true }, ...from },
  { type: 'received.ping', body: { response_requested: false }, ...from },
  { type: 'received.ping-response', body: {}, ...from },
  { type: 'thread.reported', code: 'protocol-unknown', now: 5 },
  { type: 'thread.expired', now: 5 },
]
const start = (responseRequested: boolean) => ({ threadId, peer: 'bob@b.example', now: 1, input: { responseRequested } })

describe('the machines', () => {
  const { sender, receiver } = trustPing.roles

  test('reach every state, and ignore only what is listed', () => {
    expect(explore(sender.machine, { events, input: start(true) })).toMatchObject({
      unreached: ['unanswered'],
      unanswered: { waiting: ['received.ping'] },
      changedByStore: [],
    })
    expect(explore(sender.machine, { events, input: start(false) }).unreached).toEqual([
      'waiting',
      'answered',
      'refused',
      'timed-out',
    ])
    expect(explore(receiver.machine, { events, input: start(true) })).toMatchObject({
      unreached: [],
      unanswered: { ready: ['received.ping-response', 'thread.reported'] },
      changedByStore: [],
    })
  })
})

describe('the messages', () => {
  for (const { name, message, body, valid } of vectors) {
    test(`${message}: ${name} is ${valid ? 'taken' : 'refused'}`, () => {
      expect(readBody(trustPing.messages[message as 'ping'], body as never).ok).toBe(valid)
    })
  }

  test('a ping asks for an answer unless it says otherwise', () => {
    expect(readBody(trustPing.messages.ping, {})).toEqual({ ok: true, body: { response_requested: true } })
  })
})

describe('two parties', () => {
  const run = (seed: number, options: { loss?: number; responseRequested?: boolean } = {}) => {
    const alice = party('alice@a.example', 'a')
    const bobs = [party('bob@b.example', 'b1'), party('bob@b.example', 'b2')]
    const random = createSimRandom(seed)
    const exchange = createExchange({ protocol: trustPing, parties: [alice, ...bobs], random, loss: options.loss ?? 0 })
    const bob = bobs[0]?.address ?? alice.address
    const input = { responseRequested: options.responseRequested ?? true }
    exchange.step(alice, key, { kind: 'start', role: 'sender', threadId, peer: bob, input, now: exchange.now() })
    exchange.run(trustPing.limits.threadLifetimeMs)
    return { alice, bobs, record: alice.threads.get(key) }
  }

  test('find each other over a pipe that shuffles and duplicates, with 200 seeds', () => {
    for (let seed = 0; seed < 200; seed++) {
      const { alice, bobs, record } = run(seed)
      expect(record, `seed ${seed}`).toMatchObject({ status: 'done', output: { result: 'answered' } })
      expect(alice.refused).toEqual([])
      for (const bob of bobs) expect([...bob.threads.values()]).toMatchObject([{ status: 'done', messages: 2 }])
    }
  })

  test('or time out where messages get lost; either way the run ends', () => {
    const ends = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const { record } = run(seed, { loss: 0.7 })
      expect(record?.status, `seed ${seed}`).toBe('done')
      ends.add(JSON.stringify((record?.output as { result: string } | undefined)?.result))
    }
    expect([...ends].sort()).toEqual(['"answered"', '"timed-out"'])
  })

  test('say nothing back when no answer is asked for', () => {
    const { bobs, record } = run(1, { responseRequested: false })
    expect(record).toMatchObject({ status: 'done', output: { result: 'unanswered' } })
    for (const bob of bobs) expect([...bob.threads.values()]).toMatchObject([{ status: 'done', messages: 1 }])
  })

  test('wait for the named time', () => {
    const alice = party('alice@a.example', 'a')
    const exchange = createExchange({ protocol: trustPing, parties: [alice], random: createSimRandom(1) })
    const began = exchange.now()
    exchange.step(alice, key, {
      kind: 'start',
      role: 'sender',
      threadId,
      peer: party('bob@b.example', 'b').address,
      input: {},
      now: began,
    })
    exchange.run(delays.answerMs)
    expect(alice.threads.get(key)).toMatchObject({
      status: 'done',
      ended: began + 60_000,
      output: { result: 'timed-out', roundTripMs: null },
    })
  })
})
