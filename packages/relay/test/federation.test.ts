import { parseAddress, utf8 } from '@parley/core'
import { generateKey, importKey } from '@parley/jose'
import { createS2sInitiator, packEntries, packHeader, s2sProtocol, streamLimits } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { createWorld, type RelayTestOptions, type World } from './network.ts'

async function scene(options: { seed?: number; a?: RelayTestOptions; b?: RelayTestOptions } = {}) {
  const world = createWorld(options.seed)
  const a = await world.relay('a.example', {
    port: 4001,
    routes: ['b.example=ws://sim:4002', 'c.example=ws://sim:4003'],
    ...options.a,
  })
  const b = await world.relay('b.example', { port: 4002, routes: ['a.example=ws://sim:4001'], ...options.b })
  const alice = world.device(world.account('alice@a.example'), { relay: a })
  const bobAccount = world.account('bob@b.example', 2)
  const bob = world.device(bobAccount, { relay: b })
  const second = world.device(bobAccount, { relay: b, at: 1 })
  await alice.online({ register: true })
  await bob.online({ register: true })
  return { world, a, b, alice, bob, second, bobAccount }
}

const settled = (world: World, device: { client: { unsettled: readonly unknown[] } }): Promise<void> =>
  world.until(() => device.client.unsettled.length === 0)

describe('two relays', () => {
  it('bring stanzas to every device of the other domain, in order, over one connection', async () => {
    const { world, a, alice, bob, second } = await scene()
    await second.online()
    for (let i = 0; i < 200; i++) alice.send(bob.address, `message ${i}`)
    await world.until(() => bob.texts.length === 200 && second.texts.length === 200)
    expect(bob.texts).toEqual(Array.from({ length: 200 }, (_, i) => `message ${i}`))
    await settled(world, alice)
    expect(alice.events.filter(({ kind }) => kind === 'accepted')).toHaveLength(200)
    await world.pass(1000)
    expect((await a.relay.stats()).mailbox.count).toBe(0)
    expect((await a.relay.stats()).peersReady).toBe(1)
    expect(a.counts.get('relay.peer.ready')).toBe(1)
  })

  it.each([
    ['peerFramesPerSecond', 10],
    ['peerBytesPerSecond', 1000],
  ] as const)('read one another more slowly above %s, and count it as that', async (name, value) => {
    const { world, b, alice, bob } = await scene({ b: { limits: { [name]: value } } })
    for (let i = 0; i < 80; i++) alice.send(bob.address, `message ${i}`)
    await world.until(() => bob.texts.length === 80)
    const counted = [...b.counts.keys()].filter((each) => /^relay\.limit\..*PerSecond$/i.test(each))
    expect(counted).toEqual([`relay.limit.${name}`])
  })

  it('log when they reach one another, when a connection ends and why, and once that it cannot be had', async () => {
    const { world, a, b, alice, bob } = await scene()
    const said = (relay: typeof a, kind: string): readonly unknown[] =>
      relay.logged.filter(({ event }) => event.startsWith(`relay.${kind}.`))
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    expect(said(a, 'peer')).toEqual([{ event: 'relay.peer.ready', peer: 'b.example' }])
    b.kill()
    await world.pass(10_000)
    alice.send(bob.address, 'two')
    await world.pass(10_000)
    await b.start()
    await bob.online()
    await world.until(() => bob.texts.length === 2)
    const closing = a.relay.close()
    await world.pass(1000)
    await closing
    expect(said(a, 'peer').slice(1)).toEqual([
      { event: 'relay.peer.ended', peer: 'b.example', code: 'connection-lost', by: 'network' },
      { event: 'relay.peer.not_reached', peer: 'b.example', code: 'unreachable' },
      { event: 'relay.peer.ready', peer: 'b.example' },
      { event: 'relay.peer.ended', peer: 'b.example', code: 'going-away', by: 'here' },
    ])
    expect(said(b, 'peer_session').at(-1)).toEqual({
      event: 'relay.peer_session.ended',
      peer: 'a.example',
      code: 'going-away',
      by: 'peer',
    })
  })

  it('log of one that came that it vanished', async () => {
    const { world, a, b, alice, bob } = await scene()
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    a.kill()
    await world.pass(1000)
    const last = b.logged.filter(({ peer }) => peer === 'a.example').at(-1)
    expect(last).toEqual({ event: 'relay.peer_session.ended', peer: 'a.example', code: 'connection-lost', by: 'network' })
  })

  it('tell card versions of the other domain once they are known', async () => {
    const { world, alice, bob } = await scene()
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    await world.pass(500)
    const id = alice.send(bob.address, 'two')
    await world.until(() => alice.ended(id) !== undefined)
    expect(alice.ended(id)).toMatchObject({ cards: { [bob.address]: 1 } })
  })

  it('keep a queue while the other is away, over crashes of either, and lose and repeat nothing', async () => {
    const { world, a, b, alice, bob } = await scene()
    b.kill()
    for (let i = 0; i < 5; i++) alice.send(bob.address, `message ${i}`)
    await settled(world, alice)
    await world.pass(5000)
    a.kill()
    await a.start()
    await world.pass(5000)
    expect((await a.relay.stats()).mailbox.count).toBe(5)
    await b.start()
    await bob.online()
    await world.until(() => bob.texts.length === 5)
    await world.pass(2000)
    expect(bob.texts).toEqual([0, 1, 2, 3, 4].map((i) => `message ${i}`))
    expect((await a.relay.stats()).mailbox.count).toBe(0)
  })

  it('send again what the other’s store refused, in order, until it takes it', async () => {
    const { world, b, alice, bob } = await scene()
    b.disk.full = true
    const ids = [0, 1, 2].map((i) => alice.send(bob.address, `message ${i}`))
    await settled(world, alice)
    await world.pass(3000)
    b.disk.full = false
    await world.until(() => bob.texts.length === 3)
    expect(bob.texts).toEqual(['message 0', 'message 1', 'message 2'])
    expect(alice.events.filter((event) => event.kind === 'bounced')).toEqual([])
    expect(ids.map((id) => alice.ended(id)?.kind)).toEqual(['accepted', 'accepted', 'accepted'])
  })

  it('bounce what the other’s store refuses for good', async () => {
    const { world, a, b, alice, bob } = await scene({ a: { limits: { refusalsMax: 2 } } })
    b.disk.full = true
    alice.send(bob.address, 'never')
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ code: 'unavailable' })
    await world.pass(1000)
    expect((await a.relay.stats()).mailbox.count).toBe(0)
  })

  it('tell the sender of a bounce that their own store refused at first', async () => {
    const { world, a, alice } = await scene()
    alice.send(parseAddress('ghost@b.example'), 'to nobody')
    await settled(world, alice)
    a.disk.full = true
    await world.pass(2000)
    a.disk.full = false
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ code: 'recipient-unknown' })
  })

  it('answer questions about each other’s accounts', async () => {
    const { alice, bobAccount } = await scene()
    const { address } = bobAccount
    expect(await alice.request('cards', { address, since: 0 })).toMatchObject({
      value: { cards: [bobAccount.cards[0]?.jws], version: 1 },
    })
    expect(await alice.request('statements', { address })).toMatchObject({ value: { statements: [expect.any(String)] } })
    expect(await alice.request('cards', { address: 'ghost@b.example', since: 0 })).toMatchObject({
      ok: false,
      code: 'item-not-found',
    })
  })

  it('say unavailable, retryable, when the other cannot be asked', async () => {
    const { alice } = await scene()
    expect(await alice.request('cards', { address: 'carol@c.example', since: 0 })).toMatchObject({
      ok: false,
      code: 'unavailable',
      retryable: true,
    })
  })

  it('tell the sender of a bounce that came later, also when the sender is away meanwhile', async () => {
    const { world, a, b, alice } = await scene()
    b.kill()
    const ghost = parseAddress('ghost@b.example')
    const bob = parseAddress('bob@b.example')
    const id = alice.send([ghost, bob], 'hello')
    await settled(world, alice)
    expect(alice.ended(id)?.kind).toBe('accepted')
    alice.drop()
    await world.pass(1000)
    await b.start()
    await world.pass(3000)
    expect((await a.relay.stats()).mailbox.count).toBe(1)
    await alice.online()
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({
      id,
      to: [ghost],
      code: 'recipient-unknown',
      retryable: false,
      n: 1,
    })
    await world.pass(500)
    expect((await a.relay.stats()).mailbox.count).toBe(0)
  })

  it('tell the sender when a stanza expired in the queue', async () => {
    const { world, b, alice, bob } = await scene()
    b.kill()
    const id = alice.send(bob.address, 'soon', { expiry: world.clock.now() + 60_000 })
    await settled(world, alice)
    await world.pass(200_000)
    await alice.online()
    await world.until(() => alice.events.some((event) => event.kind === 'bounced'))
    expect(alice.events.find((event) => event.kind === 'bounced')).toMatchObject({ id, code: 'undeliverable' })
  })

  it.each([
    ['remoteRequestsMax', { remoteRequestsMax: 1 }, 'unavailable'],
    ['stream.requestsMax', { stream: { ...streamLimits, requestsMax: 1 } }, 'too-many-requests'],
  ] as const)('count a question that is above %s', async (name, limits, code) => {
    // Nobody answers for that domain.
    const { a, alice } = await scene({ a: { limits } })
    const ask = () => alice.request('cards', { address: 'carol@c.example', since: 0 })
    const answers = await Promise.all([ask(), ask()])
    expect(answers).toMatchObject([{ code: 'unavailable' }, { code }])
    expect(a.counts.get(`relay.limit.${name}`)).toBe(1)
  })

  it('pass ephemeral stanzas on when they are connected', async () => {
    const { world, a, alice, bob } = await scene()
    alice.send(bob.address, 'too early', { class: 'ephemeral' })
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    alice.send(bob.address, 'typing', { class: 'ephemeral' })
    await world.until(() => bob.texts.length === 2)
    expect(bob.texts).toEqual(['one', 'typing'])
    expect(a.counts.get('relay.ephemeral.dropped')).toBe(1)
    await world.pass(500)
    expect((await a.relay.stats()).mailbox.count).toBe(0)
  })

  it('say domain-unknown without a route, and queue-full when too much waits', async () => {
    const { world, a, alice } = await scene({ a: { limits: { queueCountMax: 1 } } })
    const nowhere = alice.send(parseAddress('x@d.example'), 'x')
    await world.until(() => alice.ended(nowhere) !== undefined)
    expect(alice.ended(nowhere)).toMatchObject({ code: 'domain-unknown' })
    alice.send(parseAddress('x@c.example'), 'x')
    const id = alice.send(parseAddress('x@c.example'), 'x')
    await settled(world, alice)
    expect(alice.ended(id)).toMatchObject({ code: 'queue-full', retryable: true })
    expect(a.counts.get('relay.limit.queueCountMax')).toBe(1)
  })

  it('take a route that comes later, and leave one that goes', async () => {
    const { world, a, alice, bob } = await scene({ a: { routes: [] } })
    expect(await alice.request('cards', { address: bob.address, since: 0 })).toMatchObject({ code: 'domain-unknown' })
    const { parseRoute } = await import('../src/index.ts')
    a.relay.setFederation({ routes: [parseRoute('b.example=ws://sim:4002')] })
    expect(await alice.request('cards', { address: bob.address, since: 0 })).toMatchObject({ ok: true })
    expect((await a.relay.stats()).peersReady).toBe(1)
    a.relay.setFederation({ routes: [] })
    await world.pass(100)
    expect((await a.relay.stats()).peersReady).toBe(0)
  })

  it('stay apart when the route pins another key, or the other knows no route back', async () => {
    const pinned = await scene({ a: { routes: [`b.example=ws://sim:4002,key=${'A'.repeat(43)}`] } })
    pinned.alice.send(pinned.bob.address, 'x')
    await pinned.world.pass(5000)
    expect(pinned.bob.texts).toEqual([])
    expect(pinned.a.counts.get('relay.peer.ended.proof-refused')).toBeGreaterThan(0)
    const oneWay = await scene({ b: { routes: [] } })
    oneWay.alice.send(oneWay.bob.address, 'x')
    await oneWay.world.pass(5000)
    expect(oneWay.bob.texts).toEqual([])
    expect(oneWay.b.counts.get('relay.peer_session.ended.domain-unknown')).toBeGreaterThan(0)
  })

  it('survive a network that loses, repeats, reorders and breaks', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { world, alice, bob } = await scene({ seed })
      alice.send(bob.address, 'first')
      await world.until(() => bob.texts.length === 1)
      world.network.faults = { ...world.network.faults, lose: 0.03, duplicate: 0.05, reorder: 0.03, break: 0.01, halfOpen: 0.005 }
      const wanted = new Map(Array.from({ length: 20 }, (_, i) => [`message ${i}`, undefined as string | undefined]))
      for (
        let round = 0;
        round < 200 && !(bob.texts.length >= 21 && [...wanted.keys()].every((text) => bob.texts.includes(text)));
        round++
      ) {
        for (const device of [alice, bob]) {
          if (device.fatal !== undefined || device.closed !== undefined || device.client.state === 'ended' || round % 4 === 3) {
            device.drop()
            device.connect().catch(() => {})
          }
        }
        await world.pass(1000)
        if (alice.client.state === 'ready') {
          for (const [text, id] of wanted) {
            if (id !== undefined && alice.ended(id as never)?.kind === 'accepted') continue
            wanted.set(text, alice.send(bob.address, text, id === undefined ? {} : { id: id as never }))
          }
        }
        await world.pass(2000)
      }
      for (const text of wanted.keys()) expect(bob.texts).toContain(text)
    }
  })
})

describe('a relay that another one dials', () => {
  async function dial(world: World, options: { accepting?: string; signer?: ReturnType<typeof importKey> } = {}) {
    const signer = options.signer ?? importKey(generateKey('Ed25519', { random: world.random }))
    const initiator = createS2sInitiator({
      initiating: 'a.example' as never,
      accepting: (options.accepting ?? 'b.example') as never,
      signer,
      isPeerKey: () => true,
      epoch: 'AAAAAAAAAAA',
      start: 0,
      random: world.random,
    })
    const seen = { codes: [] as string[], closed: undefined as string | undefined, ready: false }
    const dialled = world.network
      .transport('a.example')
      .dial('ws://sim:4002', { subprotocols: [s2sProtocol], frameBytesMax: 2 ** 20, timeoutMs: 1000 })
    const apply = (out: ReturnType<typeof initiator.receive>): void => {
      dialled.then((connection) => {
        for (const frame of out.frames) connection.send(frame)
      })
      for (const event of out.events) {
        if (event.kind === 'fatal') seen.codes.push(event.code)
        if (event.kind === 'ready') seen.ready = true
      }
    }
    dialled.then((connection) =>
      connection.start({
        onFrame: (frame) => apply(initiator.receive(frame)),
        onClose(code, reason) {
          seen.closed = `${code} ${reason}`
        },
      }),
    )
    await world.until(() => seen.closed !== undefined || seen.ready)
    return { seen, initiator, apply }
  }

  it('refuses a key that the domain has not published', async () => {
    const { world } = await scene()
    expect((await dial(world)).seen).toMatchObject({ codes: ['proof-refused'], closed: '4011 proof-refused' })
  })

  it('waits with a verdict while the keys cannot be had', async () => {
    const { world, a } = await scene()
    a.kill()
    await world.pass(10)
    expect((await dial(world)).seen.codes).toEqual(['keys-unavailable'])
  })

  it('ends the stream at a stanza from outside the proved domain, or for a third', async () => {
    for (const [header, code] of [
      [{ from: parseAddress('eve@c.example') }, 'stanza-not-yours'],
      [{ to: [parseAddress('bob@a.example')] }, 'stanza-not-here'],
    ] as const) {
      const signer = importKey(generateKey('Ed25519', { random: createWorld(5).random }))
      const { world, bob, alice } = await scene({ b: { routes: [`a.example=ws://sim:4001,key=${signer.thumbprint}`] } })
      const { seen, initiator, apply } = await dial(world, { signer })
      expect(seen.ready).toBe(true)
      const now = world.clock.now()
      const id = 'urn:uuid:00000000-0000-4000-8000-000000000000' as never
      const stanza = {
        id,
        from: alice.address,
        device: alice.id,
        to: [bob.address],
        class: 'durable',
        sent: now,
        expiry: now + 1000,
        ...header,
      } as const
      apply(
        initiator.deliver(1, {
          header: packHeader(stanza),
          entry: packEntries([{ device: '*', octets: utf8('e') }]),
          body: utf8('b'),
        }),
      )
      await world.until(() => seen.closed !== undefined)
      expect(seen.codes).toEqual([code])
      expect(bob.texts).toEqual([])
    }
  })
})
