import { randomBytes, randomUUID } from 'node:crypto'
import { limits } from '@parley/core'
import { type Card, signCard } from '@parley/identity'
import { generateKey, importKey } from '@parley/jose'
import { systemRandom as random } from '@parley/platform/system'
import { s2sProtocol, streamCodes } from '@parley/stream'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { alice, bob, createStage, isReady, type Program, type Relay, type Stage } from './programs.ts'
import { dial, enter, frame, loginFor, makeDevice, type Wire } from './raw-device.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
let listener: Program
let pids: readonly number[]
beforeAll(async () => {
  stage = createStage()
  relays = await stage.relays()
  pids = [relays.a.program.pid, relays.b.program.pid]
  await stage.output('alice', ['init', alice, '--relay', relays.a.url])
  await stage.output('bob', ['init', bob, '--relay', relays.b.url])
  await stage.output('carol', ['init', 'carol@a.localhost', '--relay', relays.a.url])
  await stage.output('alice', ['send', 'carol@a.localhost', 'kept for carol'])
  listener = stage.parley('bob', ['listen', '--json', '--events'])
  await listener.next(isReady)
})
afterAll(() => stage.close())

// The relay goes on: a message passes both, on the connection that bob has had from the beginning.
let served = 0
afterEach(async () => {
  const text = `honest message ${served++}`
  await stage.output('alice', ['send', bob, text])
  expect((await listener.next(({ json }) => json.text !== undefined)).json.text).toBe(text)
  expect(listener.lines.filter(({ json }) => json.event === 'connection')).toHaveLength(listener.lines.filter(isReady).length + 1)
})

type Code = keyof typeof streamCodes

/** The relay says the code in an error frame and closes with it. */
async function expectEnd(wire: Wire, code: Code): Promise<void> {
  const { close, retryable } = streamCodes[code]
  const ended = await wire.closed
  expect({ ...ended, last: { ...ended.last, payload: '' } }).toEqual({
    code: close,
    reason: code,
    last: { t: 'error', code, retryable, payload: '' },
  })
}

describe('before login', () => {
  it('frames that are none are refused', async () => {
    for (const octets of [
      '',
      '\n',
      'noise',
      '{"t":"login"}',
      '{"t":"login"\n',
      '[]\n',
      'null\n',
      '{"t":"dance"}\n',
      '{"t":"login","jws":7}\n',
      '{"t":"login","jws":"a.b.c"}\n',
      '{"t":"login","t":"login","jws":"a"}\n',
      '{"t":"register","jws":"a.b.c"}\n',
      new Uint8Array([0xff, 0xfe, 0x0a]),
      randomBytes(1000),
    ]) {
      const wire = await dial(relays.a.url)
      await wire.next('challenge')
      wire.send(octets)
      await expectEnd(wire, 'frame-malformed')
    }
  })

  it('frames that do not belong here are refused', async () => {
    for (const header of [{ t: 'ping' }, { t: 'ack', epoch: 'x', h: 1 }]) {
      const wire = await dial(relays.a.url)
      wire.send(frame(header))
      await expectEnd(wire, 'frame-unexpected')
    }
  })

  it('frames above 4 KiB are refused unread', async () => {
    expect(limits.loginFrameBytesMax).toBe(4096)
    for (const [bytes, code] of [
      [4096, 'frame-malformed'],
      [4097, 'frame-too-large'],
      [100_000, 'frame-too-large'],
    ] as const) {
      const wire = await dial(relays.a.url)
      wire.send(frame({ t: 'dance' }).padEnd(bytes, 'x'))
      await expectEnd(wire, code)
    }
  })

  it('another subprotocol is refused in the handshake', async () => {
    await expect(dial(relays.a.url, 'parley.c2s.99')).rejects.toThrow('the relay answered 400')
    await expect(dial(relays.a.url, 'graphql-ws')).rejects.toThrow('the relay answered 400')
  })

  it('a connection that says nothing is ended', async () => {
    await expectEnd(await dial(relays.a.url), 'login-timeout')
  })
})

describe('a login', () => {
  const dave = makeDevice('dave@a.localhost')
  beforeAll(async () => (await enter(relays.a.url, dave, 'register')).close())

  it('with another key’s signature is refused, in the same words as one of nobody', async () => {
    const stranger = importKey(generateKey('Ed25519', { random }))
    const nobody = makeDevice('nobody@a.localhost')
    for (const [device, changes] of [
      [dave, { signer: stranger }],
      [nobody, {}],
      [nobody, { address: dave.address }],
      [dave, { address: alice }],
    ] as const) {
      const wire = await dial(relays.a.url)
      wire.send(frame({ t: 'login', jws: loginFor(await wire.next('challenge'), device, changes) }))
      await expectEnd(wire, 'login-refused')
    }
  })

  it('is good for one socket', async () => {
    const first = await dial(relays.a.url)
    const login = frame({ t: 'login', jws: loginFor(await first.next('challenge'), dave) })
    first.send(login)
    await first.next('welcome')
    for (const url of [relays.a.url, relays.b.url]) {
      const second = await dial(url)
      await second.next('challenge')
      second.send(login)
      await expectEnd(second, 'login-stale')
    }
    first.send(login)
    await expectEnd(first, 'frame-unexpected')
  })

  it('for another domain is refused', async () => {
    for (const changes of [{ domain: 'c.localhost' }, { address: 'dave@c.localhost' }, { address: bob }]) {
      const wire = await dial(relays.a.url)
      wire.send(frame({ t: 'login', jws: loginFor(await wire.next('challenge'), dave, changes) }))
      await expectEnd(wire, 'domain-unknown')
    }
  })

  it('cannot register a name that is taken, nor with another’s card', async () => {
    const thief = makeDevice(alice)
    const wire = await dial(relays.a.url)
    const jws = loginFor(await wire.next('challenge'), thief)
    wire.send(frame({ t: 'register', jws, card: thief.card.jws, statement: thief.statement }))
    await expectEnd(wire, 'address-taken')
    const other = await dial(relays.a.url)
    const erin = makeDevice('erin@a.localhost')
    const wrong = loginFor(await other.next('challenge'), erin)
    other.send(frame({ t: 'register', jws: wrong, card: dave.card.jws, statement: erin.statement }))
    await expectEnd(other, 'registration-refused')
  })
})

describe('a device that is logged in', () => {
  const frank = makeDevice('frank@a.localhost')
  const stanza = (changes: object = {}): object => ({
    t: 'stanza',
    c: 1,
    n: 1,
    id: `urn:uuid:${randomUUID()}`,
    from: frank.address,
    device: frank.id,
    to: [alice],
    class: 'durable',
    sent: Date.now(),
    expiry: Date.now() + 60_000,
    entries: [['*', 1]],
    ...changes,
  })
  beforeAll(async () => (await enter(relays.a.url, frank, 'register')).close())

  it.each<[string, Code, Uint8Array | string]>([
    ['is ended for a malformed frame', 'frame-malformed', 'noise'],
    ['is ended for a malformed stanza', 'frame-malformed', frame(stanza({ to: ['nobody'] }), 'xx')],
    ['is ended for entries beyond the payload', 'frame-malformed', frame(stanza({ entries: [['*', 99]] }), 'xx')],
    ['is ended for somebody else’s stanza', 'stanza-not-yours', frame(stanza({ from: alice }), 'xx')],
    ['is ended for a gap', 'stanza-gap', frame(stanza({ c: 3 }), 'xx')],
    ['is ended for acknowledging what never came', 'ack-beyond', ''],
  ])('%s', async (_, code, octets) => {
    const wire = await dial(relays.a.url)
    wire.send(frame({ t: 'login', jws: loginFor(await wire.next('challenge'), frank) }))
    const welcome = await wire.next('welcome')
    const { epoch } = JSON.parse(Buffer.from(String(welcome['jws']).split('.')[1] ?? '', 'base64url').toString()).body
    wire.send(code === 'ack-beyond' ? frame({ t: 'ack', epoch, h: 9 }) : octets)
    await expectEnd(wire, code)
  })

  it('is cut off for a frame above 1 MiB', async () => {
    const wire = await enter(relays.a.url, frank, 'login')
    wire.send(Buffer.concat([Buffer.from(frame(stanza())), Buffer.alloc(limits.frameBytesMax)]))
    // The socket itself refuses it (RFC 6455 §7.4.1), before a frame is there to answer.
    expect(await wire.closed).toMatchObject({ code: 1009, last: { t: 'welcome' } })
  })

  it('gets stanzas back that go nowhere', async () => {
    const wire = await enter(relays.a.url, frank, 'login')
    for (const [i, [changes, code]] of [
      [{ to: ['nobody@a.localhost'] }, 'recipient-unknown'],
      [{ to: ['somebody@c.localhost'] }, 'domain-unknown'],
      [{ to: [alice, bob] }, 'stanza-malformed'],
      [{ expiry: Date.now() - 1 }, 'expired'],
      [{ expiry: Date.now() + 100 * 86_400_000 }, 'expiry-too-late'],
    ].entries() as IterableIterator<[number, [object, string]]>) {
      wire.send(frame(stanza({ ...changes, c: i + 1, n: i + 1 }), 'xx'))
      expect((await wire.next('ack'))['bounced']).toMatchObject([{ code, retryable: false }])
    }
    wire.close()
  })

  it('cannot publish a card with a broken chain, a fork, or of somebody else', async () => {
    const wire = await enter(relays.a.url, frank, 'login')
    const { card, hash } = frank.card
    const sign = (changes: Partial<Card>): string =>
      signCard({ ...card, version: 2, prev: hash, ...changes }, { key: frank.account, now: Date.now() }).jws
    const ask = async (value: object, id: string): Promise<unknown> => {
      wire.send(frame({ t: 'request', id, what: 'publish-card' }, JSON.stringify(value)))
      const { ok, code, payload } = await wire.next('response')
      return ok === true ? JSON.parse(payload) : code
    }
    expect(await ask({ card: sign({ prev: 'A'.repeat(43) }) }, '1')).toBe('card-chain-broken')
    expect(await ask({ card: sign({ version: 3 }) }, '2')).toBe('card-chain-broken')
    expect(await ask({ card: sign({ devices: makeDevice(frank.address).card.card.devices }) }, '3')).toBe('card-chain-broken')
    expect(await ask({ card: makeDevice(alice).card.jws }, '4')).toBe('forbidden')
    expect(await ask({ card: 'noise' }, '5')).toBe('card-invalid')
    expect(await ask({}, '6')).toBe('request-malformed')
    const next = sign({ devices: [...card.devices, ...makeDevice(frank.address).card.card.devices] })
    const fork = sign({})
    expect(await ask({ card: fork }, '7')).toEqual({ version: 2 })
    expect(await ask({ card: next }, '8')).toBe('card-fork')
    expect(await ask({ card: frank.card.jws }, '9')).toBe('card-rollback')
    wire.close()
  })
})

describe('another relay', () => {
  it('is refused without proof', async () => {
    const device = makeDevice('dave@a.localhost')
    for (const [octets, code] of [
      ['noise', 'frame-malformed'],
      [frame({ t: 'ping' }), 'frame-unexpected'],
      [frame({ t: 's2s', jws: 'a.b.c', key: {} }), 'frame-malformed'],
    ] as const) {
      const wire = await dial(relays.a.url, s2sProtocol)
      await wire.next('challenge')
      wire.send(octets)
      await expectEnd(wire, code)
    }
    // A device's login proves no relay.
    const wire = await dial(relays.a.url, s2sProtocol)
    const jws = loginFor(await wire.next('challenge'), device)
    wire.send(frame({ t: 's2s', jws, key: { kty: 'OKP', crv: 'Ed25519', x: device.signer.publicJwk?.x } }))
    await expectEnd(wire, 'frame-malformed')
  })
})

it('nothing that was stored before is lost, and no process was replaced', async () => {
  expect(JSON.parse(await stage.output('carol', ['listen', '--json', '--count', '1']))).toMatchObject({
    text: 'kept for carol',
    attempt: 1,
  })
  expect([relays.a.program.pid, relays.b.program.pid]).toEqual(pids)
  const idle = Symbol('running')
  for (const { program } of [relays.a, relays.b]) expect(await Promise.race([program.ended, Promise.resolve(idle)])).toBe(idle)
})
