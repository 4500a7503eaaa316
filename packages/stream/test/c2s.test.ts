import { type Address, utf8 } from '@parley/core'
import type { Key } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import {
  type Admission,
  type C2sClient,
  type C2sClientOptions,
  type C2sEvent,
  type C2sServer,
  type C2sServerEvent,
  createC2sClient,
  createC2sServer,
  packEntries,
  packHeader,
  readFrame,
  type StreamLimits,
  signLogin,
  streamLimits,
  writeFrame,
} from '../src/index.ts'
import { alice, bob, deviceOf, domain, now, random, signingKey, stanza } from './parts.ts'

const relayKey = signingKey()
const deviceKey = signingKey()
const device = deviceOf(deviceKey)
const inc = 'AAAAAAAAAAA'
const epoch = 'BBBBBBBBBBB'

/** Both ends and the frames between them, in memory. */
function pair(
  options: { client?: Partial<C2sClientOptions>; admission?: Partial<Admission>; key?: Key; limits?: Partial<StreamLimits> } = {},
) {
  const signer = deviceKey
  const client = createC2sClient({
    address: alice,
    device,
    signer,
    inc,
    position: undefined,
    relayKey: undefined,
    random,
    ...options.client,
  })
  const server = createC2sServer({
    domain: domain('a.example'),
    signer: relayKey,
    random,
    limits: { ...streamLimits, ...options.limits },
  })
  const seen = { client: [] as C2sEvent[], server: [] as C2sServerEvent[] }
  const toServer = (out: ReturnType<C2sClient['receive']>): void => {
    seen.client.push(...out.events)
    for (const frame of out.frames) toClient(server.receive(frame))
  }
  const toClient = (out: ReturnType<C2sServer['open']>): void => {
    seen.server.push(...out.events)
    for (const frame of out.frames) toServer(client.receive(frame, now))
    for (const event of out.events) {
      if (event.kind !== 'login') continue
      if (!server.proves(options.key ?? deviceKey, now)) toClient(server.end('login-refused'))
      else
        toClient(
          server.admit(
            { key: deviceKey, account: 'known', epoch, position: 0, start: 0, cloned: false, ...options.admission },
            now,
          ),
        )
    }
  }
  return {
    client,
    server,
    seen,
    toServer,
    toClient,
    login: () => toClient(server.open(now)),
    codes: () => ({
      client: seen.client.flatMap((event) => (event.kind === 'fatal' ? [event.code] : [])),
      server: seen.server.flatMap((event) => (event.kind === 'fatal' ? [event.code] : [])),
    }),
  }
}

function ready(options: Parameters<typeof pair>[0] = {}) {
  const made = pair(options)
  made.login()
  expect([made.client.state, made.server.state]).toEqual(['ready', 'ready'])
  return made
}

const stored = (text: string) => {
  const { entries, body, ...header } = stanza(text)
  return { header: packHeader({ ...header, from: bob, device }), entry: packEntries(entries), body }
}

describe('login', () => {
  it('ends with both ends ready, and the relay key to pin', () => {
    const { seen } = ready({ admission: { position: 3, start: 4, cloned: true } })
    expect(seen.client).toMatchObject([
      {
        kind: 'ready',
        relayKey: relayKey.thumbprint,
        welcome: { epoch, position: 3, start: 4, cloned: true, account: 'known', time: now },
      },
    ])
    expect(seen.server).toMatchObject([{ kind: 'login', login: { address: alice, device, inc, position: undefined } }])
  })

  it('tells the relay how far the mailbox was handled', () => {
    const { seen } = ready({ client: { position: { epoch, n: 17 } } })
    expect(seen.server).toMatchObject([{ login: { position: { epoch, n: 17 } } }])
  })

  it('carries the first card and statement of a new account', () => {
    const { seen } = ready({ client: { register: { card: 'c', statement: 's' } } })
    expect(seen.server).toMatchObject([{ registration: { card: 'c', statement: 's' } }])
  })

  it('works for a device whose clock is a year ahead', () => {
    const { server, client, toServer } = pair()
    const year = 365 * 86_400_000
    const [challenge] = server.open(now).frames
    const [login] = client.receive(challenge ?? new Uint8Array(0), now + year).frames
    expect(server.receive(login ?? new Uint8Array(0)).events).toMatchObject([{ kind: 'login' }])
    expect(server.proves(deviceKey, now)).toBe(true)
    const [welcome] = server.admit({ key: deviceKey, account: 'known', epoch, position: 0, start: 0, cloned: false }, now).frames
    toServer(client.receive(welcome ?? new Uint8Array(0), now + year))
    expect(client.state).toBe('ready')
  })

  it('is refused when another key signed', () => {
    const { login, codes } = pair({ client: { signer: signingKey() } })
    login()
    expect(codes()).toEqual({ client: ['login-refused'], server: ['login-refused'] })
  })

  it('is refused when it is replayed on another socket', () => {
    const first = pair()
    const [challenge] = first.server.open(now).frames
    const [login] = first.client.receive(challenge ?? new Uint8Array(0), now).frames
    const second = pair()
    second.server.open(now)
    expect(second.server.receive(login ?? new Uint8Array(0)).events).toMatchObject([
      { kind: 'fatal', code: 'login-stale', close: 4005 },
    ])
  })

  it.each([
    ['ten minutes ahead', { now: now + 600_000 }],
    ['ten minutes ago', { now: now - 600_000 }],
    ['for another domain', { domain: domain('b.example') }],
    ['good for a year', { lifetimeMs: 365 * 86_400_000 }],
  ])('proves nothing when it was made %s', (_, change) => {
    const { server } = pair()
    const challenge = readFrame(server.open(now).frames[0] ?? new Uint8Array(0))
    const nonce = challenge.ok && challenge.frame.t === 'challenge' ? challenge.frame.nonce : ''
    const ownNonce = 'AAAAAAAAAAAAAAAAAAAAAA'
    const claims = { nonce, ownNonce, domain: domain('a.example'), address: alice, device, inc, position: undefined, ...change }
    const jws = signLogin(claims, { signer: deviceKey, now, lifetimeMs: 60_000, ...change })
    const events = server.receive(writeFrame({ t: 'login', jws })).events
    const isFatal = events.some((event) => event.kind === 'fatal' && event.code === 'domain-unknown')
    expect(isFatal || !server.proves(deviceKey, now)).toBe(true)
  })

  it('does not answer the challenge of another domain', () => {
    const { client } = pair()
    const out = client.receive(
      writeFrame({ t: 'challenge', nonce: 'AAAAAAAAAAAAAAAAAAAAAA', domain: 'evil.example', time: now }),
      now,
    )
    expect(out.events).toMatchObject([{ kind: 'fatal', code: 'domain-unknown', by: 'here' }])
    expect(out.frames.map((frame) => readFrame(frame))).toMatchObject([{ frame: { t: 'error' } }])
  })

  it('stops a device that has pinned another relay key', () => {
    const { login, codes } = pair({ client: { relayKey: deviceOf(signingKey()) } })
    login()
    expect(codes().client).toEqual(['relay-key-changed'])
  })

  it('stops a device whose relay does not know the nonces', () => {
    const other = ready()
    const { client, server } = pair()
    client.receive(server.open(now).frames[0] ?? new Uint8Array(0), now)
    const replayed = pair()
    const [challenge] = replayed.server.open(now).frames
    const [login] = replayed.client.receive(challenge ?? new Uint8Array(0), now).frames
    replayed.server.receive(login ?? new Uint8Array(0))
    const [welcome] = replayed.server.admit(
      { key: deviceKey, account: 'known', epoch, position: 0, start: 0, cloned: false },
      now,
    ).frames
    expect(client.receive(welcome ?? new Uint8Array(0), now).events).toMatchObject([{ kind: 'fatal', code: 'proof-refused' }])
    expect(other.client.state).toBe('ready')
  })

  it('takes one small frame and nothing else before it', () => {
    const frames: readonly [Uint8Array, string][] = [
      [new Uint8Array(4097), 'frame-too-large'],
      [utf8('no frame'), 'frame-malformed'],
      [writeFrame({ t: 'ping' }), 'frame-unexpected'],
      [writeFrame({ t: 'login', jws: 'x' }), 'frame-malformed'],
    ]
    for (const [frame, code] of frames) {
      const { server } = pair()
      server.open(now)
      expect(server.receive(frame).events).toMatchObject([{ kind: 'fatal', code }])
      expect(server.receive(frame)).toEqual({ frames: [], events: [] })
    }
  })

  it('takes no second frame while the first one is being decided', () => {
    const { client, server } = pair()
    const [login] = client.receive(server.open(now).frames[0] ?? new Uint8Array(0), now).frames
    server.receive(login ?? new Uint8Array(0))
    expect(server.receive(login ?? new Uint8Array(0)).events).toMatchObject([{ kind: 'fatal', code: 'frame-unexpected' }])
  })
})

describe('a stream after login', () => {
  it('carries stanzas up, and their ends down, in order', () => {
    const { client, server, seen, toServer, toClient } = ready()
    const [one, two, three] = [stanza('one'), stanza('two', { to: [bob, 'carol@b.example' as Address] }), stanza('three')]
    for (const each of [one, two, three]) toServer(client.send(each))
    expect(seen.server.flatMap((event) => (event.kind === 'stanza' ? [event.n] : []))).toEqual([1, 2, 3])
    server.settle(3, { bounced: [{ id: three.id, code: 'mailbox-full', retryable: true }] })
    server.settle(1, { cards: { [bob]: 2 } })
    toClient(server.flush())
    expect(client.unsettled).toEqual([two.id, three.id])
    server.settle(2, {
      cards: { [bob]: 2 },
      bounced: [{ id: two.id, to: ['carol@b.example' as Address], code: 'recipient-unknown', retryable: false }],
    })
    toClient(server.flush())
    expect(seen.client.slice(1)).toEqual([
      { kind: 'accepted', id: one.id, to: [bob], cards: { [bob]: 2 } },
      { kind: 'acked', h: 1 },
      {
        kind: 'bounced',
        id: two.id,
        to: ['carol@b.example'],
        code: 'recipient-unknown',
        retryable: false,
        n: undefined,
        jws: undefined,
      },
      { kind: 'accepted', id: two.id, to: [bob], cards: { [bob]: 2 } },
      { kind: 'bounced', id: three.id, to: undefined, code: 'mailbox-full', retryable: true, n: undefined, jws: undefined },
      { kind: 'acked', h: 3 },
    ])
    expect(client.unsettled).toEqual([])
  })

  it('holds stanzas back before login and beyond the window, and lets them go in order', () => {
    const made = pair({ limits: { windowStanzas: 2 } })
    const all = ['a', 'b', 'c', 'd'].map((text) => stanza(text))
    for (const each of all) made.toServer(made.client.send(each))
    expect(made.client.writable).toBe(false)
    made.login()
    const arrived = () => made.seen.server.flatMap((event) => (event.kind === 'stanza' ? [event.stanza.header.id] : []))
    expect(arrived()).toEqual(all.slice(0, 2).map(({ id }) => id))
    made.server.settle(1, {})
    made.server.settle(2, {})
    made.toClient(made.server.flush())
    expect(arrived()).toEqual(all.map(({ id }) => id))
    made.server.settle(3, {})
    made.toClient(made.server.flush())
    expect(made.seen.client.at(-1)).toEqual({ kind: 'writable' })
  })

  it('delivers the mailbox from where the device was, and reports what it handled', () => {
    const { client, server, seen, toServer, toClient } = ready({ admission: { start: 10 } })
    toClient(server.deliver(12, stored('one')))
    toClient(server.deliver(15, stored('two')))
    expect(seen.client.slice(1)).toMatchObject([
      { kind: 'stanza', stanza: { n: 12, from: bob, entry: utf8('entry'), body: utf8('one') } },
      { kind: 'stanza', stanza: { n: 15, body: utf8('two') } },
    ])
    toServer(client.handled(12))
    toServer(client.handled(12))
    toServer(client.handled(15))
    expect(seen.server.slice(1)).toEqual([
      { kind: 'acked', h: 12 },
      { kind: 'acked', h: 15 },
    ])
  })

  it('carries ephemeral stanzas both ways without a position', () => {
    const { client, server, seen, toServer, toClient } = ready()
    toServer(client.send(stanza('typing', { class: 'ephemeral' })))
    expect(seen.server.at(-1)).toMatchObject({ kind: 'stanza', n: undefined })
    const { entries, body, ...header } = stanza('typing', { class: 'ephemeral' })
    toClient(server.deliverEphemeral({ header: packHeader({ ...header, from: bob, device }), entry: packEntries(entries), body }))
    expect(seen.client.at(-1)).toMatchObject({ kind: 'stanza', stanza: { n: undefined, class: 'ephemeral' } })
  })

  it('gives a device its own entry before the one for all', () => {
    const { server, seen, toClient } = ready()
    const { body, entries: _, ...header } = stanza('one')
    const entries = [
      { device: '*' as const, octets: utf8('all') },
      { device, octets: utf8('mine') },
    ]
    toClient(server.deliver(1, { header: packHeader({ ...header, from: bob, device }), entry: packEntries(entries), body }))
    expect(seen.client.at(-1)).toMatchObject({ stanza: { entry: utf8('mine') } })
  })

  it('delivers a signed bounce out of the mailbox, to be handled like a stanza', () => {
    const { client, server, seen, toServer, toClient } = ready()
    const bounce = { id: stanza('x').id, to: [bob], code: 'undeliverable', retryable: false }
    toClient(server.deliverBounce(5, bounce, now))
    expect(seen.client.at(-1)).toMatchObject({ kind: 'bounced', ...bounce, n: 5, jws: expect.stringMatching(/^\S+\.\S+\.\S+$/) })
    toServer(client.handled(5))
    expect(seen.server.at(-1)).toEqual({ kind: 'acked', h: 5 })
  })

  it('does not believe a bounce that the relay has not signed as it stands', () => {
    const { client, server } = ready()
    const [frame] = server.deliverBounce(5, { id: stanza('x').id, code: 'undeliverable', retryable: false }, now).frames
    const read = readFrame(frame ?? new Uint8Array(0))
    if (!read.ok || read.frame.t !== 'bounced') throw new Error('no bounce')
    expect(client.receive(writeFrame({ ...read.frame, code: 'expired' }), now).events).toMatchObject([
      { kind: 'fatal', code: 'proof-refused' },
    ])
  })

  it('asks and answers', () => {
    const { client, server, seen, toServer, toClient } = ready()
    const { id, ...out } = client.request('cards', { address: bob, since: 0 })
    toServer({ ...out })
    expect(seen.server.at(-1)).toEqual({ kind: 'request', id, what: 'cards', value: { address: bob, since: 0 } })
    toClient(server.respond(id, { ok: false, code: 'item-not-found' }))
    expect(seen.client.at(-1)).toEqual({ kind: 'response', id, ok: false, code: 'item-not-found', retryable: false })
    toClient(server.respond(id, { ok: true, value: {} }))
    expect(seen.client.at(-1)).toMatchObject({ ok: false })
  })

  it('answers more requests than the limit with a code, and goes on', () => {
    const { client, seen, toServer } = ready({ limits: { requestsMax: 1 } })
    for (let i = 0; i < 2; i++) toServer(client.request('cards', {}))
    expect(seen.server.at(-1)).toEqual({ kind: 'limited', limit: 'requestsMax' })
    expect(seen.client.at(-1)).toMatchObject({
      kind: 'response',
      ok: false,
      code: 'too-many-requests',
      retryable: true,
      wait: 1000,
    })
  })

  it('answers a ping', () => {
    const { client, seen, toServer } = ready()
    toServer(client.ping())
    expect(seen.client.at(-1)).toEqual({ kind: 'pong' })
  })

  it('ends with a code at what the other may not send, and says nothing after', () => {
    const place = { c: 1, n: 1 }
    const { entries, body, ...rest } = stanza('x')
    const frame = { t: 'stanza', place, header: { ...rest, from: alice, device }, entries, body } as const
    const cases: readonly [Uint8Array, string][] = [
      [writeFrame({ ...frame, header: { ...frame.header, from: bob } }), 'stanza-not-yours'],
      [writeFrame({ ...frame, header: { ...frame.header, device: deviceOf(signingKey()) } }), 'stanza-not-yours'],
      [writeFrame({ ...frame, place: { c: 2, n: 2 } }), 'stanza-gap'],
      [writeFrame({ t: 'ack', epoch, h: 1 }), 'ack-beyond'],
      [writeFrame({ t: 'login', jws: 'x' }), 'frame-unexpected'],
      [utf8('{'), 'frame-malformed'],
      [new Uint8Array(1024 * 1024 + 1), 'frame-too-large'],
    ]
    for (const [bytes, code] of cases) {
      const { server, codes, toClient } = ready()
      toClient(server.receive(bytes))
      expect(codes()).toEqual({ server: [code], client: [code] })
      expect(server.receive(bytes)).toEqual({ frames: [], events: [] })
    }
  })

  it('ends for a device that sends beyond its window', () => {
    const { server, toClient, codes } = ready({ limits: { windowStanzas: 2 } })
    for (let n = 1; n <= 3; n++) {
      const { entries, body, ...rest } = stanza('x')
      toClient(
        server.receive(writeFrame({ t: 'stanza', place: { c: n, n }, header: { ...rest, from: alice, device }, entries, body })),
      )
    }
    expect(codes().server).toEqual(['window-exceeded'])
  })

  it('ends for a device that misses a frame of its mailbox', () => {
    const { client, server, codes, toClient, toServer } = ready()
    server.deliver(1, stored('lost'))
    toClient(server.deliver(2, stored('next')))
    toServer(client.handled(2))
    expect(codes()).toEqual({ client: ['stanza-gap'], server: ['stanza-gap'] })
  })

  it('hands over a stanza once that the hop repeated', () => {
    const { client, server, seen } = ready()
    const [frame] = server.deliver(1, stored('twice')).frames
    for (let i = 0; i < 2; i++) seen.client.push(...client.receive(frame ?? new Uint8Array(0), now).events)
    expect(seen.client.filter((event) => event.kind === 'stanza')).toHaveLength(1)
  })
})
