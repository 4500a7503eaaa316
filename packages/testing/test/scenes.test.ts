import type { AgentEvent } from '@parley/agent'
import { parseAddress, sortable, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { readCard, signCard } from '@parley/identity'
import { generateKey, importKey, publicJwk, thumbprint } from '@parley/jose'
import { chat } from '@parley/protocols/chat'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorld, type SimDevice, type SimRelay, type World, type WorldOptions } from '../src/index.ts'

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))
const minute = 60_000

let world: World
let relayB: SimRelay
let alice: SimDevice
let bob: SimDevice

async function begin(options: Partial<WorldOptions> = {}): Promise<void> {
  world = createWorld({ seed: 7, settle, ...options })
  await world.addRelay('a.test')
  relayB = await world.addRelay('b.test')
  alice = await world.addAccount('alice@a.test')
  bob = await world.addAccount('bob@b.test')
}

beforeEach(() => begin())
afterEach(() => world.close())

const say = (from: SimDevice, to: string, text: string): ReturnType<SimDevice['agent']['send']> =>
  world.settled(from.agent.send(to, chat.text({ text })))
const heard = (by: SimDevice): readonly string[] =>
  world.handed.filter(({ device }) => device === by.name).map(({ text }) => text)
const hears = async (by: SimDevice, texts: readonly string[], timeMs = minute): Promise<void> => {
  await world.run({ until: () => heard(by).length >= texts.length, timeMs })
  expect(heard(by)).toEqual(texts)
}
const pass = (timeMs: number): Promise<boolean> => world.run({ timeMs, until: () => false })

function watch(device: SimDevice): AgentEvent[] {
  const events: AgentEvent[] = []
  device.agent.watch((event) => events.push(event))
  return events
}

describe('first contact', () => {
  it('fetches the cards and takes the key ahead, so that nothing is ever locked', async () => {
    const [at, to] = [watch(alice), watch(bob)]
    const sent = await say(alice, 'bob@b.test', 'hello')
    await hears(bob, ['hello'])
    expect(at).toContainEqual({ kind: 'card', address: 'bob@b.test', version: 1 })
    expect(at).toContainEqual({ kind: 'session', peer: 'bob@b.test', reason: 'first', ahead: 1 })
    // Bob learns who alice is when her key comes: it waits for her card, and the message for the key.
    expect(to.filter(({ kind }) => kind === 'locked').map((event) => 'cause' in event && event.cause)).not.toContain('trust-held')
    await world.settled(sent.accepted())
    expect(bob.agent.locked()).toEqual([])
  })

  it('goes by the key of a link, whatever the relay says', async () => {
    const contact = await world.settled(alice.agent.addContact(bob.agent.link))
    expect(contact).toMatchObject({ address: 'bob@b.test', verified: false })
    await say(alice, 'bob@b.test', 'hello')
    await hears(bob, ['hello'])
    const { number, verified } = await world.settled(alice.agent.safetyNumber('bob@b.test'))
    expect((await world.settled(bob.agent.safetyNumber('alice@a.test'))).number).toBe(number)
    expect(verified).toBe(false)
    await world.settled(alice.agent.markVerified('bob@b.test'))
    expect(alice.agent.contacts()).toMatchObject([{ verified: true }])
    const other = alice.agent.link.replace('alice@a.test', 'bob@b.test')
    await expect(world.settled(alice.agent.addContact(other))).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
  })

  it('with the wrong key in the link fails, and sends nothing', async () => {
    await world.settled(alice.agent.addContact(alice.agent.link.replace('alice@a.test', 'bob@b.test')))
    const sent = await say(alice, 'bob@b.test', 'hello')
    await expect(world.settled(sent.accepted())).rejects.toMatchObject({
      code: 'ERR_AGENT_SEND_FAILED',
      reason: 'card-other-account',
    })
    expect(heard(bob)).toEqual([])
  })

  it.each([
    ['nobody@b.test', 'recipient-unknown'],
    ['nobody@a.test', 'recipient-unknown'],
    ['bob@nowhere.test', 'domain-unknown'],
  ])('with %s fails with %s, and stands in nobody’s way', async (address, cause) => {
    const sent = await say(alice, address, 'hello')
    await expect(world.settled(sent.accepted())).rejects.toMatchObject({ reason: cause })
    expect(sent.status()).toEqual({ state: 'failed', cause })
    await world.settled(alice.agent.drained(), minute)
    await say(alice, 'bob@b.test', 'hello')
    await hears(bob, ['hello'])
  })
})

describe('receipts', () => {
  it('go to contacts', async () => {
    const first = await say(alice, 'bob@b.test', 'hello')
    await hears(bob, ['hello'])
    await pass(minute)
    expect(first.status().state).toBe('accepted')
    await say(bob, 'alice@a.test', 'hello back')
    const second = await say(alice, 'bob@b.test', 'how are you')
    await world.settled(second.delivered(), minute)
    expect(first.status().state).toBe('accepted')
  })
})

describe('a further device', () => {
  it('that the sender does not know yet dials back, and reads the message at once after that', async () => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    const second = await world.addDevice(bob)
    const events = watch(second)
    const began = world.schedule.time()
    await say(alice, 'bob@b.test', 'two')
    await hears(second, ['two'])
    expect(events).toContainEqual({ kind: 'locked', from: 'alice@a.test', cause: 'key-unknown' })
    expect(events).toContainEqual(expect.objectContaining({ kind: 'opened', from: 'alice@a.test' }))
    // The random wait before the first request, and no wait for what was said before it was there.
    expect(world.schedule.time() - began).toBeLessThan(10_000)
    expect(world.handed.at(-1)?.message.gap).toBeUndefined()
    await hears(bob, ['one', 'two'])
    expect(second.agent.locked()).toEqual([])
    // Her relay knows of the newer card by now and says so with the next message; the key after that goes ahead to both.
    const atAlice = watch(alice)
    await say(alice, 'bob@b.test', 'three')
    await hears(second, ['two', 'three'])
    expect(await world.run({ until: () => atAlice.some(({ kind }) => kind === 'card'), timeMs: minute })).toBe(true)
    await say(alice, 'bob@b.test', 'four')
    await hears(second, ['two', 'three', 'four'])
    expect(atAlice).toContainEqual({ kind: 'session', peer: 'bob@b.test', reason: 'device-added', ahead: 2 })
  })

  it('shows what it waits for', async () => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    const second = await world.addDevice(bob)
    // Whoever could give the key is away.
    bob.kill()
    await say(alice, 'bob@b.test', 'two')
    await world.run({ until: () => second.agent.locked().length > 0, timeMs: minute })
    alice.kill()
    expect(second.agent.locked()).toMatchObject([{ from: 'alice@a.test', cause: 'key-unknown' }])
    await pass(10 * minute)
    expect(heard(second)).toEqual([])
    await world.settled(bob.start())
    await world.settled(alice.start())
    await hears(second, ['two'], 60 * minute)
    expect(second.agent.locked()).toEqual([])
  })

  it('of the sender gets copies of what was sent, and sends for the account itself', async () => {
    const second = await world.addDevice(alice)
    await say(alice, 'bob@b.test', 'from the first')
    await hears(bob, ['from the first'])
    await hears(second, ['from the first'])
    expect(world.handed.find(({ device }) => device === second.name)?.message).toMatchObject({
      copy: true,
      from: 'alice@a.test',
      peer: 'bob@b.test',
    })
    await say(second, 'bob@b.test', 'from the second')
    await hears(bob, ['from the first', 'from the second'])
    await hears(alice, ['from the second'])
  })

  it('is removed: it is told to stop, and reads nothing more', async () => {
    const second = await world.addDevice(bob)
    await say(alice, 'bob@b.test', 'one')
    await hears(second, ['one'])
    await world.settled(bob.agent.removeDevice(second.agent.device, 'compromised'))
    await world.run({ until: () => second.agent.connection.state === 'stopped', timeMs: minute })
    expect(second.agent.connection).toMatchObject({ state: 'stopped', retryable: false })
    expect(bob.agent.devices()).toMatchObject([{ self: true }, { removed: 'compromised' }])
    await expect(world.settled(bob.agent.approveDevice(second.agent.deviceLine))).rejects.toMatchObject({
      code: 'ERR_AGENT_DEVICE_REMOVED',
    })
    await expect(world.settled(second.agent.approveDevice(second.agent.deviceLine))).rejects.toMatchObject({
      code: 'ERR_AGENT_NOT_ADMIN',
    })
    await say(alice, 'bob@b.test', 'two')
    await hears(bob, ['one', 'two'])
    expect(heard(second)).toEqual(['one'])
  })

  it('that is on no card changes no card', async () => {
    await world.settled(bob.agent.removeDevice('nobody', 'retired'))
    await world.settled(bob.agent.approveDevice(bob.agent.deviceLine))
    const { version } = readCardOf('bob@b.test')
    expect(version).toBe(1)
  })
})

describe('a mailbox', () => {
  it('keeps what comes while its reader is away, in order', async () => {
    await say(alice, 'bob@b.test', 'zero')
    await hears(bob, ['zero'])
    bob.kill()
    for (const text of ['one', 'two', 'three']) {
      const sent = await say(alice, 'bob@b.test', text)
      await world.settled(sent.accepted())
    }
    await world.settled(bob.start())
    await hears(bob, ['zero', 'one', 'two', 'three'])
    await pass(minute)
    expect(heard(bob)).toEqual(['zero', 'one', 'two', 'three'])
  })

  it('outlives its relay, between accepting and delivering', async () => {
    await say(alice, 'bob@b.test', 'zero')
    await hears(bob, ['zero'])
    world.network.isPartitioned = (from, to) => [from, to].includes(bob.name)
    const sent = await say(alice, 'bob@b.test', 'one')
    await world.settled(sent.accepted())
    relayB.kill()
    world.network.isPartitioned = () => false
    await world.settled(relayB.start())
    await hears(bob, ['zero', 'one'], 5 * minute)
  })

  it('is filled from the outbox as soon as the relay is there again', async () => {
    const [relayA] = world.relays as [SimRelay]
    relayA.kill()
    await pass(5_000)
    expect(alice.agent.connection).toMatchObject({ state: 'waiting', retryable: true })
    const sent = await say(alice, 'bob@b.test', 'later')
    await pass(minute)
    expect(sent.status().state).toBe('queued')
    alice.kill()
    await world.settled(relayA.start())
    await world.settled(alice.start())
    await hears(bob, ['later'], 5 * minute)
  })
})

describe('a full disk', () => {
  it('of the sender refuses to send, and loses nothing that was taken', async () => {
    await say(alice, 'bob@b.test', 'one')
    alice.disk.full = true
    await expect(world.settled(alice.agent.send('bob@b.test', chat.text({ text: 'refused' })))).rejects.toMatchObject({
      code: 'ERR_AGENT_STORE_FAILED',
      retryable: true,
    })
    await pass(minute)
    alice.disk.full = false
    await world.run({ until: () => alice.agent.connection.state === 'ready', timeMs: 5 * minute })
    await say(alice, 'bob@b.test', 'two')
    await hears(bob, ['one', 'two'], 5 * minute)
  })

  it('of the reader leaves messages at the relay until there is room', async () => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    bob.disk.full = true
    await say(alice, 'bob@b.test', 'two')
    await pass(5 * minute)
    expect(heard(bob)).toEqual(['one'])
    bob.disk.full = false
    await hears(bob, ['one', 'two'], 5 * minute)
    await pass(5 * minute)
    expect(heard(bob)).toEqual(['one', 'two'])
  })
})

/** What a lying relay does: another card stands in its store the next time it looks. */
async function lie(address: string, change: 'fork' | 'new key'): Promise<{ readonly account: string }> {
  const head = readCardOf(address)
  const mallory = generateKey('Ed25519', { random: createSimRandom('mallory') })
  const version = change === 'fork' ? head.version : head.version + 1
  const prev = change === 'fork' ? head.prev : head.hash
  const forged = signCard(
    { ...head, address: parseAddress(address), version, prev, accountKey: publicJwk(mallory) },
    { key: importKey(mallory), now: world.schedule.clock().now() },
  )
  relayB.kill()
  relayB.disk.restore(new Map([...relayB.disk.snapshot(), [`account/${address} card/${sortable(version)}`, utf8(forged.jws)]]))
  await world.settled(relayB.start())
  return { account: thumbprint(mallory) }
}

function readCardOf(address: string) {
  const cards = [...relayB.disk.contents()].filter(([key]) => key.startsWith(`account/${address} card/`)).sort()
  const read = readCard(Buffer.from(cards.at(-1)?.[1] ?? []).toString())
  if (!read.ok) throw new Error(read.code)
  return { ...read.card, hash: read.hash }
}

describe('another card than the pinned one', () => {
  beforeEach(async () => {
    await world.close()
    // Cards are asked for again at every send.
    await begin({ agentLimits: { directoryMsMax: 1 } })
    await say(alice, 'bob@b.test', 'zero')
    await hears(bob, ['zero'])
    await say(bob, 'alice@a.test', 'zero')
    await hears(alice, ['zero'])
  })

  const isHeld = (): boolean => alice.agent.contacts()[0]?.held !== undefined

  it.each([
    ['fork', 'card-fork'],
    ['new key', 'account-key-changed'],
  ] as const)('(%s) is held: nothing is sent or shown until the person decides, and keeping holds', async (change, code) => {
    await lie('bob@b.test', change)
    await say(alice, 'bob@b.test', 'one')
    expect(await world.run({ until: isHeld, timeMs: 5 * minute })).toBe(true)
    expect(alice.agent.contacts()).toMatchObject([{ held: code }])
    expect(world.reports.filter((line) => line === `${alice.name} ${code} bob@b.test`)).not.toEqual([])
    await expect(world.settled(alice.agent.send('bob@b.test', chat.text({ text: 'no' })))).rejects.toMatchObject({
      code: 'ERR_AGENT_TRUST_HELD',
    })
    await say(bob, 'alice@a.test', 'are you there')
    await world.run({ until: () => alice.agent.locked().length > 0, timeMs: 5 * minute })
    expect(alice.agent.locked()).toMatchObject([{ from: 'bob@b.test', cause: 'trust-held' }])
    await world.settled(alice.agent.decide('bob@b.test', 'keep'))
    await hears(alice, ['zero', 'are you there'])
    expect(alice.agent.locked()).toEqual([])
    await pass(minute)
    expect(isHeld()).toBe(false)
    await say(alice, 'bob@b.test', 'two')
    await hears(bob, ['zero', 'one', 'two'], 5 * minute)
  })

  it('is trusted when the person says so, and is verified no more', async () => {
    await world.settled(alice.agent.markVerified('bob@b.test'))
    const { account } = await lie('bob@b.test', 'new key')
    await say(alice, 'bob@b.test', 'one')
    await world.run({ until: isHeld, timeMs: 5 * minute })
    await world.settled(alice.agent.decide('bob@b.test', 'trust'))
    expect(alice.agent.contacts()).toMatchObject([{ verified: false, link: `im:bob@b.test?k=${account}` }])
    expect(alice.agent.contacts()[0]).not.toHaveProperty('held')
  })
})

describe('an agent', () => {
  it('goes on where it was after a kill: outbox, inbox, locked messages, contacts', async () => {
    await say(alice, 'bob@b.test', 'one')
    alice.kill()
    await world.settled(alice.start())
    await hears(bob, ['one'])
    await say(alice, 'bob@b.test', 'two')
    await hears(bob, ['one', 'two'])
    expect(alice.agent.contacts().map(({ address }) => address)).toEqual(['bob@b.test'])
  })

  it('that is restored from a copy numbers anew, and what it sends is taken at once', async () => {
    await say(bob, 'alice@a.test', 'one')
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    await hears(alice, ['one'])
    await pass(minute)
    const copy = alice.disk.snapshot()
    for (const text of ['two', 'three']) await say(alice, 'bob@b.test', text)
    await say(bob, 'alice@a.test', 'two')
    await hears(bob, ['one', 'two', 'three'])
    await hears(alice, ['one', 'two'])
    await pass(minute)
    alice.kill()
    alice.disk.restore(copy)
    await world.settled(alice.start())
    await world.run({ until: () => alice.agent.connection.state === 'ready', timeMs: minute })
    await say(alice, 'bob@b.test', 'four')
    await hears(bob, ['one', 'two', 'three', 'four'], 5_000)
    expect(world.handed.at(-1)?.message.gap).toBeUndefined()
  })

  it('is not broken by a listener that throws', async () => {
    for (const device of [alice, bob]) {
      device.agent.watch(() => {
        throw new Error('broken listener')
      })
    }
    const sent = await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    await world.settled(sent.accepted())
    await say(bob, 'alice@a.test', 'two')
    await hears(alice, ['two'])
  })

  it('closes in a moment, whatever is away, and leaves no timer behind', async () => {
    const [relayA] = world.relays as [SimRelay]
    relayA.kill()
    relayB.kill()
    // What the relays had set for later is over.
    await pass(240 * minute)
    await say(alice, 'bob@b.test', 'one')
    await world.settled(Promise.all([alice.agent.close(), alice.agent.close()]), 1_000)
    bob.disk.full = true
    await world.settled(bob.agent.close(), 1_000)
    const before = world.schedule.events
    await pass(10 * minute)
    expect(world.schedule.events - before).toBe(0)
  })

  it('refuses what an application may not send', async () => {
    const refusals: [string, Parameters<SimDevice['agent']['send']>[1], string][] = [
      ['bob@b.test', { type: 'urn:parley:kernel:1:receipt', body: {} }, 'ERR_AGENT_KERNEL_TYPE'],
      ['bob@b.test', { type: 'urn:example:other:1:thing', body: {} }, 'ERR_AGENT_PROTOCOL_UNKNOWN'],
      ['bob@b.test', { type: chat.text.type, body: { text: 'x'.repeat(300_000) } }, 'ERR_AGENT_MESSAGE_TOO_LARGE'],
      ['bob', chat.text({ text: 'x' }), 'ERR_CORE_ADDRESS_MALFORMED'],
    ]
    for (const [to, message, code] of refusals)
      await expect(world.settled(alice.agent.send(to, message))).rejects.toMatchObject({ code })
  })

  it('takes so many into its outbox and no more, until some have gone', async () => {
    await world.close()
    await begin({ agentLimits: { outboxMessagesMax: 5 } })
    const [relayA] = world.relays as [SimRelay]
    relayA.kill()
    for (let i = 0; i < 5; i++) await say(alice, 'bob@b.test', String(i))
    await expect(say(alice, 'bob@b.test', 'too many')).rejects.toMatchObject({ code: 'ERR_AGENT_OUTBOX_FULL', retryable: true })
    await world.settled(relayA.start())
    await world.settled(alice.agent.drained(), 5 * minute)
    await say(alice, 'bob@b.test', '5')
    await hears(bob, ['0', '1', '2', '3', '4', '5'])
  })

  it('refuses at once what could never be sealed', async () => {
    const half = '\ud83d'
    const messages = [
      chat.text({ text: half }),
      { ...chat.text({ text: 'x' }), threadId: half },
      { ...chat.text({ text: 'x' }), referentId: half },
    ]
    for (const message of messages)
      await expect(world.settled(alice.agent.send('bob@b.test', message))).rejects.toMatchObject({
        code: 'ERR_JWM_ATTRIBUTES_MALFORMED',
      })
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
  })

  it('that closes while connected gives every timer back', async () => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    await world.settled(Promise.all([alice.agent.close(), bob.agent.close()]), 1_000)
    for (const relay of world.relays) relay.kill()
    await pass(240 * minute)
    const before = world.schedule.events
    await pass(240 * minute)
    expect(world.schedule.events - before).toBe(0)
  })
})
