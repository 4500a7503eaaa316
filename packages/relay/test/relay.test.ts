import { fromUtf8, utf8 } from '@parley/core'
import { readDomainKeys } from '@parley/identity'
import { thumbprint } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { createRelay, parseRoute } from '../src/index.ts'
import { keysUrl } from '../src/routes.ts'
import { createWorld, type TestRelay, type World } from './network.ts'

const ask = { bytesMax: 10_000, timeoutMs: 1000, allowAddress: () => true }

async function get(world: World, relay: TestRelay, path: string) {
  let response: { status: number; body: Uint8Array } | undefined
  world.network
    .transport('reader')
    .request(`http://sim:${relay.port}${path}`, ask)
    .then((answered) => {
      response = answered
    })
  await world.until(() => response !== undefined)
  return response as unknown as { status: number; body: Uint8Array }
}

describe('a relay', () => {
  it('publishes its key, and keeps it over restarts', async () => {
    const world = createWorld()
    const relay = await world.relay('a.example')
    const { key } = relay.relay
    const response = await get(world, relay, '/.well-known/parley')
    const read = readDomainKeys(response.body)
    expect(read.ok && read.domain === 'a.example' && read.keys.map(thumbprint)).toEqual([key])
    expect((await get(world, relay, '/other')).status).toBe(404)
    relay.kill()
    await relay.start()
    expect(relay.relay.key).toBe(key)
  })

  it.each([
    ['ERR_RELAY_STORE_NEWER', 'relay/meta', '{"schema":2,"domain":"a.example"}'],
    ['ERR_RELAY_DOMAIN_MISMATCH', 'relay/meta', '{"schema":1,"domain":"b.example"}'],
    ['ERR_RELAY_STORE_CORRUPT', 'relay/meta', '?'],
    ['ERR_RELAY_STORE_CORRUPT', 'relay/key', '{"kty":"OKP"}'],
    ['ERR_MAILBOX_STORE_NEWER', 'mailbox/meta', '{"schema":3}'],
    ['ERR_MAILBOX_STORE_CORRUPT', 'mailbox/meta', '{'],
  ])('does not start with %s, and leaves the store as it was', async (code, key, value) => {
    const world = createWorld()
    const relay = await world.relay('a.example')
    relay.kill()
    const store = relay.disk.open()
    await store.batch([{ type: 'put', key, value: utf8(value) }], { durable: true })
    const before = relay.disk.snapshot()
    const { clock, random, network } = world
    const starting = createRelay({
      domain: relay.domain,
      store,
      transport: network.transport('a.example'),
      clock,
      random,
      port: 5,
    })
    await expect(starting).rejects.toMatchObject({ code })
    expect(relay.disk.snapshot()).toEqual(before)
  })

  it('shows the wire to its observer: addresses in clear, content not its own', async () => {
    const world = createWorld()
    const seen: string[] = []
    const relay = await world.relay('a.example', {
      onWire: (direction, frame, peer) =>
        seen.push(`${direction} ${peer.kind} ${peer.name} ${(fromUtf8(frame) ?? '').split('\n')[0]}`),
    })
    const alice = world.device(world.account('alice@a.example'), { relay })
    await alice.online({ register: true })
    expect(seen[0]).toMatch(/^out device {2}\{"t":"challenge"/)
    expect(seen[1]).toMatch(/^in device {2}\{"t":"register"/)
    expect(seen[2]).toMatch(new RegExp(`^out device alice@a.example/${alice.id} \\{"t":"welcome"`))
  })

  it('names one connection’s trouble on the wire only, and keeps serving the others when a stored entry is damaged', async () => {
    const world = createWorld()
    const relay = await world.relay('a.example')
    const [alice, bob] = ['alice', 'bob'].map((name) => world.device(world.account(`${name}@a.example`), { relay }))
    if (alice === undefined || bob === undefined) throw new Error('two devices')
    await alice.online({ register: true })
    await bob.online({ register: true })
    bob.drop()
    await world.pass(100)
    alice.send(bob.address, 'x')
    await world.until(() => alice.client.unsettled.length === 0)
    relay.kill()
    const damaged = new Map(relay.disk.snapshot())
    for (const [key] of damaged) if (key.startsWith('mailbox/entry/')) damaged.set(key, utf8('?'))
    relay.disk.restore(damaged)
    await relay.start()
    bob.connect()
    await world.until(() => bob.fatal !== undefined)
    expect(bob.fatal).toBe('internal')
    await alice.online()
    const id = alice.send(alice.address, 'fine')
    await world.until(() => alice.ended(id) !== undefined)
    expect(alice.ended(id)?.kind).toBe('accepted')
  })
})

describe('a route', () => {
  it('is read from one line, with or without a key', () => {
    const key = 'A'.repeat(43)
    expect(parseRoute('b.localhost=ws://127.0.0.1:4000')).toEqual({ domain: 'b.localhost', url: 'ws://127.0.0.1:4000' })
    expect(parseRoute(`b.example=wss://relay.b.example/,key=${key}`)).toEqual({
      domain: 'b.example',
      url: 'wss://relay.b.example',
      key,
    })
  })

  it.each([
    '',
    'b.example',
    'b.example=',
    'b.example=http://x',
    '=ws://x',
    'B_=ws://x',
    'b.example=ws://x,key=short',
    'b.example=ws://x y',
  ])('is not %j', (text) => {
    expect(() => parseRoute(text)).toThrow(expect.objectContaining({ code: 'ERR_RELAY_ROUTE_MALFORMED' }))
  })

  it('leads to the keys on its own host and port', () => {
    expect(keysUrl(parseRoute('b.example=ws://127.0.0.1:4000'))).toBe('http://127.0.0.1:4000/.well-known/parley')
    expect(keysUrl(parseRoute('b.example=wss://relay.b.example/path'))).toBe('https://relay.b.example/.well-known/parley')
  })
})
