import { type Domain, parseAddress, type StanzaId, toDomain } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { relayLimits } from '../src/index.ts'
import { createWorld, type RelayTestOptions } from './network.ts'

// The simulated network finds a host by its port, so the domains carry one.
const aName = 'a.example:5001'
const bName = 'b.example:5002'
const domain = (name: string): Domain => {
  const read = toDomain(name)
  if (read === undefined) throw new Error(name)
  return read
}

async function scene(options: { a?: RelayTestOptions; b?: RelayTestOptions } = {}) {
  const world = createWorld()
  const open = { federation: { discovery: true } }
  const a = await world.relay(aName, { port: 5001, ...open, ...options.a })
  const b = await world.relay(bName, { port: 5002, ...open, ...options.b })
  const alice = world.device(world.account(`alice@${aName}`), { relay: a })
  const bob = world.device(world.account(`bob@${bName}`), { relay: b })
  await alice.online({ register: true })
  await bob.online({ register: true })
  const outcome = async (to: string) => {
    const id = alice.send(parseAddress(to), 'hello')
    await world.until(() => alice.ended(id) !== undefined)
    return alice.ended(id)
  }
  return { world, a, b, alice, bob, outcome }
}

describe('a domain without a route', () => {
  it('is found under its own name, both ways', async () => {
    const { world, alice, bob } = await scene()
    alice.send(bob.address, 'there')
    await world.until(() => bob.texts.length === 1)
    bob.send(alice.address, 'and back')
    await world.until(() => alice.texts.length === 1)
    expect(await alice.request('cards', { address: bob.address, since: 0 })).toMatchObject({ ok: true })
  })

  it('is dialled where it says that it listens', async () => {
    const { world, alice, bob } = await scene({ b: { url: 'wss://relay.b.example:5002' } })
    const dialled: string[] = []
    world.network.onFrame = ({ from, to }) => dialled.push(`${from} ${to}`)
    alice.send(bob.address, 'there')
    await world.until(() => bob.texts.length === 1)
    expect(dialled).toContain(`${aName} ${bName}`)
  })

  it('is none where discovery is off', async () => {
    const { outcome } = await scene({ a: { federation: { discovery: false } } })
    expect(await outcome(`bob@${bName}`)).toMatchObject({ kind: 'bounced', code: 'domain-unknown' })
  })

  it('is neither asked nor dialled when its name leads into a private network', async () => {
    const { world, a, alice, bob } = await scene()
    world.network.addressOf = (node) => (node === bName ? '192.168.0.7' : '1.0.0.1')
    alice.send(bob.address, 'no')
    await world.pass(30_000)
    expect(bob.texts).toEqual([])
    expect(a.counts.get('relay.peer.no_keys')).toBeGreaterThan(0)
    expect(await a.relay.queues.list()).toMatchObject([{ domain: bName, count: 1, reason: 'keys-unavailable' }])
    world.network.addressOf = () => '1.0.0.1'
    await world.until(() => bob.texts.length === 1, 120_000)
  })

  it('that nobody has ever heard of is given up long before a domain that was there', async () => {
    const { world, a, alice } = await scene()
    const id = alice.send(parseAddress('bob@nowhere.example'), 'hello?')
    await world.until(() => alice.ended(id) !== undefined)
    expect(alice.ended(id)?.kind).toBe('accepted')
    await world.pass(30_000)
    expect(await a.relay.queues.list()).toMatchObject([{ domain: 'nowhere.example', count: 1 }])
    alice.drop()
    await world.pass(12 * 60_000)
    await alice.online()
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ id, code: 'domain-unknown', retryable: false })
    expect(await a.relay.queues.list()).toMatchObject([{ count: 0 }])
  })

  it('takes a bounded place beside the others', async () => {
    const { outcome, a } = await scene({ a: { federation: { discovery: true }, limits: { peersMax: 1 } } })
    expect(await outcome('bob@nowhere.example')).toMatchObject({ kind: 'accepted' })
    expect(await outcome(`bob@${bName}`)).toMatchObject({ kind: 'bounced', code: 'domain-unknown' })
    expect(a.counts.get('relay.limit.peersMax')).toBeGreaterThan(0)
  })

  it('is hung up on when nothing was said for long, and dialled anew when there is something', async () => {
    const { world, a, alice, bob } = await scene({ a: { federation: { discovery: true }, limits: { peerIdleMs: 60_000 } } })
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    await world.pass(120_000)
    expect((await a.relay.stats()).peersReady).toBe(0)
    await alice.online()
    await bob.online()
    alice.send(bob.address, 'two')
    await world.until(() => bob.texts.length === 2)
  })
})

describe('the lists of an operator', () => {
  it.each([
    ['a domain that is not allowed', { discovery: true, allow: [domain('other.example')] }],
    ['a domain that is denied', { discovery: true, deny: [domain(bName)] }],
    ['a domain that is allowed and denied', { discovery: true, allow: [domain(bName)], deny: [domain(bName)] }],
  ])('stop what goes to %s, and what comes from it', async (_, federation) => {
    const { world, alice, bob, outcome } = await scene({ a: { federation } })
    expect(await outcome(`bob@${bName}`)).toMatchObject({ kind: 'bounced', code: 'domain-unknown' })
    bob.send(alice.address, 'hello')
    await world.pass(10_000)
    expect(alice.texts).toEqual([])
  })

  it('let through what they allow', async () => {
    const { outcome } = await scene({ a: { federation: { discovery: true, allow: [domain(bName)] } } })
    expect(await outcome(`bob@${bName}`)).toMatchObject({ kind: 'accepted' })
  })

  it('take effect on live connections at once, and when they are lifted what waited goes on', async () => {
    const { world, a, alice, bob } = await scene()
    alice.send(bob.address, 'one')
    bob.send(alice.address, 'one')
    await world.until(() => bob.texts.length === 1 && alice.texts.length === 1)
    a.relay.setFederation({ deny: [domain(bName)] })
    bob.send(alice.address, 'two')
    await world.pass(20_000)
    expect(alice.texts).toEqual(['one'])
    expect((await a.relay.stats()).peersReady).toBe(0)
    a.relay.setFederation({ deny: [] })
    await world.until(() => alice.texts.length === 2, 120_000)
  })
})

describe('a domain on the block list', () => {
  it('is shown out at once and not dialled, and when it is taken off the list what waited goes on', async () => {
    const { world, a, alice, bob, outcome } = await scene()
    alice.send(bob.address, 'one')
    bob.send(alice.address, 'one')
    await world.until(() => bob.texts.length === 1 && alice.texts.length === 1)
    await a.relay.blocklist.add(bName)
    await world.pass(1000)
    expect(await a.relay.stats()).toMatchObject({ peersReady: 0, connections: 1 })
    expect(await outcome(`bob@${bName}`)).toMatchObject({ kind: 'bounced', code: 'domain-unknown' })
    const id = bob.send(alice.address, 'two')
    await world.until(() => bob.ended(id) !== undefined)
    expect(bob.ended(id)).toMatchObject({ kind: 'accepted' })
    await world.pass(20_000)
    expect(alice.texts).toEqual(['one'])
    expect(await a.relay.blocklist.remove(bName)).toBe(true)
    await world.until(() => alice.texts.length === 2, 120_000)
  })
})

describe('a queue', () => {
  it('is seen, tried at once when asked, and given up with a word to the senders', async () => {
    const { world, a, b, alice, bob } = await scene()
    b.kill()
    const ids = [0, 1].map((i) => alice.send(bob.address, `message ${i}`))
    await world.until(() => ids.every((id) => alice.ended(id) !== undefined))
    await world.pass(20_000)
    const [queue] = await a.relay.queues.list()
    expect(queue).toMatchObject({
      domain: bName,
      count: 2,
      state: 'waiting',
      reason: expect.any(String),
      oldest: expect.any(Number),
    })
    expect(queue?.bytes).toBeGreaterThan(0)
    expect(a.relay.queues.retry(domain(bName))).toBe(true)
    expect(a.relay.queues.retry(domain(aName))).toBe(false)
    expect(await a.relay.queues.drop(domain(bName))).toBe(2)
    await world.until(() => alice.events.filter((event) => event.kind === 'bounced').length === 2)
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ id: ids[0], code: 'undeliverable' })
    expect(await a.relay.queues.list()).toMatchObject([{ count: 0 }])
  })

  it('ends for all, when it is given up or has expired, although the mailbox of one of the senders is full', async () => {
    const limits = { mailbox: { ...relayLimits.mailbox, countMax: 2 }, undiscoveredMs: 1e9 }
    const { world, a, b, alice } = await scene({ a: { federation: { discovery: true }, limits } })
    const carol = world.device(world.account(`carol@${aName}`), { relay: a })
    await carol.online({ register: true })
    b.kill()
    const send = async (to: string) => {
      const ids = [alice, carol].map((each) => ({
        each,
        id: each.send(parseAddress(to), 'gone', { expiry: world.clock.now() + 60_000 }),
      }))
      await world.until(() => ids.every(({ each, id }) => each.ended(id) !== undefined))
      return ids.map(({ id }) => id)
    }
    const [, dropped] = await send(`bob@${bName}`)
    alice.drop()
    await world.pass(100)
    for (const text of ['one', 'two']) carol.send(alice.address, text)
    await world.pass(1000)
    expect(await a.relay.queues.drop(domain(bName))).toBe(2)
    const isTold = (id: StanzaId | undefined) => carol.events.some((event) => event.kind === 'bounced' && event.id === id)
    await world.until(() => isTold(dropped))
    await alice.online()
    const [, expired] = await send('bob@nowhere.example')
    alice.drop()
    await world.pass(100)
    for (const text of ['three', 'four']) carol.send(alice.address, text)
    await world.pass(200_000)
    await carol.online()
    await world.until(() => isTold(expired))
    expect((await a.relay.queues.list()).map(({ count }) => count)).toEqual([0, 0])
    expect(a.counts.get('relay.peer.bounce_dropped')).toBe(2)
  })

  it('keeps a stanza for a bounded time', async () => {
    const { world, b, alice, bob } = await scene({
      a: { federation: { discovery: true }, limits: { queueMsMax: 60_000, undiscoveredMs: 1e9 } },
    })
    b.kill()
    const id = alice.send(bob.address, 'late')
    await world.until(() => alice.ended(id) !== undefined)
    await world.pass(200_000)
    await alice.online()
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ id, code: 'undeliverable' })
  })
})

describe('a change of the relay’s key', () => {
  it('is followed by devices that pinned an old one, and by other relays', async () => {
    const { world, a, b, alice, bob } = await scene()
    bob.send(alice.address, 'before')
    await world.until(() => alice.texts.length === 1)
    const first = alice.relayKey
    const second = await a.relay.changeKey()
    const third = await a.relay.changeKey()
    expect(new Set([first, second, third]).size).toBe(3)
    a.kill()
    await a.start()
    expect(a.relay.key).toBe(third)
    alice.drop()
    await alice.online()
    expect(alice.relayKey).toBe(third)
    alice.send(bob.address, 'after')
    bob.send(alice.address, 'after')
    await world.until(() => alice.texts.length === 2 && bob.texts.length === 1, 400_000)
    expect(b.relay.key).not.toBe(third)
  })

  it('is not followed from a key that never signed one', async () => {
    const { a, b, alice, world } = await scene()
    await a.relay.changeKey()
    alice.drop()
    await world.pass(100)
    alice.relayKey = b.relay.key
    await expect(alice.online()).rejects.toThrow('relay-key-changed')
  })

  it('more often than the chain is long leaves the one who was away for all of it behind', async () => {
    const { a, alice, world } = await scene()
    for (let i = 0; i < 5; i++) await a.relay.changeKey()
    alice.drop()
    await world.pass(100)
    await expect(alice.online()).rejects.toThrow('relay-key-changed')
  })
})
