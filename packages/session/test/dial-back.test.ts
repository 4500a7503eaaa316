import type { JsonObject } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { describe, expect, test } from 'vitest'
import {
  type AnswerLog,
  answerRequest,
  confirmKey,
  createRequest,
  type Decision,
  emptyAnswerLog,
  eraseSession,
  heldErasureDue,
  type ReceivedRequest,
  readKeyAnswer,
  readRefusal,
  readRequest,
  requestBody,
  requestDelayMs,
  requestTargets,
  sessionLimits,
  takeKey,
} from '../src/index.ts'
import { alice, bob, day, mallory, newDevice, newEph, newThumbprint, now, owner, type Person, random, smk } from './people.ts'

const key = smk()
const eph = newEph()
const request = createRequest({ sid: key.sid, owner, eph, now, random })
const wire = (): JsonObject => JSON.parse(JSON.stringify(requestBody(request)))
const parsed = (body: JsonObject = wire()): ReceivedRequest => {
  const result = readRequest(body)
  if (!result.ok) throw new Error(result.code)
  return result.request
}
const freshRequest = (): ReceivedRequest => createRequest({ sid: key.sid, owner, eph: newEph(), now, random })
const requester = (of: Person, active = true) => ({ address: of.address, device: of.devices[0], account: of.account, active })
const decide = (changes: Partial<Parameters<typeof answerRequest>[0]> = {}): Decision =>
  answerRequest({ request: parsed(), requester: requester(bob), self: alice, session: key, log: emptyAnswerLog, now, ...changes })

describe('a request', () => {
  test('comes back as it was, with the public half of its key only', () => {
    expect(parsed()).toEqual(request)
    expect(JSON.stringify(wire())).not.toContain(eph.d)
    expect(request.eph).not.toHaveProperty('d')
  })

  test('expires within the lifetime of messages', () => {
    expect(request.expires).toBeLessThanOrEqual(now + 30 * day)
    expect(request.expires).toBeGreaterThan(now + 30 * day - 1000)
  })

  test('needs an X25519 key', () => {
    expect(() => createRequest({ sid: key.sid, owner, eph: { kty: 'oct', k: 'x' }, now, random })).toThrow(TypeError)
  })

  test('without any of its members, or with others, is malformed', () => {
    for (const name of ['id', 'sid', 'owner', 'expiry']) {
      const { [name]: _, ...rest } = wire()
      expect(readRequest(rest)).toEqual({ ok: false, code: 'request-malformed' })
    }
    for (const change of [
      { more: 1 },
      { id: 'x' },
      { sid: '' },
      { owner: 'im:alice@a.example' },
      { expiry: -1 },
      { expiry: 1e300 },
    ]) {
      expect(readRequest({ ...wire(), ...change }), JSON.stringify(change)).toEqual({ ok: false, code: 'request-malformed' })
    }
  })

  test('with a key that we do not seal to is read, to be answered', () => {
    const keys = [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, { ...request.eph, x: 'AAAA' }, { ...request.eph, d: 'AAAA' }, {}]
    for (const offered of keys) expect(parsed({ ...wire(), eph: offered as JsonObject }).eph).toBeUndefined()
  })
})

describe('whom to ask', () => {
  const self = { address: bob.address, device: bob.devices[0], devices: bob.devices }
  const [phone, laptop] = alice.devices

  test('the own devices, then the sending device, then its account’s others', () => {
    expect(requestTargets({ self, owner, ownerDevices: [laptop, phone] })).toEqual([
      { address: bob.address, devices: [bob.devices[1]] },
      { address: alice.address, devices: [phone] },
      { address: alice.address, devices: [laptop] },
    ])
  })

  test('only the sending device when nothing else is known', () => {
    expect(requestTargets({ self: { ...self, devices: [self.device] }, owner, ownerDevices: [] })).toEqual([
      { address: alice.address, devices: [phone] },
    ])
  })

  test('nobody that was removed', () => {
    expect(requestTargets({ self, owner, ownerDevices: [laptop] }).map(({ devices }) => devices)).toEqual([
      [bob.devices[1]],
      [laptop],
    ])
  })

  test('each device once, when the owner is a device of the own account', () => {
    const mine = { address: alice.address, device: laptop, devices: alice.devices }
    expect(requestTargets({ self: mine, owner, ownerDevices: alice.devices })).toEqual([
      { address: alice.address, devices: [phone] },
    ])
  })

  test('after one to five seconds, and up to a minute for a large audience', () => {
    const draw = createSimRandom('delay')
    for (let i = 0; i < 500; i++) {
      const delay = requestDelayMs({ audienceSize: 2, random: draw })
      expect(delay).toBeGreaterThanOrEqual(1000)
      expect(delay).toBeLessThan(5000)
    }
    const wide = Array.from({ length: 200 }, () => requestDelayMs({ audienceSize: 1000, random: draw }))
    expect(Math.max(...wide)).toBeGreaterThan(15_000)
    expect(Math.max(...wide)).toBeLessThan(61_000)
  })
})

describe('a request is answered', () => {
  test('to a device on the newest card of an account in the audience', () => {
    const decision = decide()
    expect(decision.decision).toBe('answer')
    if (decision.decision !== 'answer') return
    const reader = { address: bob.address, account: bob.account, device: bob.devices[0] }
    expect(readKeyAnswer(decision.body, { request, from: alice.address, reader, now })).toEqual({ ok: true, smk: key })
  })

  test('to own devices, also with the key of somebody else', () => {
    expect(decide({ requester: { ...requester(bob), device: bob.devices[1] }, self: bob }).decision).toBe('answer')
  })

  test('by any device of the owner’s account', () => {
    expect(decide({ self: { address: alice.address, account: alice.account } }).decision).toBe('answer')
  })
})

describe('a request is refused', () => {
  const refusedWith = (code: string, changes: Parameters<typeof decide>[0]): void => {
    const decision = decide(changes)
    expect(decision).toMatchObject({ decision: 'refuse', code })
    if (decision.decision === 'refuse')
      expect(readRefusal(decision.body)).toEqual({ ok: true, id: request.id, sid: request.sid, refusal: code })
  }
  const erased = eraseSession(key, now)

  test('forbidden to strangers, whether there is such a session or not', () => {
    for (const session of [key, erased, undefined]) refusedWith('forbidden', { requester: requester(mallory), session })
  })

  test('forbidden to who is not known to be of the audience when nothing is known of the session', () => {
    refusedWith('forbidden', { session: undefined })
  })

  test('forbidden to a removed device, to an account with another key, and to who poses as an own device', () => {
    refusedWith('forbidden', { requester: requester(bob, false) })
    refusedWith('forbidden', { requester: { ...requester(bob), account: newThumbprint() } })
    refusedWith('forbidden', { requester: { ...requester(alice), account: newThumbprint() } })
    refusedWith('forbidden', { requester: requester(alice, false) })
  })

  test('forbidden where a third account of the audience is asked', () => {
    refusedWith('forbidden', { self: mallory })
  })

  test('item-not-found to the audience of an erased session, and to own devices', () => {
    refusedWith('item-not-found', { session: erased })
    refusedWith('item-not-found', { requester: { ...requester(alice), device: alice.devices[1] }, session: undefined })
  })

  test('item-not-found when the session is of another device', () => {
    refusedWith('item-not-found', { request: { ...parsed(), owner: { ...owner, device: alice.devices[1] } } })
  })

  test('not-acceptable with a key that we do not seal to, to anybody', () => {
    for (const session of [key, undefined]) {
      for (const who of [bob, mallory])
        refusedWith('not-acceptable', { request: { ...parsed(), eph: undefined }, requester: requester(who), session })
    }
  })
})

describe('quotas', () => {
  const ask = (log: AnswerLog, changes: Parameters<typeof decide>[0] = {}): Decision =>
    decide({ request: freshRequest(), log, ...changes })

  test('a request is answered once', () => {
    const first = decide()
    expect(decide({ log: first.log })).toMatchObject({ decision: 'ignore', cause: 'repeated' })
    // Another device may use the same id.
    expect(decide({ log: first.log, requester: { ...requester(bob), device: bob.devices[1] } }).decision).toBe('answer')
  })

  test('an expired request is not answered', () => {
    expect(decide({ now: request.expires })).toMatchObject({ decision: 'ignore', cause: 'expired' })
  })

  test('three answers an hour to one device for one session', () => {
    let log = emptyAnswerLog
    for (let i = 0; i < 3; i++) {
      const decision = ask(log)
      expect(decision.decision).toBe('answer')
      log = decision.log
    }
    expect(ask(log)).toMatchObject({ decision: 'ignore', cause: 'quota' })
    expect(ask(log, { now: now + 3_599_999 })).toMatchObject({ decision: 'ignore', cause: 'quota' })
    expect(ask(log, { now: now + 3_600_000 }).decision).toBe('answer')
    expect(ask(log, { requester: { ...requester(bob), device: bob.devices[1] } }).decision).toBe('answer')
    const other = smk()
    expect(
      ask(log, { session: other, request: createRequest({ sid: other.sid, owner, eph: newEph(), now, random }) }).decision,
    ).toBe('answer')
  })

  test('ten refusals an hour to one account, then silence', () => {
    let log = emptyAnswerLog
    for (let i = 0; i < 10; i++) {
      const decision = ask(log, { requester: { ...requester(mallory), device: newDevice() } })
      expect(decision.decision).toBe('refuse')
      log = decision.log
    }
    expect(ask(log, { requester: requester(mallory) })).toMatchObject({ decision: 'ignore', cause: 'quota' })
    expect(ask(log).decision).toBe('answer')
  })

  test('the memory is bounded and survives a store', () => {
    const limits = { ...sessionLimits, requestsSeenMax: 5, answersPerHourMax: 100 }
    let log: AnswerLog = emptyAnswerLog
    for (let i = 0; i < 20; i++) log = JSON.parse(JSON.stringify(ask(log, { limits }).log))
    expect(Object.keys(log.seen)).toHaveLength(5)
    expect(ask(log, { limits, now: now + 31 * day, request: { ...freshRequest(), expires: now + 32 * day } }).log).toMatchObject({
      refusals: {},
    })
    for (let i = 0; i < 20; i++) {
      const stranger = {
        address: `m${i}@m.example` as Person['address'],
        account: newThumbprint(),
        device: newDevice(),
        active: true,
      }
      log = ask(log, { limits, requester: stranger }).log
    }
    expect(Object.keys(log.refusals)).toHaveLength(5)
  })
})

describe('an answer', () => {
  const reader = { address: bob.address, account: bob.account, device: bob.devices[0] }
  const options = { request, from: alice.address, reader, now }
  const body = (): JsonObject => {
    const decision = decide()
    if (decision.decision !== 'answer') throw new Error('no answer')
    return JSON.parse(JSON.stringify(decision.body))
  }

  test('is taken from the owner’s account and from the own one, from nobody else', () => {
    expect(readKeyAnswer(body(), options).ok).toBe(true)
    expect(readKeyAnswer(body(), { ...options, from: bob.address }).ok).toBe(true)
    expect(readKeyAnswer(body(), { ...options, from: mallory.address })).toEqual({ ok: false, code: 'answer-stranger' })
  })

  const other = (): Parameters<typeof readKeyAnswer>[1]['request'] =>
    createRequest({ sid: key.sid, owner, eph: newEph(), now, random })
  const mismatches: [string, () => JsonObject, () => Partial<typeof options>][] = [
    ['another request', () => ({}), () => ({ request: { ...request, id: other().id } })],
    ['another key', () => ({}), () => ({ request: { ...request, eph: other().eph } })],
    ['another device', () => ({}), () => ({ reader: { ...reader, device: bob.devices[1] } })],
    ['another session', () => ({}), () => ({ request: { ...request, sid: smk().sid } })],
    ['another owner', () => ({}), () => ({ request: { ...request, owner: { ...owner, device: alice.devices[1] } } })],
    ['a request id that was changed', () => ({ id: other().id }), () => ({})],
    ['a requester that was changed', () => ({ requester: bob.devices[1] }), () => ({})],
  ]
  for (const [what, change, changed] of mismatches) {
    test(`to ${what} is refused`, () => {
      expect(readKeyAnswer({ ...body(), ...change() }, { ...options, ...changed() })).toEqual({
        ok: false,
        code: 'answer-mismatch',
      })
    })
  }

  test('that is malformed, late, or for another audience is refused', () => {
    expect(readKeyAnswer({ ...body(), more: 1 }, options)).toEqual({ ok: false, code: 'answer-malformed' })
    for (const name of Object.keys(body())) {
      const { [name]: _, ...rest } = body()
      expect(readKeyAnswer(rest, options), name).toEqual({ ok: false, code: 'answer-malformed' })
    }
    expect(readKeyAnswer(body(), { ...options, now: request.expires })).toEqual({ ok: false, code: 'request-expired' })
    expect(readKeyAnswer(body(), { ...options, reader: { ...reader, account: newThumbprint() } })).toEqual({
      ok: false,
      code: 'session-identity-substituted',
    })
    expect(readKeyAnswer(body(), { ...options, from: mallory.address, reader: { ...reader, address: mallory.address } })).toEqual(
      { ok: false, code: 'session-not-audience' },
    )
  })
})

test('a refusal that is malformed is refused', () => {
  const good = { id: request.id, sid: request.sid, code: 'forbidden' }
  expect(readRefusal(good).ok).toBe(true)
  for (const change of [{ id: 1 }, { sid: null }, { code: 'gone' }, { code: 'constructor' }, { more: 1 }])
    expect(readRefusal({ ...good, ...change } as JsonObject).ok).toBe(false)
})

describe('a key of somebody else', () => {
  const answer = { source: 'answer', now } as const
  const ahead = { source: 'ahead', now } as const
  const other = { ...key, key: smk().key }

  test('that its owner sent works at once', () => {
    expect(takeKey(undefined, key, ahead)).toMatchObject({ outcome: 'taken', held: { status: 'working' } })
  })

  test('that came by dial-back is a candidate until it opens a message', () => {
    const { held } = takeKey(undefined, key, answer)
    expect(held.status).toBe('candidate')
    expect(confirmKey(held)).toEqual({ ...held, status: 'working' })
  })

  test('never replaces one that works', () => {
    const working = confirmKey(takeKey(undefined, key, answer).held)
    for (const options of [answer, ahead]) expect(takeKey(working, other, options)).toEqual({ held: working, outcome: 'kept' })
  })

  test('replaces a candidate, if it is another or comes from its owner', () => {
    const candidate = takeKey(undefined, key, answer).held
    expect(takeKey(candidate, other, answer)).toMatchObject({ outcome: 'taken', held: { smk: other, status: 'candidate' } })
    expect(takeKey(candidate, key, answer)).toEqual({ held: candidate, outcome: 'kept' })
    expect(takeKey(candidate, key, ahead)).toMatchObject({ outcome: 'taken', held: { status: 'working' } })
  })

  test('is erased when nothing under it can come any more', () => {
    expect(heldErasureDue(takeKey(undefined, key, ahead).held)).toBe(key.notAfter + 32 * day)
  })
})
