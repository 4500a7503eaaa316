/**
 * A device that holds its own end of the wire: it can log in as every device does, and send whatever octets a test wants.
 * @module
 */
import { type Address, type DeviceId, parseAddress, toDomain } from '@parley/core'
import { type ReadCard, signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, type Key, publicJwk, thumbprint } from '@parley/jose'
import { systemClock as clock, systemRandom as random } from '@parley/platform/system'
import { c2sProtocol, makeNonce, signLogin } from '@parley/stream'
import { WebSocket } from 'ws'
import { inTime } from './programs.ts'

export type Shown = { readonly t: string; readonly payload: string; readonly [member: string]: unknown }

/** A WebSocket to a relay. */
export type Wire = {
  /** The next frame of this kind: its header, and its payload as text. */
  next(t: string): Promise<Shown>
  send(frame: Uint8Array | string): void
  /** Sends, and resolves when the system has taken it, or to false when there is no connection: a relay that reads slowly makes this wait. */
  sent(frame: Uint8Array | string): Promise<boolean>
  /** How it was closed, and the last frame before that. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string; readonly last: Shown | undefined }>
  /** Reads no further. */
  pause(): void
  close(): void
}

export type RawDevice = {
  readonly address: Address
  readonly id: DeviceId
  readonly signer: Key
  readonly account: Key
  readonly card: ReadCard
  readonly statement: string
}

/** A frame: header, line feed, payload. */
export function frame(header: object, payload = ''): string {
  return `${JSON.stringify(header)}\n${payload}`
}

/** An account with one device, that no relay knows yet unless its signing key is given. */
export function makeDevice(text: string, signing: Jwk = generateKey('Ed25519', { random })): RawDevice {
  const address = parseAddress(text)
  const account = importKey(generateKey('Ed25519', { random }))
  // A thumbprint is what DeviceId stands for.
  const id = thumbprint(signing) as DeviceId
  const now = clock.now()
  const seconds = Math.floor(now / 1000)
  const card = signCard(
    {
      address,
      version: 1,
      prev: null,
      accountKey: account.publicJwk as Jwk,
      next: thumbprint(generateKey('Ed25519', { random })),
      devices: [{ id, signingKey: publicJwk(signing), added: seconds, admin: true }],
    },
    { key: account, now },
  )
  const signer = importKey(signing)
  const agreementKey = publicJwk(generateKey('X25519', { random }))
  const validity = { issued: seconds, expiry: seconds + 3600 }
  const statement = signStatement(
    { device: id, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  return { address, id, signer, account, card, statement }
}

/** Opens a WebSocket; fails with the HTTP status when the relay does not want it. */
export async function dial(url: string, subprotocol: string = c2sProtocol): Promise<Wire> {
  const socket = new WebSocket(url, [subprotocol], { perMessageDeflate: false })
  const frames: Shown[] = []
  let last: Shown | undefined
  let look = (): void => {}
  socket.on('message', (data) => {
    const [header = '', ...payload] = data.toString().split('\n')
    last = { ...JSON.parse(header), payload: payload.join('\n') } as Shown
    frames.push(last)
    look()
  })
  const closed = new Promise<Awaited<Wire['closed']>>((done) => {
    socket.once('close', (code, reason) => done({ code, reason: reason.toString(), last }))
  })
  const opened = new Promise<void>((done, failed) => {
    socket.once('open', done)
    socket.once('unexpected-response', (_, response) => failed(new Error(`the relay answered ${response.statusCode}`)))
    socket.on('error', failed)
  })
  await inTime(opened, () => 'no WebSocket')
  return {
    next(t) {
      const found = new Promise<Shown>((done) => {
        look = () => {
          const at = frames.findIndex((each) => each.t === t)
          if (at < 0) return
          // What comes before somebody asks again stays for them.
          look = () => {}
          done(frames.splice(0, at + 1)[at] as Shown)
        }
        look()
      })
      return inTime(found, () => `no ${t} frame; the last was ${JSON.stringify(last)}`)
    },
    send: (octets) => socket.send(typeof octets === 'string' ? Buffer.from(octets) : octets),
    sent: (octets) =>
      new Promise((done) => {
        socket.send(typeof octets === 'string' ? Buffer.from(octets) : octets, (error) =>
          done(error === undefined || error === null),
        )
      }),
    closed: inTime(closed, () => `not closed; the last frame was ${JSON.stringify(last)}`, 120_000),
    pause: () => socket.pause(),
    close: () => socket.close(),
  }
}

/** A signed login for the challenge, by default as it should be. */
export function loginFor(
  challenge: Shown,
  device: RawDevice,
  changes: { readonly signer?: Key; readonly address?: string; readonly domain?: string } = {},
): string {
  const address = parseAddress(changes.address ?? device.address)
  const domain = toDomain(changes.domain ?? String(challenge['domain']))
  if (domain === undefined) throw new TypeError('domain')
  return signLogin(
    {
      nonce: String(challenge['nonce']),
      ownNonce: makeNonce(random),
      domain,
      address,
      device: device.id,
      inc: 'AAAAAAAAAAA',
      position: undefined,
    },
    { signer: changes.signer ?? device.signer, now: clock.now(), lifetimeMs: 60_000 },
  )
}

/** Dials and registers, or logs in where the account is known. */
export async function enter(url: string, device: RawDevice, kind: 'register' | 'login'): Promise<Wire> {
  const wire = await dial(url)
  const jws = loginFor(await wire.next('challenge'), device)
  wire.send(frame({ t: kind, jws, ...(kind === 'register' ? { card: device.card.jws, statement: device.statement } : {}) }))
  await wire.next('welcome')
  return wire
}
