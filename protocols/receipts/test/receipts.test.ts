import { createSimRandom } from '@parley/core/sim'
import { createRegistry, readBody } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { createExchange, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { delivered, receiptMessagesMax, receipts } from '../index.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const id = (n: number): string => `urn:uuid:00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

describe('the machines', () => {
  const events = [
    { type: 'send.displayed', body: { up_to: id(1) }, now: 5 },
    { type: 'received.displayed', body: { up_to: id(1) }, from: 'bob@b.example', device: 'd', id: 'm1', now: 5 },
    { type: 'result.noteDisplayed', id: 'noteDisplayed.1', result: {}, now: 5 },
    { type: 'thread.expired', now: 5 },
  ]
  const input = { threadId, peer: 'bob@b.example', now: 1 }

  test('reach every state, and ignore only what is listed', () => {
    expect(explore(receipts.roles.reader.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: { telling: ['received.displayed', 'result.noteDisplayed'] },
      changedByStore: [],
    })
    expect(explore(receipts.roles.writer.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: { listening: ['result.noteDisplayed', 'send.displayed'] },
      changedByStore: [],
    })
  })
})

describe('the messages', () => {
  for (const { name, message, body, valid } of vectors) {
    test(`${message}: ${name} is ${valid ? 'taken' : 'refused'}`, () => {
      const definition = message === 'delivered' ? delivered : receipts.displayed
      expect(readBody(definition, body as never).ok).toBe(valid)
    })
  }

  test('a delivered receipt holds so many messages and no more, and none is too large for it', () => {
    const pairs = (count: number) => ({ delivered: Array.from({ length: count }, (_, n) => [id(n), 'h'.repeat(43)] as const) })
    expect(readBody(delivered, pairs(receiptMessagesMax) as never).ok).toBe(true)
    expect(readBody(delivered, pairs(receiptMessagesMax + 1) as never).ok).toBe(false)
  })

  test('only displayed can be sent by an application', () => {
    const registry = createRegistry([receipts])
    expect(registry.sending(receipts.displayed({ up_to: id(1) }))).toMatchObject({
      role: 'reader',
      event: { type: 'send.displayed', body: { up_to: id(1) } },
    })
    expect(registry.find(delivered.type)).toBeUndefined()
  })
})

test('a writer notes all that the reader told, over a pipe that shuffles and duplicates, and answers nothing', () => {
  for (let seed = 0; seed < 100; seed++) {
    const alice = party('alice@a.example', 'a')
    const bob = party('bob@b.example', 'b')
    const noted: string[] = []
    const exchange = createExchange({
      protocol: receipts,
      parties: [alice, bob],
      random: createSimRandom(seed),
      dropSeen: true,
      answer(by, { capability, request }) {
        expect([by, capability]).toEqual([alice, 'noteDisplayed'])
        expect((request as { from: string }).from).toBe(bob.address)
        noted.push((request as { upTo: string }).upTo)
        return { result: {} }
      },
    })
    const key = `${receipts.uri} ${alice.address} ${threadId}`
    exchange.step(bob, key, { kind: 'start', role: 'reader', threadId, peer: alice.address, now: exchange.now() })
    const told = [1, 2, 3, 4].map(id)
    for (const upTo of told)
      exchange.step(bob, key, {
        kind: 'command',
        event: { type: 'send.displayed', body: { up_to: upTo } },
        now: exchange.now(),
      })
    exchange.run(1000)
    expect(noted.sort(), `seed ${seed}`).toEqual(told)
    expect([...alice.threads.values()]).toMatchObject([{ role: 'writer', status: 'active', messages: 4, calls: [] }])
    expect([...bob.threads.values()]).toMatchObject([{ role: 'reader', messages: 4 }])
  }
})
