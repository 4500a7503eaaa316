import type { JsonObject } from '@parley/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { agentLimits } from '../src/limits.ts'
import { createKept, goneType, resendType, wasAccepted } from '../src/resend.ts'
import type { OutboxRow, StanzaRow } from '../src/rows.ts'
import { settleSent } from '../src/sent.ts'
import { furtherDevice, knows, type Person, person, type Receiver, receiver, send, start } from './people.ts'

let alice: Person
let bob: Person
let toAlice: Receiver
let toBob: Receiver

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  knows(alice, [bob])
  knows(bob, [alice])
  toAlice = receiver(alice)
  toBob = receiver(bob)
})

const second = start + agentLimits.orderAskMs

/** A text of alice that a relay has accepted; the stanzas that carried it. */
function say(text: string, kept = true): readonly StanzaRow[] {
  const { stanzas } = send(alice, { to: bob.address, type: 'urn:parley:chat:1:text', body: { text }, threadId: 't' })
  accept(kept)
  return stanzas
}

/** A relay accepts what waits. */
function accept(keeps = true, by = createKept(agentLimits)): void {
  alice.run((tx) => {
    for (const [key, row] of [...tx.rows('stanza')]) {
      if (wasAccepted(tx, row)) continue
      if (row.message !== undefined) settleSent(tx, row.message, { state: 'accepted' })
      if (keeps) by.accept(tx, key, row)
      else tx.del('stanza', key)
    }
  })
}

const waiting = (of: Person): readonly OutboxRow[] => [...of.state.rows('outbox')].map(([, row]) => row)
const bodies = (of: Person, type: string): readonly JsonObject[] =>
  waiting(of).flatMap((row) => (row.type === type ? [row.body] : []))

/** Seals what waits of a kernel message and hands it over. */
function pass(from: Person, to: Person, into: Receiver, type: string): void {
  for (const row of waiting(from).filter((candidate) => candidate.type === type)) {
    for (const [key] of [...from.state.rows('outbox')]) from.run((tx) => tx.del('outbox', key))
    const { body, devices = [] } = row
    into.take(from, send(from, { to: to.address, type, body, devices }).stanzas)
  }
}

describe('what is missing', () => {
  it('is asked for after a moment, comes once more, and stands in its place', () => {
    toBob.take(alice, say('one'))
    say('two')
    toBob.take(alice, say('three'))
    expect(toBob.texts()).toEqual(['one'])
    toBob.expire(second - 1)
    expect(bodies(bob, resendType)).toEqual([])
    toBob.expire(second)
    expect(bodies(bob, resendType)).toMatchObject([{ conversation: `im:${bob.address}`, numbers: [2] }])
    pass(bob, alice, toAlice, resendType)
    expect(toAlice.resent).toHaveLength(1)
    toBob.take(alice, toAlice.resent)
    expect(toBob.texts()).toEqual(['one', 'two', 'three'])
    expect(toBob.reports).toEqual([])
  })

  it('is asked for all at once, and not what waits here', () => {
    toBob.take(alice, say('one'))
    for (const text of ['two', 'three']) say(text)
    const four = say('four')
    say('five')
    toBob.take(alice, [...four, ...say('six')])
    toBob.expire(second)
    expect(bodies(bob, resendType).map(({ numbers }) => numbers)).toEqual([[2, 3], [5]])
    for (let i = 0; i < 3; i++) toBob.expire(second + i)
    expect(bodies(bob, resendType)).toHaveLength(2)
  })

  it('has an end when its sender has it no more: what came after is handed over with the gap', () => {
    toBob.take(alice, say('one'))
    say('two', false)
    toBob.take(alice, say('three'))
    toBob.expire(second)
    pass(bob, alice, toAlice, resendType)
    expect(toAlice.resent).toEqual([])
    pass(alice, bob, toBob, goneType)
    expect(toBob.texts()).toEqual(['one', 'three gap 2'])
    expect(toBob.reports).toEqual([`message-gone ${alice.address}`])
  })

  it('is late when it comes after the wait, also what was lost before it', () => {
    toBob.take(alice, say('one'))
    const lost = [...say('two'), ...say('three')]
    toBob.take(alice, say('four'))
    toBob.expire(start + agentLimits.orderWaitMs)
    expect(toBob.texts()).toEqual(['one', 'four gap 2-3'])
    toBob.take(alice, lost)
    expect(toBob.texts()).toEqual(['one', 'four gap 2-3', 'two late', 'three late'])
  })
})

describe('a request', () => {
  const ask = (from: Person, numbers: readonly number[], inc = alice.self.profile().inc, of = bob.address): void => {
    const body = { conversation: `im:${of}`, inc, numbers }
    const { stanzas } = send(from, { to: alice.address, type: resendType, body, devices: [alice.device] })
    toAlice.take(from, stanzas)
  }

  it('is answered once for a number and a device', async () => {
    say('one')
    ask(bob, [1])
    ask(bob, [1])
    expect(toAlice.resent).toHaveLength(1)
    const other = await furtherDevice(bob)
    knows(alice, [bob, other])
    knows(other, [alice])
    ask(other, [1])
    expect(toAlice.resent.map(({ entries }) => entries[0]?.[0])).toEqual([bob.device, other.device])
  })

  it('of somebody else, of an unknown life or for what was never said, gets nothing of the conversation', async () => {
    say('one')
    const carol = await person('carol@c.test')
    knows(carol, [alice])
    knows(alice, [carol])
    ask(carol, [1])
    expect(waiting(alice)).toEqual([])
    ask(bob, [2, 9])
    expect(waiting(alice)).toEqual([])
    ask(bob, [1], 'AAAAAAAAAAA')
    expect(bodies(alice, goneType)).toMatchObject([{ inc: 'AAAAAAAAAAA', numbers: [1] }])
    expect(toAlice.resent).toEqual([])
  })

  it('waits for what is on its way', () => {
    send(alice, { to: bob.address, type: 'urn:parley:chat:1:text', body: { text: 'x' }, threadId: 't' })
    ask(bob, [1])
    expect([toAlice.resent, waiting(alice)]).toEqual([[], []])
  })

  it('is answered only so often in an hour, and ignored when it is malformed', () => {
    toAlice = receiver(alice, { resendRequestsPerHourMax: 2 })
    for (const text of ['one', 'two', 'three']) say(text)
    for (const numbers of [[], [0], [1.5], Array.from({ length: 65 }, (_, i) => i + 1)]) ask(bob, numbers)
    for (const seq of [1, 2, 3]) ask(bob, [seq])
    expect(toAlice.resent).toHaveLength(2)
  })
})

it('keeps the newest messages, so many and so many octets', () => {
  const seqs = (): unknown => [...alice.state.rows('stanza')].map(([, { number }]) => number?.seq)
  const text = { to: bob.address, type: 'urn:parley:chat:1:text', body: { text: 'x' }, threadId: 't' }
  const few = createKept({ ...agentLimits, resendMessagesMax: 3 })
  for (let i = 0; i < 5; i++) {
    send(alice, text)
    accept(true, few)
  }
  expect(seqs()).toEqual([3, 4, 5])
  const row = send(alice, text).stanzas.at(-1) as StanzaRow
  const small = createKept({ ...agentLimits, resendBytesMax: row.bytes.length })
  small.reload([...alice.state.rows('stanza')].filter(([, other]) => other.id !== row.id))
  accept(true, small)
  expect(seqs()).toEqual([6])
  send(alice, text)
  accept(true, createKept({ ...agentLimits, resendBytesMax: row.bytes.length - 1 }))
  expect(seqs()).toEqual([6])
})

it('reports two contents under one number with both hashes, and hands over the first', async () => {
  toBob.take(alice, say('one'))
  // A copy of the device counts on from where it was copied.
  alice.run((tx) => {
    tx.put('conversation', bob.address, { seq: 0 })
    for (const [key] of [...tx.rows('tail')]) tx.del('tail', key)
  })
  toBob.take(alice, say('another'))
  expect(toBob.texts()).toEqual(['one'])
  expect(toBob.reports).toEqual([`equivocation ${alice.address}`])
  expect(new Set(toBob.proofs[0]).size).toBe(2)
})
