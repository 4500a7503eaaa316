import { createSimRandom } from '@parley/core/sim'
import { readBody } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { createExchange, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { discoverFeatures, patternsMax, protocolsMax } from '../index.ts'
import { delays } from '../machine.ts'
import { fitsPattern } from '../messages.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const { asker, answerer } = discoverFeatures.roles
const spoken = [{ uri: 'urn:parley:chat:1', roles: ['peer'] }]

describe('the machines', () => {
  const from = { from: 'bob@b.example', device: 'd', id: 'm1', now: 5 }
  const result = (decision: object) => ({ type: 'result.listProtocols', id: 'listProtocols.1', result: decision, now: 5 })
  const events = [
    { type: 'received.query', body: { protocols: ['urn:*'] }, ...from },
    { type: 'received.disclose', body: { protocols: spoken }, ...from },
    result({ decision: 'answer', protocols: spoken }),
    result({ decision: 'ignore' }),
    { type: 'thread.reported', code: 'protocol-unknown', now: 5 },
    { type: 'thread.expired', now: 5 },
  ]

  test('reach every state, and ignore only what is listed', () => {
    const input = { threadId, peer: 'bob@b.example', now: 1, input: { protocols: ['urn:*'] } }
    expect(explore(asker.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: { asking: ['received.query', 'result.listProtocols'] },
      changedByStore: [],
    })
    expect(explore(answerer.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: {
        ready: ['received.disclose', 'result.listProtocols', 'thread.reported'],
        listing: ['received.disclose', 'received.query', 'thread.reported'],
      },
      changedByStore: [],
    })
  })
})

describe('the messages', () => {
  for (const { name, message, body, valid } of vectors) {
    test(`${message}: ${name} is ${valid ? 'taken' : 'refused'}`, () => {
      expect(readBody(discoverFeatures.messages[message as 'query'], body as never).ok).toBe(valid)
    })
  }

  test('are bounded', () => {
    const query = (count: number) => ({ protocols: Array.from({ length: count }, () => 'urn:*') })
    const disclose = (count: number) => ({ protocols: Array.from({ length: count }, () => ({ uri: 'urn:x', roles: [] })) })
    expect(readBody(discoverFeatures.messages.query, query(patternsMax)).ok).toBe(true)
    expect(readBody(discoverFeatures.messages.query, query(patternsMax + 1)).ok).toBe(false)
    expect(readBody(discoverFeatures.messages.disclose, disclose(protocolsMax)).ok).toBe(true)
    expect(readBody(discoverFeatures.messages.disclose, disclose(protocolsMax + 1)).ok).toBe(false)
  })
})

describe('a pattern', () => {
  const cases: [pattern: string, uri: string, fits: boolean][] = [
    ['urn:parley:chat:1', 'urn:parley:chat:1', true],
    ['urn:parley:chat:1', 'urn:parley:chat:10', false],
    ['urn:parley:chat:*', 'urn:parley:chat:10', true],
    ['urn:parley:chat:*', 'urn:parley:chess:1', false],
    ['*', 'urn:parley:chat:1', true],
  ]
  test.each(cases)('%s and %s: %s', (pattern, uri, fits) => {
    expect(fitsPattern(uri, [pattern])).toBe(fits)
    expect(fitsPattern(uri, ['urn:none', pattern])).toBe(fits)
    expect(fitsPattern(uri, [])).toBe(false)
  })
})

describe('two parties', () => {
  const run = (seed: number, options: { loss?: number; willing?: boolean } = {}) => {
    const alice = party('alice@a.example', 'a')
    const bobs = [party('bob@b.example', 'b1'), party('bob@b.example', 'b2')]
    const [bob = alice] = bobs
    const exchange = createExchange({
      protocol: discoverFeatures,
      parties: [alice, ...bobs],
      random: createSimRandom(seed),
      loss: options.loss ?? 0,
      answer(_, { request }) {
        expect(request).toEqual({ from: alice.address })
        const decision =
          options.willing === false
            ? { decision: 'ignore' }
            : { decision: 'answer', protocols: [...spoken, { uri: 'urn:other:1', roles: ['any'] }] }
        return { result: decision as never }
      },
    })
    const key = `${discoverFeatures.uri} ${bob.address} ${threadId}`
    const input = { protocols: ['urn:parley:*'] }
    exchange.step(alice, key, { kind: 'start', role: 'asker', threadId, peer: bob.address, input, now: exchange.now() })
    exchange.run(discoverFeatures.limits.threadLifetimeMs)
    return { alice, bobs, record: alice.threads.get(key) }
  }

  test('learn what the other speaks, over a pipe that shuffles and duplicates, with 100 seeds', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { alice, bobs, record } = run(seed)
      expect(record, `seed ${seed}`).toMatchObject({ status: 'done', output: { result: 'answered', protocols: spoken } })
      expect(alice.refused).toEqual([])
      for (const bob of bobs) expect([...bob.threads.values()]).toMatchObject([{ status: 'done', messages: 2 }])
    }
  })

  test('or time out where messages get lost; either way the run ends', () => {
    const ends = new Set<string | undefined>()
    for (let seed = 0; seed < 100; seed++) {
      const { record } = run(seed, { loss: 0.7 })
      expect(record?.status, `seed ${seed}`).toBe('done')
      ends.add((record?.output as { result: string } | undefined)?.result)
    }
    expect([...ends].sort()).toEqual(['answered', 'timed-out'])
  })

  test('hear nothing from somebody who does not want to tell, for the named time', () => {
    const { bobs, record } = run(1, { willing: false })
    expect(record).toMatchObject({ status: 'done', output: { result: 'timed-out', protocols: [] } })
    expect((record?.ended ?? 0) - (record?.started ?? 0)).toBe(delays.answerMs)
    for (const bob of bobs) expect([...bob.threads.values()]).toMatchObject([{ status: 'done', messages: 1 }])
  })
})
