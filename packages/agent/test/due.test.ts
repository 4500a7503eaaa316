import { createSchedule, type Schedule, type SimClock } from '@parley/core/sim'
import { createRegistry } from '@parley/kernel'
import { trustPing } from '@parley/protocols/trust-ping'
import { beforeEach, describe, expect, it } from 'vitest'
import { createCommitter } from '../src/commit.ts'
import { createDue, type Due, failOutbox } from '../src/due.ts'
import { agentLimits } from '../src/limits.ts'
import type { StanzaRow } from '../src/rows.ts'
import { settleSent } from '../src/sent.ts'
import type { ThreadParts } from '../src/threads.ts'
import { createTime, type Time } from '../src/time.ts'
import { day, knows, lifetimeMs, type Person, person, send, start } from './people.ts'

const hour = 3_600_000
let alice: Person
let bob: Person
let due: Due
let schedule: Schedule
let clock: SimClock
let time: Time
let log: string[]
let waiting: number

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  knows(alice, [bob])
  schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  log = []
  waiting = 0
  clock = schedule.clock()
  time = createTime(clock, { ms: 0, sure: start })
  const { commit } = createCommitter({ ...alice, time, onDiscard() {}, onErased: () => due.erased(), onEffectFailed() {} })
  const outbox = { random: alice.random, limits: agentLimits, lifetimeMs, waiting: () => waiting, added() {}, dropped() {} }
  const registry = createRegistry([trustPing])
  const threads: ThreadParts = {
    registry,
    outbox,
    call: () => ({ result: {} }),
    recent: new Map(),
    deliver() {},
    emit: ({ name }) => log.push(`emit ${name}`),
    wakeAt: (ms, name) => due.at(ms, name),
  }
  due = createDue({
    ...alice,
    commit,
    clock,
    time,
    limits: agentLimits,
    registry,
    threads,
    outbox,
    dialBack: { ask() {}, receive() {}, cancel() {}, opened() {}, call: threads.call, tidy() {} },
    inbound: {
      receive() {},
      unlock: () => 0,
      decide() {},
      expire: (_, keys) => keys.length > 0 && log.push(`locked ${keys.join()}`),
    },
    publish: () => log.push('publish'),
    dropped: () => log.push('dropped'),
    changed() {},
  })
})

const until = (ms: number): Promise<boolean> => schedule.run({ timeMax: schedule.time() + ms })
const text = { to: 'bob@b.test' as never, type: 'urn:parley:chat:1:text', body: { text: 'x' }, threadId: 't' }

describe('what is due', () => {
  it('is done at its time, and nothing else is looked at', async () => {
    await due.run()
    log = []
    due.at(start + 5000, 'locked 7')
    due.at(start + 9000, 'locked 8')
    await until(4999)
    expect(log).toEqual([])
    await until(1)
    expect(log).toEqual(['locked 7'])
    await until(5000)
    expect(log).toEqual(['locked 7', 'locked 8'])
  })

  it('is found again in the store', async () => {
    alice.run((tx) => tx.put('locked', 'a', { from: bob.address, deadline: start + 3000, bytes: new Uint8Array(1) } as never))
    due.reload()
    await due.run()
    await until(3000)
    expect(log).toContain('locked a')
  })

  it('is nothing any more after the end', async () => {
    due.at(start + 5000, 'locked 7')
    await due.close()
    await until(day)
    expect(log).toEqual([])
  })
})

it('receipts for which the outbox has no room wait until there is some', async () => {
  alice.run((tx) => tx.put('receipt', 'a', { to: bob.address, due: start + 50, id: 'x', hash: 'y' }))
  due.reload()
  await due.run()
  waiting = agentLimits.outboxMessagesMax + agentLimits.outboxAnswersMax
  await until(1000)
  expect([alice.state.size('receipt'), alice.state.size('outbox')]).toEqual([1, 0])
  waiting--
  await until(agentLimits.retryMsMax)
  expect([alice.state.size('receipt'), alice.state.size('outbox')]).toEqual([0, 1])
})

describe('a message whose time is over', () => {
  it('fails as expired, sealed or not, and goes from the store', async () => {
    const sealed = send(alice, text)
    alice.run((tx) => tx.del('pin', bob.address))
    const waiting = send(alice, text)
    await due.run()
    await until(lifetimeMs)
    for (const { id } of [sealed, waiting])
      expect(alice.state.get('sent', id)).toMatchObject({ state: 'failed', cause: 'expired' })
    expect([alice.state.size('outbox'), alice.state.size('stanza')]).toEqual([0, 0])
    expect(log).toContain('dropped')
  })

  it('that was accepted did not fail; its octets go', async () => {
    const { id, stanzas } = send(alice, text)
    alice.run((tx) => settleSent(tx, id, { state: 'accepted' }))
    expect(stanzas.map((row: StanzaRow) => row.number?.seq)).toContain(1)
    await due.run()
    await until(lifetimeMs)
    expect(alice.state.get('sent', id)?.state).toBe('accepted')
    expect(alice.state.size('stanza')).toBe(0)
    // What became of it is told for as long again.
    await until(lifetimeMs + 2 * hour)
    expect(alice.state.get('sent', id)).toBeUndefined()
  })

  it('to somebody who is not there fails with the word for it', () => {
    alice.run((tx) => tx.del('pin', bob.address))
    const { id } = send(alice, text)
    alice.run((tx) => failOutbox(tx, bob.address, 'recipient-unknown'))
    expect(alice.state.get('sent', id)).toMatchObject({ state: 'failed', cause: 'recipient-unknown' })
    expect(alice.state.size('outbox')).toBe(0)
  })
})

describe('a clock that is set', () => {
  const wait = 5000

  it('back holds up nothing that is waited for', async () => {
    await due.run()
    due.at(time.read().steady + wait, 'locked 7')
    clock.jump(-10 * hour)
    await until(wait)
    expect(log).toContain('locked 7')
    due.at(time.read().steady + wait, 'locked 8')
    await until(wait - 1)
    expect(log).not.toContain('locked 8')
    await until(1)
    expect(log).toContain('locked 8')
  })

  it('back while the process is down holds up what was stored by no more than the time that it is down', async () => {
    clock.jump(40 * day)
    await due.run()
    const deadline = time.read().steady + wait
    clock.jump(-40 * day)
    due.at(deadline, 'locked 7')
    await due.run()
    await due.close()
    const next = createTime(clock, alice.state.get('age', 'agent'))
    expect(deadline - next.read().steady).toBe(wait)
  })

  it('forward does what is due by it, and erases nothing before the relay agrees', async () => {
    send(alice, text)
    await due.run()
    clock.jump(80 * day)
    await due.run()
    await until(hour)
    expect(alice.state.get('own', bob.address)).toBeDefined()
    time.confirm(clock.now())
    await until(hour)
    expect(alice.state.get('own', bob.address)).toBeUndefined()
  })
})

describe('keys', () => {
  it('of this device are replaced after a week, and the old one is erased after its retention', async () => {
    const { kid } = alice.self.profile().statement as { kid: string }
    await due.run()
    await until(7 * day + hour)
    const next = alice.self.profile().statement as { kid: string; n: number }
    expect([next.n, next.kid === kid]).toEqual([2, false])
    expect(log).toContain('publish')
    expect(alice.state.get('key', kid)?.expiry).toBeGreaterThanOrEqual(start + 7 * day + agentLimits.agreementRetentionMs)
    await until(agentLimits.agreementRetentionMs - 2 * hour)
    expect(alice.state.get('key', kid)).toBeDefined()
    await until(3 * hour)
    expect(alice.state.get('key', kid)).toBeUndefined()
  })

  it('of a session are erased with their retention, and remembered as erased', async () => {
    send(alice, text)
    const { smk } = alice.state.get('own', bob.address) as { smk: { notAfter: number; sid: string } }
    await due.run()
    await until(smk.notAfter - start + agentLimits.sessionRetentionMs - hour)
    expect(alice.state.get('own', bob.address)).toBeDefined()
    await until(2 * hour)
    expect(alice.state.get('own', bob.address)).toBeUndefined()
    expect(alice.state.get('erased', `${alice.address} ${smk.sid}`)?.sid).toBe(smk.sid)
  })
})

it('forgets numbers by the time that it ran, not by what a clock says', async () => {
  const sequence = { max: 1, holes: [], last: 0 }
  alice.run((tx) => tx.put('counter', 'x', sequence))
  await due.run()
  clock.jump(400 * day)
  await until(agentLimits.counterRetentionMs - 2 * hour)
  expect(alice.state.size('counter')).toBe(1)
  await until(4 * hour)
  expect(alice.state.size('counter')).toBe(0)
})
