import type { Address, StanzaId } from '@parley/core'
import { createSchedule, type Schedule } from '@parley/core/sim'
import type { C2sEvent } from '@parley/stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { createCommitter } from '../src/commit.ts'
import { createDelivery, type Delivery } from '../src/delivery.ts'
import { agentLimits } from '../src/limits.ts'
import { enqueue } from '../src/outbox.ts'
import { createTime } from '../src/time.ts'
import { knows, lifetimeMs, type Person, person, receiver } from './people.ts'

let alice: Person
let bob: Person
let delivery: Delivery
let schedule: Schedule
let offered: StanzaId[]
let log: string[]

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  knows(alice, [bob])
  schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  offered = []
  log = []
  delivery = open()
})

function open(): Delivery {
  const clock = schedule.clock()
  const { commit } = createCommitter({
    ...alice,
    time: createTime(clock, undefined),
    onDiscard() {},
    onErased() {},
    onEffectFailed() {},
  })
  return createDelivery({
    ...alice,
    commit,
    clock,
    limits: agentLimits,
    inbound: receiver(alice).inbound,
    wantCards: (address) => log.push(`want ${address}`),
    offer: ({ id }) => offered.push(id),
    handled: (n, epoch) => log.push(`handled ${n} ${epoch}`),
    restart: (reason) => log.push(`restart ${reason}`),
    report: (code) => log.push(`report ${code}`),
    renewed: (_, reason) => log.push(`renewed ${reason}`),
    changed() {},
  })
}

const rest = (): Promise<boolean> => schedule.run({ timeMax: schedule.time() + 10 })
const options = {
  limits: agentLimits,
  lifetimeMs,
  waiting: () => delivery.waiting(),
  dropped() {},
  added: (...args: Parameters<Delivery['added']>) => delivery.added(...args),
}
const put = (text: string, to: Address = bob.address): string =>
  alice.run((tx) =>
    enqueue(tx, { to, type: 'urn:parley:chat:1:text', body: { text }, threadId: 't' }, { ...options, random: alice.random }),
  )
const accept = (id: StanzaId, cards: Readonly<Record<string, number>> = {}): C2sEvent =>
  ({ kind: 'accepted', id, to: [bob.address], cards }) as C2sEvent
const stateOf = (id: string): unknown => alice.state.get('sent', id)?.state

describe('a message', () => {
  it('is sealed in the step that sends it, and offered when that is durable, with the key before it', async () => {
    put('one')
    put('two')
    await rest()
    expect(alice.state.size('outbox')).toBe(0)
    expect(offered).toHaveLength(3)
    expect([...delivery.outgoing()].map(({ id }) => id)).toEqual(offered)
    expect(delivery.waiting()).toBe(3)
    expect(log).toEqual(['renewed first'])
  })

  it('counts towards the limit in its own step, also when many are sent in one turn', () => {
    const limits = { ...agentLimits, outboxMessagesMax: 5 }
    const one = { to: bob.address, type: 'urn:parley:chat:1:text', body: { text: 'x' }, threadId: 't' }
    let taken = 0
    // One step: no batch is durable before its end.
    alice.run((tx) => {
      try {
        for (; taken < 20; taken++) enqueue(tx, one, { ...options, limits, random: alice.random })
      } catch {}
    })
    expect([taken, delivery.waiting()]).toEqual([4, 5])
  })

  it('waits in the outbox for cards, in order, and holds up nobody else', async () => {
    const carol = await person('carol@c.test')
    put('first to carol', carol.address)
    put('second to carol', carol.address)
    put('to bob')
    await rest()
    expect([...alice.state.rows('outbox')].map(([, { body }]) => body['text'])).toEqual(['first to carol', 'second to carol'])
    expect(log).toContain(`want ${carol.address}`)
    knows(alice, [carol])
    delivery.wake()
    await rest()
    expect(alice.state.size('outbox')).toBe(0)
    const seqs = [...alice.state.rows('stanza')].flatMap(([, { to, number }]) => (to === carol.address ? [number?.seq] : []))
    expect(seqs).toEqual([undefined, 1, 2])
  })

  it('that was accepted is not offered again, also after a restart, and stays to be sent again', async () => {
    const id = put('one')
    await rest()
    delivery.received(
      offered.map((stanza) => accept(stanza)),
      'e',
    )
    await rest()
    expect([stateOf(id), delivery.waiting(), [...delivery.outgoing()]]).toEqual(['accepted', 0, []])
    expect(alice.state.size('stanza')).toBe(1)
    expect([...open().outgoing()]).toEqual([])
    await delivery.drained(undefined)
  })

  it('that was bounced failed with the relay’s word; one that has no room now is offered later', async () => {
    const id = put('one')
    await rest()
    const [key, carrier] = offered as [StanzaId, StanzaId]
    const bounce = { kind: 'bounced', to: undefined, n: undefined, jws: undefined } as const
    delivery.received([{ ...bounce, id: key, code: 'mailbox-full', retryable: true }], 'e')
    delivery.received([{ ...bounce, id: carrier, code: 'domain-unknown', retryable: false }], 'e')
    await rest()
    expect(alice.state.get('sent', id)).toMatchObject({ state: 'failed', cause: 'domain-unknown' })
    offered = []
    await schedule.run({ timeMax: schedule.time() + agentLimits.retryMsMax })
    expect(offered).toEqual([key])
  })
})

it('asks for cards when a relay knows of newer ones', async () => {
  put('one')
  await rest()
  delivery.received([accept(offered[0] as StanzaId, { [bob.address]: 7 })], 'e')
  await rest()
  expect(log).toContain(`want ${bob.address}`)
  expect(alice.state.get('statements', bob.address)?.outdated).toBe(7)
})

it('acknowledges once what became durable together, the last of it', async () => {
  const stanza = (n: number): C2sEvent =>
    ({
      kind: 'stanza',
      stanza: {
        n,
        id: `urn:uuid:${n}`,
        from: bob.address,
        device: bob.device,
        entry: new Uint8Array(3),
        body: new Uint8Array(3),
      },
    }) as unknown as C2sEvent
  for (const n of [1, 2, 3]) delivery.received([stanza(n)], 'e')
  await rest()
  expect(log.filter((line) => line.startsWith('handled'))).toEqual(['handled 3 e'])
  expect(alice.state.get('position', 'relay')).toEqual({ epoch: 'e', n: 3 })
})

it('ends the waits of those who wait until nothing is left', async () => {
  put('one')
  await rest()
  const controller = new AbortController()
  const aborted = expect(delivery.drained(controller.signal)).rejects.toThrow('enough')
  controller.abort(new Error('enough'))
  await aborted
  const closed = expect(delivery.drained(undefined)).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
  await delivery.close()
  await closed
})
