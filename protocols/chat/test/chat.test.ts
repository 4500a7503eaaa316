import { createSimRandom } from '@parley/core/sim'
import { createRegistry, readBody } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { createExchange, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { chat, textCharsMax } from '../index.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const { machine } = chat.roles.peer

describe('the machine', () => {
  const from = { from: 'bob@b.example', device: 'd', id: 'm1', now: 5 }
  const events = [
    { type: 'received.text', body: { text: 'x' }, ...from },
    { type: 'copied.text', body: { text: 'x' }, ...from },
    { type: 'send.text', body: { text: 'x' }, now: 5 },
    { type: 'thread.expired', now: 5 },
  ]

  test('reaches every state and answers everything', () => {
    const graph = explore(machine, { events, input: { threadId, peer: 'bob@b.example', now: 1 } })
    expect(graph).toMatchObject({ unreached: [], unanswered: { talking: [] }, changedByStore: [] })
  })
})

describe('a text', () => {
  for (const { name, body, valid } of vectors) {
    test(`${name} is ${valid ? 'taken' : 'refused'}`, () => {
      expect(readBody(chat.messages.text, body as never).ok).toBe(valid)
    })
  }

  test('has a limit', () => {
    expect(() => chat.text({ text: 'x'.repeat(textCharsMax) })).not.toThrow()
    expect(() => chat.text({ text: 'x'.repeat(textCharsMax + 1) })).toThrow(
      expect.objectContaining({ code: 'ERR_KERNEL_BODY_INVALID' }),
    )
    // As many characters, but more octets than a message may have.
    expect(() => chat.text({ text: '\u0001'.repeat(textCharsMax) })).toThrow(
      expect.objectContaining({ code: 'ERR_KERNEL_BODY_TOO_LARGE' }),
    )
  })

  test('goes through the registry as a command of the peer, with what it replies to', () => {
    const sending = createRegistry([chat]).sending(chat.text({ text: 'hi' }, { referentId: 'm1' }))
    expect(sending).toMatchObject({ role: 'peer', event: { type: 'send.text', body: { text: 'hi' }, referentId: 'm1' } })
  })
})

describe('two people', () => {
  test('read all that the other wrote, once, over a pipe that shuffles and duplicates, with 100 seeds', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = createSimRandom(seed)
      const alice = party('alice@a.example', 'a')
      const bob = party('bob@b.example', 'b')
      const exchange = createExchange({ protocol: chat, parties: [alice, bob], random, dropSeen: true })
      const wrote = new Map([alice, bob].map((each) => [each, [] as string[]]))
      const open = (from: typeof alice, to: typeof alice): string => {
        const key = `${chat.uri} ${to.address} ${threadId}`
        if (!from.threads.has(key))
          exchange.step(from, key, { kind: 'start', role: 'peer', threadId, peer: to.address, now: exchange.now() })
        return key
      }
      for (let i = 0; i < 20; i++) {
        const [from, to] = random.chance(0.5) ? [alice, bob] : [bob, alice]
        const text = `${i} from ${from.address}`
        wrote.get(from)?.push(text)
        const event = { type: 'send.text', body: { text }, ...(random.chance(0.3) ? { referentId: 'm1' } : {}) }
        expect(exchange.step(from, open(from, to), { kind: 'command', event, now: exchange.now() }).effects).toHaveLength(1)
        if (random.chance(0.3)) exchange.run(1000)
      }
      exchange.run(1000)
      for (const [reader, writer] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        expect(reader.delivered.map(({ body }) => body['text']).sort(), `seed ${seed}`).toEqual(wrote.get(writer)?.sort())
        expect(reader.refused).toEqual([])
      }
    }
  })

  test('read a reply with what it replies to', () => {
    const alice = party('alice@a.example', 'a')
    const bob = party('bob@b.example', 'b')
    const exchange = createExchange({ protocol: chat, parties: [alice, bob], random: createSimRandom(1), dropSeen: true })
    const key = `${chat.uri} ${bob.address} ${threadId}`
    exchange.step(alice, key, { kind: 'start', role: 'peer', threadId, peer: bob.address, now: exchange.now() })
    exchange.step(alice, key, {
      kind: 'command',
      event: { type: 'send.text', body: { text: 'yes' }, referentId: 'm7' },
      now: exchange.now(),
    })
    exchange.run(1000)
    expect(bob.delivered).toMatchObject([{ body: { text: 'yes' }, referentId: 'm7', from: alice.address }])
  })

  test('see what their other devices wrote', () => {
    const laptop = party('alice@a.example', 'a2')
    const exchange = createExchange({ protocol: chat, parties: [laptop], random: createSimRandom(1) })
    const bob = party('bob@b.example', 'b').address
    const { address: from, device } = party('alice@a.example', 'a')
    const message = { id: 'm1', ...chat.text({ text: 'from my phone' }), from, device, peer: bob, threadId, copy: true }
    exchange.step(laptop, `${chat.uri} ${bob} ${threadId}`, { kind: 'message', message, now: exchange.now() })
    expect(laptop.delivered).toEqual([message])
  })
})
