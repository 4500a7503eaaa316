import type { JsonObject } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { type Received, readBody, type StepInput, step, type ThreadRecord } from '@parley/kernel'
import { describe, expect, test } from 'vitest'
import { type Call, createExchange, type Party, party } from '../../test/exchange.ts'
import { explore } from '../../test/graph.ts'
import { dialBack, type RequesterInput } from '../index.ts'
import vectors from './vectors.json' with { type: 'json' }

const threadId = 'urn:uuid:00000000-0000-4000-8000-000000000001'
const { requester, owner } = dialBack.roles
const now = 1_800_000_000_000
const seconds = now / 1000

const phone = party('alice@a.example', 'phone')
const laptop = party('alice@a.example', 'laptop')
const mine = party('bob@b.example', 'mine')
const tablet = party('bob@b.example', 'tablet')

const request = {
  id: 'R'.repeat(21) + 'A',
  sid: 'S'.repeat(21) + 'A',
  owner: { address: `im:${phone.address}`, device: phone.device },
  eph: { kty: 'OKP', crv: 'X25519', x: 'E'.repeat(42) + 'A' },
  expiry: seconds + 86_400,
}
const target = (...parties: readonly Party[]) => ({
  address: parties[0]?.address ?? '',
  devices: parties.map(({ device }) => device),
})
const input: RequesterInput = {
  request,
  targets: [target(tablet), target(phone), target(laptop)],
  delayMs: 2000,
  lifetimeMs: 86_400_000,
}
const answer = {
  id: request.id,
  eph: 'E'.repeat(43),
  requester: mine.device,
  sid: request.sid,
  key: { kty: 'oct', kid: request.sid, alg: 'A256KW', k: 'K'.repeat(42) + 'A' },
  owner: request.owner,
  audience: [{ address: `im:${mine.address}`, account: 'B'.repeat(43), version: 1 }],
  validity: { from: seconds, until: seconds + 604_800 },
}

describe('the machines', () => {
  const from = (each: Party) => ({ id: 'm1', from: each.address, device: each.device, now })
  const events = [
    { type: 'received.key-request', body: request, ...from(mine) },
    { type: 'received.key-answer', ...from(phone) },
    ...[tablet, phone, laptop].map((each) => ({
      type: 'received.key-refusal',
      body: { id: request.id, sid: request.sid, code: 'forbidden' },
      ...from(each),
    })),
    ...['opened', 'kept', 'refused'].map((outcome) => ({
      type: 'result.importKey',
      id: 'importKey.1',
      result: { outcome },
      now,
    })),
    ...['answer', 'refuse', 'ignore'].map((decision) => ({
      type: 'result.answerKey',
      id: 'answerKey.1',
      result: { decision, code: 'forbidden' },
      now,
    })),
    { type: 'opened' },
    { type: 'failed' },
    { type: 'cancel' },
    { type: 'thread.expired', now },
  ]

  test('reach every state, and ignore only what is listed', () => {
    const own = ['opened', 'failed']
    const results = ['result.answerKey', 'result.importKey']
    const messages = ['received.key-answer', 'received.key-refusal', 'received.key-request']
    const graph = explore(requester.machine, { events, input: { threadId, peer: phone.address, now, input } })
    expect(graph).toMatchObject({ unreached: [], changedByStore: [] })
    expect(graph.paths).toBeGreaterThan(20)
    expect(graph.unanswered).toEqual({
      // Nobody was asked yet.
      'open.waiting': [...own, ...messages, ...results].sort(),
      'open.asking': [...own, 'received.key-request', ...results].sort(),
      'open.asked': [...own, 'received.key-request', ...results].sort(),
      // The call is answered within the same step, so nothing comes between.
      'open.importing': [...own, ...messages, 'result.answerKey'].sort(),
      // There is a key to try first.
      'open.holding': [...messages, ...results].sort(),
    })
    const commands = ['cancel', ...own]
    expect(explore(owner.machine, { events, input: { threadId, peer: mine.address, now } })).toMatchObject({
      unreached: [],
      changedByStore: [],
      unanswered: {
        ready: [...commands, 'received.key-answer', 'received.key-refusal', ...results, 'thread.expired'].sort(),
        deciding: [...commands, ...messages, 'result.importKey'].sort(),
      },
    })
  })
})

describe('the messages', () => {
  const good: { readonly [message: string]: JsonObject } = {
    'key-request': request,
    'key-answer': answer,
    'key-refusal': { id: request.id, sid: request.sid, code: 'forbidden' },
  }
  for (const { message, name, change, valid } of vectors) {
    test(`${message}: ${name} is ${valid ? 'taken' : 'refused'}`, () => {
      expect(readBody(dialBack.messages[message as 'key-request'], { ...good[message], ...(change as JsonObject) }).ok).toBe(
        valid,
      )
    })
  }

  test('an answer carries a secret, so no machine gets its body', () => {
    expect(dialBack.messages['key-answer'].secret).toBe(true)
    expect(dialBack.kernelOnly).toBe(true)
  })
})

/** A requester stepped by hand. */
function asking(changes: Partial<RequesterInput> = {}) {
  const start: StepInput = {
    kind: 'start',
    role: 'requester',
    threadId,
    peer: phone.address,
    also: [mine.address],
    input: { ...input, ...changes },
    now,
  }
  let result = step(dialBack, undefined, start)
  const go = (next: StepInput) => {
    result = step(dialBack, JSON.parse(JSON.stringify(result.record)) as ThreadRecord, next)
    return result
  }
  const received = (from: Party, message: 'key-answer' | 'key-refusal', body: JsonObject): StepInput => ({
    kind: 'message',
    message: {
      id: `from ${from.device}`,
      type: dialBack.messages[message].type,
      body,
      from: from.address,
      device: from.device,
      peer: from.address,
      threadId,
    },
    now: now + 3000,
  })
  return {
    record: () => result.record,
    state: () => result.record?.state.value,
    fire: (delay: string, at: number) => {
      const due = result.record?.deadlines.find(({ id }) => id.includes(`.${delay}.`))
      return go({ kind: 'deadline', id: due?.id ?? '', now: now + at })
    },
    answers: (from: Party) => go(received(from, 'key-answer', answer)),
    refuses: (from: Party) => go(received(from, 'key-refusal', { id: request.id, sid: request.sid, code: 'forbidden' })),
    imports: (outcome: string) =>
      go({ kind: 'result', id: result.record?.calls[0]?.id ?? '', result: { outcome }, now: now + 3000 }),
    command: (type: string) => go({ kind: 'command', event: { type }, now: now + 4000 }),
  }
}

describe('a requester', () => {
  test('waits for its delay, then asks each target in turn', () => {
    const run = asking()
    expect(run.fire('delayMs', 1999).effects).toEqual([])
    expect(run.fire('delayMs', 2000).effects).toEqual([
      {
        kind: 'send',
        to: tablet.address,
        devices: [tablet.device],
        message: 'key-request',
        type: dialBack.messages['key-request'].type,
        body: request,
        threadId,
      },
    ])
    expect(run.fire('answerMs', 22_000).effects).toMatchObject([{ to: phone.address, devices: [phone.device] }])
    expect(run.fire('answerMs', 42_000).effects).toMatchObject([{ to: laptop.address, devices: [laptop.device] }])
    expect(run.fire('answerMs', 62_000).effects).toEqual([])
    expect(run.state()).toEqual({ open: 'asked' })
  })

  test('asks the next at once when all devices asked refused', () => {
    const run = asking({ targets: [target(tablet), target(phone, laptop)] })
    run.fire('delayMs', 2000)
    expect(run.refuses(tablet).effects).toMatchObject([{ to: phone.address, devices: [phone.device, laptop.device] }])
    expect(run.refuses(laptop).effects).toEqual([])
    run.refuses(phone)
    expect(run.record()).toMatchObject({ status: 'done', output: { result: 'refused' } })
  })

  test('hands an answer on by its id, without the key', () => {
    const run = asking()
    run.fire('delayMs', 2000)
    const { effects, record } = run.answers(phone)
    expect(effects).toEqual([
      {
        kind: 'call',
        id: 'importKey.1',
        capability: 'importKey',
        request: { messageId: `from ${phone.device}`, from: phone.address, device: phone.device, requestId: request.id },
      },
    ])
    expect(JSON.stringify(record)).not.toContain(answer.key.k)
    run.imports('opened')
    expect(run.record()).toMatchObject({ status: 'done', output: { result: 'opened' } })
  })

  test('asks the next when a key is useless, and remembers who gave it', () => {
    const run = asking({ targets: [target(tablet), target(phone)] })
    run.fire('delayMs', 2000)
    run.answers(tablet)
    expect(run.imports('refused').effects).toMatchObject([{ to: phone.address }])
    run.refuses(phone)
    expect(run.record()).toMatchObject({ status: 'done', output: { result: 'refused' } })
  })

  test('holds a key that nothing was there to try on', () => {
    const opened = asking()
    opened.fire('delayMs', 2000)
    opened.answers(tablet)
    opened.imports('kept')
    expect(opened.state()).toEqual({ open: 'holding' })
    opened.command('opened')
    expect(opened.record()).toMatchObject({ output: { result: 'opened' } })
    const failed = asking()
    failed.fire('delayMs', 2000)
    failed.answers(tablet)
    failed.imports('kept')
    expect(failed.command('failed').effects).toMatchObject([{ to: phone.address }])
  })

  test('takes an answer that comes days after everybody was asked', () => {
    const run = asking({ targets: [target(phone)] })
    run.fire('delayMs', 2000)
    run.fire('answerMs', 22_000)
    run.answers(phone)
    run.imports('opened')
    expect(run.record()).toMatchObject({ output: { result: 'opened' } })
  })

  test('ends when the request expires or is no longer needed', () => {
    const expired = asking()
    expired.fire('lifetimeMs', 86_400_000)
    expect(expired.record()).toMatchObject({ status: 'done', output: { result: 'expired' } })
    const cancelled = asking()
    cancelled.command('cancel')
    expect(cancelled.record()).toMatchObject({ status: 'done', output: { result: 'cancelled' } })
  })

  test('is not refused by devices that it did not ask, nor to another request', () => {
    const run = asking({ targets: [target(phone)] })
    run.fire('delayMs', 2000)
    run.refuses(laptop)
    expect(run.state()).toEqual({ open: 'asking' })
  })
})

describe('the accounts', () => {
  test('a pipe that shuffles and duplicates ends every run, with one answer per device, over 200 seeds', () => {
    const ends = new Map<string, number>()
    for (let seed = 0; seed < 200; seed++) {
      const random = createSimRandom(seed)
      const parties = [
        party('alice@a.example', 'phone'),
        party('alice@a.example', 'laptop'),
        party('bob@b.example', 'mine'),
        party('bob@b.example', 'tablet'),
      ]
      const [aPhone, aLaptop, bMine, bTablet] = parties as [Party, Party, Party, Party]
      const decisions = new Map(parties.map((each) => [each.device, random.pick(['answer', 'refuse', 'ignore', 'wrong'])]))
      let imported = ''
      const respond = (of: Party, call: Call, message: Received | undefined) => {
        if (call.capability === 'importKey') {
          const good = (message?.body['key'] as JsonObject | undefined)?.['k'] === answer.key.k
          if (good) imported = of.device
          return { result: { outcome: good ? 'opened' : 'refused' } }
        }
        const decision = decisions.get(of.device) ?? 'ignore'
        const key = { ...answer.key, k: decision === 'wrong' ? 'W'.repeat(42) + 'A' : answer.key.k }
        if (decision === 'answer' || decision === 'wrong') return { result: { decision: 'answer' }, secret: { ...answer, key } }
        return { result: decision === 'refuse' ? { decision, code: 'item-not-found' } : { decision } }
      }
      const exchange = createExchange({ protocol: dialBack, parties, random, loss: random.pick([0, 0.3]), answer: respond })
      const key = `${dialBack.uri} ${aPhone.address} ${threadId}`
      const targets = [target(bTablet), target(aPhone), target(aLaptop)]
      const expiry = exchange.now() / 1000 + 3600
      exchange.step(bMine, key, {
        kind: 'start',
        role: 'requester',
        threadId,
        peer: aPhone.address,
        also: [bMine.address],
        input: { request: { ...request, expiry }, targets, delayMs: 1000 + random.int(4000), lifetimeMs: 3_600_000 },
        now: exchange.now(),
      })
      exchange.run(3_700_000)
      const record = bMine.threads.get(key)
      expect(record?.status, `seed ${seed}`).toBe('done')
      const { result = '' } = (record?.output as { result?: string } | undefined) ?? {}
      ends.set(result, (ends.get(result) ?? 0) + 1)
      expect(result === 'opened', `seed ${seed}`).toBe(imported === bMine.device)
      expect(parties.flatMap(({ refused }) => refused)).toEqual([])
      // However often the request came, each device decided once.
      for (const each of [aPhone, aLaptop, bTablet]) for (const thread of each.threads.values()) expect(thread.called).toBe(1)
    }
    expect([...ends.keys()].sort()).toEqual(['expired', 'opened', 'refused'])
  })

  test('an owner answers with a body that no machine saw, sealed to the key of the request alone', () => {
    const open: Received = {
      id: 'm1',
      type: dialBack.messages['key-request'].type,
      body: request,
      from: mine.address,
      device: mine.device,
      peer: mine.address,
      threadId,
    }
    const asked = step(dialBack, undefined, { kind: 'message', message: open, now })
    expect(asked.effects).toEqual([
      {
        kind: 'call',
        id: 'answerKey.1',
        capability: 'answerKey',
        request: { messageId: 'm1', from: mine.address, device: mine.device, body: request },
      },
    ])
    const answered = step(dialBack, asked.record, { kind: 'result', id: 'answerKey.1', result: { decision: 'answer' }, now })
    expect(answered.effects).toEqual([
      {
        kind: 'send',
        to: mine.address,
        devices: [mine.device],
        message: 'key-answer',
        type: dialBack.messages['key-answer'].type,
        bodyFrom: 'answerKey.1',
        threadId,
        referentId: 'm1',
        seal: { jwk: request.eph },
      },
    ])
    expect(answered.record?.status).toBe('done')
  })

  test('an owner seals a refusal to the key of the request, unless that is what is wrong', () => {
    for (const code of ['forbidden', 'item-not-found', 'not-acceptable']) {
      const open: Received = {
        id: 'm1',
        type: dialBack.messages['key-request'].type,
        body: request,
        from: mine.address,
        device: mine.device,
        peer: mine.address,
        threadId,
      }
      const asked = step(dialBack, undefined, { kind: 'message', message: open, now })
      const { effects } = step(dialBack, asked.record, {
        kind: 'result',
        id: 'answerKey.1',
        result: { decision: 'refuse', code },
        now,
      })
      expect(effects).toMatchObject([
        { message: 'key-refusal', devices: [mine.device], body: { id: request.id, sid: request.sid, code } },
      ])
      expect('seal' in (effects[0] ?? {})).toBe(code !== 'not-acceptable')
    }
  })
})
