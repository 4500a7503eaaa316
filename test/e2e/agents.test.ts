import { createAgent } from '@parley/agent'
import { createMemoryStore, createSchedule, createSimNetwork, createSimRandom } from '@parley/core/sim'
import { chat } from '@parley/protocols/chat'
import { createWorld, type SimDevice, type World } from '@parley/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))
const minute = 60_000
const day = 86_400_000

let world: World
let alice: SimDevice
let bob: SimDevice

beforeEach(async () => {
  world = createWorld({ seed: 11, settle })
  await world.addRelay('a.test')
  await world.addRelay('b.test')
  alice = await world.addAccount('alice@a.test')
  bob = await world.addAccount('bob@b.test')
})
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
const reported = (code: string): readonly string[] => world.reports.filter((line) => line.includes(` ${code} `))

describe('a copied profile', () => {
  // Both copies are there at the same time: the same device, the same numbers.
  async function copyOfAlice(): Promise<{ readonly agent: Awaited<ReturnType<typeof createAgent>> }> {
    const disk = alice.disk.snapshot()
    const store = createMemoryStore()
    await store.batch(
      [...disk].map(([key, value]) => ({ type: 'put' as const, key, value })),
      { durable: true },
    )
    const agent = await createAgent({
      store,
      storeKeys: [world.random.fork(`store key ${alice.name}`).bytes(32)],
      transport: world.network.transport('copy'),
      clock: world.schedule.clock(),
      random: createSimRandom('copy'),
      protocols: [chat],
    })
    return { agent }
  }

  it('takes the connection over, the first one stops, and two contents under one number are reported', async () => {
    await say(alice, 'bob@b.test', 'zero')
    await hears(bob, ['zero'])
    await pass(minute)
    const { agent } = await copyOfAlice()
    await world.run({ until: () => agent.connection.state === 'ready', timeMs: minute })
    await world.run({ until: () => alice.agent.connection.state === 'stopped', timeMs: minute })
    expect(alice.agent.connection).toMatchObject({ state: 'stopped', retryable: false })
    await world.settled(agent.send('bob@b.test', chat.text({ text: 'from the copy' })))
    await hears(bob, ['zero', 'from the copy'])
    // The first one counts on as if nothing had happened.
    await say(alice, 'bob@b.test', 'from the first')
    await world.settled(agent.close())
    alice.kill()
    await world.settled(alice.start())
    await world.run({ until: () => alice.agent.connection.state === 'ready', timeMs: minute })
    await world.run({ until: () => reported('equivocation').length > 0, timeMs: minute })
    // Two texts under one number: the first that came stands, and the other proves that the device was copied.
    expect(heard(bob)).toEqual(['zero', 'from the copy'])
    expect(reported('equivocation')).toEqual([`${bob.name} equivocation alice@a.test`])
    await say(alice, 'bob@b.test', 'afterwards')
    await world.run({ until: () => heard(bob).includes('afterwards'), timeMs: 2 * minute })
    expect(heard(bob)).toContain('afterwards')
  })
})

describe('a removed device', () => {
  it.each(['retired', 'compromised'] as const)('(%s) gets no message more: its key is renewed', async (reason) => {
    const second = await world.addDevice(bob)
    await say(alice, 'bob@b.test', 'one')
    await hears(second, ['one'])
    await pass(minute)
    const sessions: string[] = []
    alice.agent.watch((event) => {
      if (event.kind === 'session') sessions.push(event.reason)
    })
    await world.settled(bob.agent.removeDevice(second.agent.device, reason))
    // What bob says next names his newer card, so that alice asks for it before she seals anything more.
    await say(bob, 'alice@a.test', 'she is gone')
    await hears(alice, ['she is gone'])
    await say(alice, 'bob@b.test', 'two')
    await hears(
      bob,
      ['one', 'she is gone', 'two'].filter((text) => text !== 'she is gone'),
    )
    expect(sessions).toContain('device-removed')
    expect(heard(second).filter((text) => text === 'two')).toEqual([])
  })

  // Alice is away from before the device is added until after it was removed: its card is there before its words are.
  const removedMeanwhile = async (reason: 'retired' | 'compromised'): Promise<void> => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    await pass(minute)
    alice.kill()
    const second = await world.addDevice(bob)
    const late = await say(second, 'alice@a.test', 'the last words')
    await world.settled(late.accepted())
    await pass(5_000)
    await world.settled(bob.agent.removeDevice(second.agent.device, reason))
    await world.settled(alice.start())
    await world.run({ until: () => alice.agent.connection.state === 'ready', timeMs: minute })
    await pass(minute)
  }

  it('is heard on what it sent before when it retired', async () => {
    await removedMeanwhile('retired')
    expect(heard(alice)).toEqual(['the last words'])
  })

  it('is held on what it sent before when it was compromised, until the person decides', async () => {
    await removedMeanwhile('compromised')
    expect(heard(alice)).toEqual([])
    const held = alice.agent.locked()
    expect(held.map(({ cause }) => cause)).toContain('signer-removed')
    expect(held.find(({ cause }) => cause === 'signer-removed')).toMatchObject({
      from: 'bob@b.test',
      repair: { kind: 'decision', asked: [] },
    })
    await world.settled(alice.agent.decide('bob@b.test', 'take'))
    await hears(alice, ['the last words'])
    expect(alice.agent.locked()).toEqual([])
  })

  it('is not heard on it when the person says so, or never says', async () => {
    await removedMeanwhile('compromised')
    await world.settled(alice.agent.decide('bob@b.test', 'drop'))
    expect(reported('signer-removed').length).toBeGreaterThan(0)
    await pass(31 * day)
    expect([heard(alice), alice.agent.locked()]).toEqual([[], []])
  })
})

describe('agreement keys', () => {
  it('rotate, and what was sealed to the one before still opens', async () => {
    await say(alice, 'bob@b.test', 'one')
    await hears(bob, ['one'])
    world.network.isPartitioned = (from, to) => [from, to].includes(bob.name)
    // Alice renews her session key after a week, and seals it to bob's statement of the week before.
    await pass(8 * day)
    const sent = await say(alice, 'bob@b.test', 'two')
    await world.settled(sent.accepted())
    bob.kill()
    world.network.isPartitioned = () => false
    await world.settled(bob.start())
    await world.run({ until: () => bob.agent.connection.state === 'ready', timeMs: minute })
    await hears(bob, ['one', 'two'], 5 * minute)
    expect(reported('agreement-key-unknown')).toEqual([])
  })
})

it('lists what waits with what is done about it', async () => {
  await say(alice, 'bob@b.test', 'one')
  await hears(bob, ['one'])
  const second = await world.addDevice(bob)
  bob.kill()
  await say(alice, 'bob@b.test', 'two')
  await world.run({ until: () => second.agent.locked().length > 0, timeMs: minute })
  alice.kill()
  const [first] = second.agent.locked()
  expect(first).toMatchObject({ cause: 'key-unknown', repair: { kind: 'key-request', asked: [] } })
  expect(first?.repair.next).toBeGreaterThan(world.schedule.clock().now())
  await pass(10_000)
  const [later] = second.agent.locked()
  expect(later?.repair.asked[0]?.address).toBe('bob@b.test')
  expect(later?.deadline).toBeGreaterThan(world.schedule.clock().now() + 29 * day)
})

describe('an agent', () => {
  const alone = async (limits = {}) => {
    const schedule = createSchedule({ settle })
    const random = createSimRandom('alone')
    const { makeAccount } = await import('@parley/agent')
    const { parseAddress } = await import('@parley/core')
    const store = createMemoryStore()
    const parts = { store, storeKeys: [random.bytes(32)], clock: schedule.clock(), random }
    await makeAccount({ ...parts, address: parseAddress('carol@a.test'), relayUrl: 'ws://a.test:1' })
    const transport = createSimNetwork({ schedule, random }).transport('carol')
    return { schedule, agent: createAgent({ ...parts, transport, protocols: [chat], limits }) }
  }

  it('refuses limits under which keys are gone before their messages', async () => {
    for (const name of ['sessionRetentionMs', 'agreementRetentionMs', 'counterRetentionMs']) {
      const { agent } = await alone({ [name]: 32 * day - 1 })
      await expect(agent).rejects.toMatchObject({ code: 'ERR_AGENT_LIMITS_INCONSISTENT' })
    }
    const { agent } = await alone({ lifetimeMs: 31 * day, counterRetentionMs: 90 * day })
    await expect(agent).rejects.toMatchObject({ code: 'ERR_AGENT_LIMITS_INCONSISTENT' })
  })

  it('is closed at the end of its block, and says how its connection is', async () => {
    let kept: Awaited<Awaited<ReturnType<typeof alone>>['agent']> | undefined
    {
      const made = await alone()
      await using agent = await made.agent
      kept = agent
      await made.schedule.run({
        timeMax: 60_000,
        until: () => agent.connection.state === 'waiting' && agent.connection.nextTry !== undefined,
      })
      expect(agent.connection).toMatchObject({ state: 'waiting', reason: 'relay-unreachable', retryable: true })
      expect(agent.connection.nextTry).toBeGreaterThan(agent.connection.since)
    }
    expect(kept.connection).toMatchObject({ state: 'stopped', reason: 'closed', retryable: false })
    await expect(kept.send('bob@b.test', chat.text({ text: 'x' }))).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
  })

  it('ends every wait when its signal aborts', async () => {
    const { agent: opening } = await alone()
    const agent = await opening
    const sent = await agent.send('carol2@a.test', chat.text({ text: 'x' }))
    const controller = new AbortController()
    const { signal } = controller
    const waits = [
      agent.connected({ signal }),
      agent.drained({ signal }),
      sent.accepted({ signal }),
      sent.delivered({ signal }),
      agent.safetyNumber('bob@b.test', { signal }),
      agent.removeDevice(agent.device, 'retired', { signal }),
    ]
    const ends = Promise.allSettled(waits)
    const handling = agent.handle(chat.text, () => {}, { signal })
    controller.abort(new Error('enough'))
    for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: { message: 'enough' } })
    await handling
    await agent.close()
  })
})
