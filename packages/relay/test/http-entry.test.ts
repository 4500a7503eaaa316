import { type HttpRequest, type HttpResponse, parseAddress, type StanzaId, toDomain, utf8, uuidUrnFrom } from '@parley/core'
import { type OutgoingStanza, packPost, postPath } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { type Account, createWorld, idOf, type RelayTestOptions } from './network.ts'

const bDomain = toDomain('b.example')
if (bDomain === undefined) throw new Error('a domain')

async function scene(options: RelayTestOptions = {}) {
  const world = createWorld()
  const a = await world.relay('a.example', { port: 6001, routes: ['b.example=ws://sim:6002'] })
  const b = await world.relay('b.example', { port: 6002, routes: ['a.example=ws://sim:6001'], ...options })
  const alice = world.account('alice@a.example')
  const bob = world.account('bob@b.example')
  const aliceDevice = world.device(alice, { relay: a })
  const bobDevice = world.device(bob, { relay: b })
  await aliceDevice.online({ register: true })
  await bobDevice.online({ register: true })

  const stanza = (to: string, more: Partial<OutgoingStanza> = {}): OutgoingStanza => ({
    id: uuidUrnFrom(world.random.bytes(16)) as StanzaId,
    to: [parseAddress(to)],
    class: 'durable',
    sent: world.clock.now(),
    expiry: world.clock.now() + 3_600_000,
    entries: [{ device: '*', octets: utf8('entry') }],
    body: utf8('by post'),
    ...more,
  })
  const packed = (from: Account, what: OutgoingStanza, more: Partial<Parameters<typeof packPost>[1]> = {}): Uint8Array => {
    const [key] = from.keys
    if (key === undefined) throw new Error('a key')
    return packPost(what, {
      from: from.address,
      device: idOf(key),
      signer: key,
      domain: bDomain as never,
      now: world.clock.now(),
      ...more,
    })
  }
  const ask = async (request: Partial<HttpRequest>) => {
    let response: HttpResponse | undefined
    b.http({ method: 'POST', path: postPath, body: new Uint8Array(0), peer: 'somebody', ...request }).then((given) => {
      response = given
    })
    await world.until(() => response !== undefined)
    const { status, headers, body } = response as HttpResponse
    const text = new TextDecoder().decode(body)
    return { status, headers, value: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>) }
  }
  return { world, a, b, alice, bob, bobDevice, aliceDevice, stanza, packed, ask }
}

describe('a stanza by post', () => {
  it('from an account of another domain arrives, and the answer says so', async () => {
    const { world, alice, bobDevice, stanza, packed, ask } = await scene()
    expect(await ask({ body: packed(alice, stanza('bob@b.example')) })).toMatchObject({
      status: 200,
      value: { accepted: ['bob@b.example'], cards: { 'bob@b.example': 1 }, bounced: [] },
    })
    await world.until(() => bobDevice.texts.includes('by post'))
  })

  it('from an own account goes to other domains too', async () => {
    const { world, bob, aliceDevice, stanza, packed, ask } = await scene()
    expect(await ask({ body: packed(bob, stanza('alice@a.example')) })).toMatchObject({ status: 200 })
    await world.until(() => aliceDevice.texts.includes('by post'))
  })

  it('is durable when it is answered for', async () => {
    const { world, b, alice, bobDevice, stanza, packed, ask } = await scene()
    bobDevice.drop()
    await world.pass(100)
    await ask({ body: packed(alice, stanza('bob@b.example')) })
    b.kill()
    await b.start()
    await bobDevice.online()
    await world.until(() => bobDevice.texts.includes('by post'))
  })

  it('names those that it does not reach', async () => {
    const { alice, stanza, packed, ask } = await scene()
    const to = [parseAddress('bob@b.example'), parseAddress('ghost@b.example')]
    expect(await ask({ body: packed(alice, stanza('bob@b.example', { to })) })).toMatchObject({
      value: { accepted: ['bob@b.example'], bounced: [{ to: ['ghost@b.example'], code: 'recipient-unknown', retryable: false }] },
    })
  })

  it('is refused to everybody but the device that signed just this, for just this relay, just now', async () => {
    const { world, a, alice, bob, bobDevice, stanza, packed, ask } = await scene()
    const good = packed(alice, stanza('bob@b.example'))
    const changed = good.slice()
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    const [bobKey] = bob.keys
    const aDomain = a.domain
    const stranger = world.account('stranger@a.example')
    const wrong = [
      changed,
      packed(alice, stanza('bob@b.example'), { signer: bobKey as never }),
      packed(alice, stanza('bob@b.example'), { domain: aDomain }),
      packed(alice, stanza('bob@b.example'), { now: world.clock.now() - 600_000 }),
      packed(alice, stanza('bob@b.example'), { now: world.clock.now() + 600_000 }),
      packed(stranger, stanza('bob@b.example')),
      packed(world.account('nobody@c.example'), stanza('bob@b.example')),
      // It came from another domain, so it does not leave for a third.
      packed(alice, stanza('alice@a.example')),
    ]
    for (const body of wrong) expect(await ask({ body })).toMatchObject({ status: 403, value: { code: 'forbidden' } })
    expect(bobDevice.texts).toEqual([])
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['no frame', utf8('hello')],
    ['a frame without a stanza', utf8('{"t":"post","jws":"x"}\n')],
    ['another frame', utf8('{"t":"ping"}\n')],
  ])('is refused when it is %s', async (_, body) => {
    const { ask } = await scene()
    expect(await ask({ body })).toMatchObject({ status: 400, value: { code: 'frame-malformed' } })
  })

  it('is never ephemeral, never too large, never too often, and never by another method', async () => {
    const { alice, stanza, packed, ask } = await scene({ limits: { requestsPerPeerPerSecond: 2 } })
    const ephemeral = packed(alice, stanza('bob@b.example', { class: 'ephemeral' }))
    expect(await ask({ body: ephemeral, peer: 'one' })).toMatchObject({ status: 400 })
    expect(await ask({ body: new Uint8Array(2 ** 20 + 1), peer: 'two' })).toMatchObject({ status: 413 })
    expect(await ask({ method: 'PUT', peer: 'three' })).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    for (let i = 0; i < 4; i++) expect((await ask({ peer: 'four' })).status).toBe(400)
    expect(await ask({ peer: 'four' })).toMatchObject({
      status: 429,
      headers: { 'retry-after': expect.stringMatching(/^\d+$/) },
      value: { code: 'rate-limited', wait: expect.any(Number) },
    })
  })
})

describe('the public card', () => {
  const path = '/.well-known/parley/card/bob'

  it('is answered where the operator allows it', async () => {
    const { bob, ask } = await scene({ publicCards: true })
    expect(await ask({ method: 'GET', path })).toMatchObject({ status: 200, value: { card: bob.cards[0]?.jws, version: 1 } })
    for (const name of ['ghost', '', '..%2f', 'bob@a.example', 'x'.repeat(500)])
      expect(await ask({ method: 'GET', path: `/.well-known/parley/card/${name}`, peer: name })).toMatchObject({ status: 404 })
    expect(await ask({ method: 'POST', path, peer: 'other' })).toMatchObject({ status: 405 })
  })

  it('is nowhere by default, so that nobody can try names', async () => {
    const { ask } = await scene()
    expect(await ask({ method: 'GET', path })).toMatchObject({ status: 404, value: { code: 'item-not-found' } })
  })
})
