/**
 * Scenes of the protocols that come with Parley: two or three agents, their relays, and what people see of it.
 */
import type { AgentEvent, Sent } from '@parley/agent'
import type { JsonObject } from '@parley/core'
import {
  defineMessage,
  defineProtocol,
  effectActions,
  type MessageDefinition,
  type Protocol,
  type ReceivedEvents,
  type RoleInput,
  type SendEvents,
} from '@parley/kernel'
import { chat } from '@parley/protocols/chat'
import { discoverFeatures } from '@parley/protocols/discover-features'
import { problemReport } from '@parley/protocols/problem-report'
import { receipts } from '@parley/protocols/receipts'
import { trustPing } from '@parley/protocols/trust-ping'
import { createWorld, type SimDevice, type World, type WorldOptions } from '@parley/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { setup } from 'xstate'
import * as z from 'zod/mini'
import { settle } from './rest.ts'

let world: World
let alice: SimDevice
let bob: SimDevice
afterEach(() => world.close())

async function meet(options: Partial<WorldOptions> = {}): Promise<void> {
  world = createWorld({ seed: 7, settle, protocols: [chat, trustPing, discoverFeatures], ...options })
  await world.addRelay('a.test')
  await world.addRelay('b.test')
  alice = await world.addAccount('alice@a.test')
  bob = await world.addAccount('bob@b.test')
}

const befriend = async (): Promise<void> => {
  await world.settled(bob.agent.addContact(alice.agent.link))
  await world.settled(alice.agent.addContact(bob.agent.link))
}
const say = (from: SimDevice, to: SimDevice, text: string): Promise<Sent> =>
  world.settled(from.agent.send(to.address, chat.text({ text })))
const heard = (by: SimDevice, text: string) => world.handed.find((each) => each.device === by.name && each.text === text)?.message
const hears = async (by: SimDevice, text: string): Promise<NonNullable<ReturnType<typeof heard>>> => {
  await world.run({ until: () => heard(by, text) !== undefined, timeMs: 60_000 })
  const message = heard(by, text)
  if (message === undefined) throw new Error(`${by.name} did not hear ${text}`)
  return message
}
const pass = (timeMs: number): Promise<boolean> => world.run({ timeMs, until: () => false })
const watch = (device: SimDevice, kind: AgentEvent['kind']): AgentEvent[] => {
  const events: AgentEvent[] = []
  device.agent.watch((event) => {
    if (event.kind === kind) events.push(event)
  })
  return events
}

describe('receipts', () => {
  it('tell that a text was delivered, and when bob looked at it, that it was displayed with all before it', async () => {
    await meet()
    await befriend()
    const sent = [await say(alice, bob, 'one'), await say(alice, bob, 'two'), await say(alice, bob, 'three')]
    const two = await hears(bob, 'two')
    await hears(bob, 'three')
    await world.settled(Promise.all(sent.map((each) => each.delivered())))
    await world.settled(bob.agent.displayed(two))
    await world.settled(sent[1]?.displayed() ?? Promise.reject())
    expect(sent.map((each) => each.status())).toEqual([{ state: 'displayed' }, { state: 'displayed' }, { state: 'delivered' }])
  })

  it('outlive the process that waits for them', async () => {
    await meet()
    await befriend()
    const { id } = await say(alice, bob, 'one')
    alice.kill()
    await world.settled(alice.start())
    const message = await hears(bob, 'one')
    await world.settled(bob.agent.displayed(message))
    await world.settled(alice.agent.sent(id)?.displayed() ?? Promise.reject())
  })

  it('say nothing of what was displayed when the person does not want that', async () => {
    await meet({ agentOptions: (address) => (address.startsWith('bob') ? { tellsDisplayed: () => false } : {}) })
    await befriend()
    const sent = await say(alice, bob, 'one')
    await world.settled(bob.agent.displayed(await hears(bob, 'one')))
    await pass(60_000)
    expect(sent.status()).toEqual({ state: 'delivered' })
  })

  it('say nothing at all to strangers', async () => {
    await meet()
    const sent = await say(alice, bob, 'one')
    await world.settled(bob.agent.displayed(await hears(bob, 'one')))
    await pass(60_000)
    expect(sent.status()).toEqual({ state: 'accepted' })
  })

  it('do not come from somebody to whom the message did not go', async () => {
    await meet()
    const carol = await world.addAccount('carol@b.test')
    await befriend()
    await world.settled(carol.agent.addContact(alice.agent.link))
    const sent = await say(alice, bob, 'one')
    const { id } = await hears(bob, 'one')
    await world.settled(carol.agent.send(alice.address, receipts.displayed({ up_to: id })))
    await pass(60_000)
    expect(sent.status()).toEqual({ state: 'delivered' })
  })
})

describe('a problem report', () => {
  const onlyChat: Partial<WorldOptions> = {
    agentOptions: (address) => (address.startsWith('bob') ? { protocols: [chat] } : {}),
  }
  const ping = () => world.settled(alice.agent.start(trustPing, 'sender', { peer: bob.address }))

  it('ends a run whose protocol the other side does not speak, and is shown to the application', async () => {
    await meet(onlyChat)
    await befriend()
    const reported = watch(alice, 'reported')
    const began = world.schedule.time()
    const run = await ping()
    expect(await world.settled(run.finished())).toEqual({ result: 'refused', roundTripMs: null })
    expect(world.schedule.time() - began).toBeLessThan(30_000)
    const { threadId } = run
    expect(reported).toMatchObject([{ kind: 'reported', from: bob.address, code: 'protocol-unknown', threadId }])
    const [event] = reported
    expect(alice.agent.sent(event?.kind === 'reported' ? event.id : '')?.status().problem).toBe('protocol-unknown')
    // It waits there for the protocol.
    expect(bob.agent.locked()).toMatchObject([{ from: alice.address, cause: 'protocol-unknown' }])
  })

  it('does not go to strangers', async () => {
    await meet(onlyChat)
    const run = await ping()
    expect(await world.settled(run.finished(), 120_000)).toMatchObject({ result: 'timed-out' })
  })

  it('is sent so many times an hour and no more', async () => {
    await meet(onlyChat)
    await befriend()
    const reported = watch(alice, 'reported')
    for (let i = 0; i < 15; i++) await ping()
    await pass(60_000)
    expect(reported).toHaveLength(10)
    await pass(3_600_000)
    await world.settled((await ping()).finished())
    expect(reported).toHaveLength(11)
  })

  it('is sent once about a message, however often its reader starts again', async () => {
    await meet(onlyChat)
    await befriend()
    const reported = watch(alice, 'reported')
    await world.settled((await ping()).finished())
    for (let i = 0; i < 3; i++) {
      bob.kill()
      await world.settled(bob.start())
    }
    await pass(60_000)
    expect(reported).toHaveLength(1)
  })

  it('says that a body does not fit, and that a thread had its messages', async () => {
    // Two programs that do not agree about one protocol.
    const define = (body: z.ZodMiniType, threadMessagesMax: number): Protocol & { say: MessageDefinition } => {
      const say = defineMessage({ type: 'urn:test:say:1:say', body })
      const messages = { say }
      const machine = setup({
        types: { input: {} as RoleInput, events: {} as ReceivedEvents<typeof messages> | SendEvents<typeof messages> },
        actions: effectActions<typeof messages>(),
      }).createMachine({
        id: 'talker',
        initial: 'talking',
        states: {
          talking: {
            on: {
              'send.say': {
                actions: { type: 'send', params: ({ event }) => ({ message: 'say', body: event.body as JsonObject }) },
              },
              'received.say': { actions: 'deliver' },
            },
          },
        },
      })
      const roles = { talker: { machine, opens: ['say'], sends: ['say'] } } as const
      const protocol = defineProtocol({ uri: 'urn:test:say:1', version: 1, messages, roles, limits: { threadMessagesMax } })
      return { ...protocol, say } as never
    }
    const [loose, strict] = [define(z.looseObject({}), 100), define(z.strictObject({ text: z.string() }), 2)]
    await meet({ agentOptions: (address) => ({ protocols: [address.startsWith('bob') ? strict : loose] }) })
    await befriend()
    const reported = watch(alice, 'reported')
    const talk = (body: JsonObject, threadId: string) =>
      world.settled(alice.agent.send(bob.address, loose.say(body, { threadId })))
    const [first, second] = ['urn:uuid:00000000-0000-4000-8000-000000000001', 'urn:uuid:00000000-0000-4000-8000-000000000002']
    const sent = [await talk({ words: 1 }, first), await talk({ words: 2 }, first)]
    for (const text of ['a', 'b', 'c', 'd']) sent.push(await talk({ text }, second))
    await pass(60_000)
    expect(reported).toMatchObject([
      { code: 'message-invalid', threadId: first },
      { code: 'limit-exceeded', threadId: second },
    ])
    expect(sent.map((each) => each.status().problem)).toEqual([
      'message-invalid',
      undefined,
      undefined,
      undefined,
      'limit-exceeded',
      undefined,
    ])
    // What was refused was delivered to nobody.
    expect(world.handed.map(({ text }) => text)).toEqual(['a', 'b'])
  })

  it('may be the application’s own, with its words, and is never answered by another', async () => {
    await meet()
    await befriend()
    const [atAlice, atBob] = [watch(alice, 'reported'), watch(bob, 'reported')]
    const sent = await say(alice, bob, 'a lamp, please')
    const { id } = await hears(bob, 'a lamp, please')
    const said = problemReport.report({ code: 'out-of-stock', comment: 'Sold.' }, { referentId: id })
    await world.settled(bob.agent.send(alice.address, said))
    await pass(60_000)
    expect(atAlice).toMatchObject([{ code: 'out-of-stock', comment: 'Sold.', id: sent.id, threadId: sent.threadId }])
    expect(sent.status()).toEqual({ state: 'delivered', problem: 'out-of-stock' })
    // About something that alice never sent: she takes no notice, and sends nothing back.
    await world.settled(bob.agent.send(alice.address, problemReport.report({ code: 'no' }, { referentId: 'urn:uuid:0' })))
    await world.settled(bob.agent.send(alice.address, problemReport.report({ code: 'no' })))
    await pass(60_000)
    expect([atAlice.length, atBob.length]).toEqual([1, 0])
  })
})

describe('discover-features', () => {
  const ask = async (...protocols: string[]): Promise<unknown> => {
    const run = await world.settled(alice.agent.start(discoverFeatures, 'asker', { peer: bob.address, input: { protocols } }))
    return await world.settled(run.finished(), 120_000)
  }

  it('tells a contact which protocols are spoken, in which roles', async () => {
    await meet()
    await befriend()
    expect(await ask('urn:parley:trust-ping:1', 'urn:parley:ch*')).toEqual({
      result: 'answered',
      protocols: [
        { uri: 'urn:parley:chat:1', roles: ['peer'] },
        { uri: 'urn:parley:trust-ping:1', roles: ['sender', 'receiver'] },
      ],
    })
    expect(await ask('urn:other:*')).toEqual({ result: 'answered', protocols: [] })
  })

  it('never names what only agents speak', async () => {
    await meet()
    await befriend()
    const { protocols } = (await ask('*')) as { protocols: { uri: string }[] }
    expect(protocols.map(({ uri }) => uri)).not.toContain('urn:parley:dial-back:1')
    expect(protocols.map(({ uri }) => uri)).toContain('urn:parley:discover-features:1')
  })

  it('does not answer strangers', async () => {
    await meet()
    expect(await ask('*')).toEqual({ result: 'timed-out', protocols: [] })
  })

  it('tells what the application allows, to whom it allows it', async () => {
    const discloses = (to: string, uri: string): boolean => to === 'alice@a.test' && uri === chat.uri
    await meet({ agentOptions: (address) => (address.startsWith('bob') ? { discloses } : {}) })
    expect(await ask('*')).toEqual({ result: 'answered', protocols: [{ uri: chat.uri, roles: ['peer'] }] })
  })
})

describe('trust-ping', () => {
  it('makes no contact of a stranger who pings', async () => {
    await meet()
    const run = await world.settled(alice.agent.start(trustPing, 'sender', { peer: bob.address }))
    expect(await world.settled(run.finished())).toMatchObject({ result: 'answered' })
    const sent = await say(alice, bob, 'one')
    await hears(bob, 'one')
    await pass(60_000)
    // Contacts would be told that it was delivered.
    expect(sent.status()).toEqual({ state: 'accepted' })
  })

  it('comes back from a peer that is there, and not from one that is away', async () => {
    await meet()
    await befriend()
    const run = await world.settled(alice.agent.start(trustPing, 'sender', { peer: bob.address }))
    expect(await world.settled(run.finished())).toMatchObject({ result: 'answered' })
    bob.kill()
    const lost = await world.settled(alice.agent.start(trustPing, 'sender', { peer: bob.address }))
    expect(await world.settled(lost.finished(), 120_000)).toMatchObject({ result: 'timed-out' })
  })
})
