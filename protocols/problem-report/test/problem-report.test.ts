import { createSimRandom } from '@parley/core/sim'
import { createRegistry, readBody, reportCodes } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { createExchange, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { problemReport } from '../index.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'

describe('the machines', () => {
  const from = { from: 'bob@b.example', device: 'd', id: 'm1', now: 5 }
  const events = [
    { type: 'send.report', body: { code: 'internal' }, referentId: 'm0', now: 5 },
    { type: 'received.report', body: { code: 'internal' }, referentId: 'm0', ...from },
    { type: 'received.report', body: { code: 'internal', comment: 'x' }, ...from },
    { type: 'thread.expired', now: 5 },
  ]
  const input = { threadId, peer: 'bob@b.example', now: 1 }

  test('reach every state, and ignore only what is listed', () => {
    expect(explore(problemReport.roles.reporter.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: { ready: ['received.report'] },
      changedByStore: [],
    })
    expect(explore(problemReport.roles.reader.machine, { events, input })).toMatchObject({
      unreached: [],
      unanswered: { ready: ['send.report'] },
      changedByStore: [],
    })
  })
})

describe('a report', () => {
  for (const { name, body, valid } of vectors) {
    test(`${name} is ${valid ? 'taken' : 'refused'}`, () => {
      expect(readBody(problemReport.report, body as never).ok).toBe(valid)
    })
  }

  test('takes every code of the kernel', () => {
    for (const code of reportCodes) expect(readBody(problemReport.report, { code }).ok).toBe(true)
  })

  test('can be sent by an application, with what it is about', () => {
    const sending = createRegistry([problemReport]).sending(problemReport.report({ code: 'no' }, { referentId: 'm1' }))
    expect(sending).toMatchObject({ role: 'reporter', event: { type: 'send.report', referentId: 'm1' } })
  })
})

describe('two parties', () => {
  const run = (seed: number, referentId: string | undefined) => {
    const alice = party('alice@a.example', 'a')
    const bob = party('bob@b.example', 'b')
    const noted: unknown[] = []
    const exchange = createExchange({
      protocol: problemReport,
      parties: [alice, bob],
      random: createSimRandom(seed),
      answer(by, { capability, request }) {
        noted.push([by.address, capability, request])
        return { result: {} }
      },
    })
    const key = `${problemReport.uri} ${alice.address} ${threadId}`
    exchange.step(bob, key, { kind: 'start', role: 'reporter', threadId, peer: alice.address, now: exchange.now() })
    exchange.step(bob, key, {
      kind: 'command',
      event: {
        type: 'send.report',
        body: { code: 'limit-exceeded', comment: 'enough' },
        ...(referentId === undefined ? {} : { referentId }),
      },
      now: exchange.now(),
    })
    exchange.run(0)
    return { alice, bob, noted, exchange }
  }

  test('note a report once, whatever the pipe repeats, and never answer it, with 100 seeds', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { alice, bob, noted } = run(seed, 'm7')
      const request = { from: bob.address, code: 'limit-exceeded', comment: 'enough', referentId: 'm7' }
      expect(noted, `seed ${seed}`).toEqual([[alice.address, 'noteReport', request]])
      // One message in all: the report.
      expect([...bob.threads.values()]).toMatchObject([{ role: 'reporter', status: 'done', messages: 1 }])
      expect([...alice.threads.values()]).toMatchObject([{ role: 'reader', status: 'done', messages: 1 }])
    }
  })

  test('let one about nothing pass', () => {
    const { alice, noted } = run(1, undefined)
    expect(noted).toEqual([])
    expect([...alice.threads.values()]).toMatchObject([{ status: 'done' }])
  })

  test('forget it soon', () => {
    const { alice, bob, exchange } = run(1, 'm7')
    exchange.run(10 * 60_000)
    expect([alice.threads.size, bob.threads.size]).toEqual([0, 0])
  })
})
