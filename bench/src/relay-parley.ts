/**
 * The relay, as operators run it, and devices that speak its stream protocol: signed logins, counted stanzas, cumulative
 * acknowledgements. A device acknowledges at once and keeps nothing.
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Address, type DeviceId, parseAddress } from '@parley/core'
import { signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { type C2sClientOptions, c2sProtocol, createC2sClient } from '@parley/stream'
import { createDevice, type Device } from './relay-device.ts'
import { type Client, dialWebSocket, type Listener, type Service, startNode } from './relay-service.ts'
import { random } from './work.ts'

const bin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))
// What a recipient's entry takes under a session key.
const entry = random.bytes(110)

type Account = Omit<C2sClientOptions, 'random' | 'position' | 'relayKey' | 'register'> & {
  readonly register: NonNullable<C2sClientOptions['register']>
  /** How far it acknowledged, once it was there. */
  position?: C2sClientOptions['position']
}

/** All load comes from one network address, and more of it from each account than the defaults allow. */
const limits = {
  connectionsMax: 30_000,
  connectionsPerPeerMax: 30_000,
  connectionsPerPeerPerMinute: 1_000_000,
  framesPerSecond: 1_000_000,
  bytesPerSecond: 10_000_000_000,
  stanzasPerAccountPerSecond: 1_000_000,
  bytesPerAccountPerSecond: 10_000_000_000,
  registrationsPerPeerPerHour: 100_000_000,
}

/** What the unit for systemd and the container start it with. */
const asDeployed = { NODE_OPTIONS: '--max-semi-space-size=24' }

export type ParleyOptions = {
  /** Has everything written, also what is acknowledged at once. */
  readonly storesAll?: boolean
  readonly domain?: string
  readonly port?: number
  /** Where another relay is; its accounts are written to instead of the own ones. */
  readonly other?: { readonly domain: string; readonly port: number }
}

/** Starts a relay that keeps everything in `folder`. */
export async function startParley(folder: string, options: ParleyOptions = {}): Promise<Service> {
  const { storesAll = false, domain = 'a.localhost', other } = options
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'config.json')
  const settings = {
    domain,
    port: options.port ?? 0,
    data: join(folder, 'data'),
    logLevel: 'info',
    registration: 'open',
    limits: storesAll ? { ...limits, mailbox: { skipHoldMs: 0 } } : limits,
    routes: other === undefined ? [] : [`${other.domain}=ws://127.0.0.1:${other.port}`],
  }
  writeFileSync(config, JSON.stringify(settings))
  const { port, stderr, ...server } = await startNode([bin, '--config', config], asDeployed)
  const accounts = new Map<number, Account>()
  return {
    ...server,
    name: storesAll ? 'parley-relay, all stored' : 'parley-relay',
    stores: true,
    port,
    totals: () => totalsIn(stderr()),
    connect(id, listener) {
      const known = accounts.get(id)
      const account = known ?? makeAccount(id, domain)
      accounts.set(id, account)
      const to = other?.domain ?? domain
      return connect(`ws://127.0.0.1:${port}`, { account, isNew: known === undefined, listener, to })
    },
  }
}

/** The sums that the relay logs when it has drained. */
function totalsIn(log: string): Readonly<Record<string, number>> {
  for (const line of log.split('\n').reverse()) {
    if (!line.includes('"totals"')) continue
    return (JSON.parse(line) as { totals: Record<string, number> }).totals
  }
  return {}
}

function makeAccount(id: number, domain: string): Account {
  const address = parseAddress(`user${id}@${domain}`)
  const account = importKey(generateKey('Ed25519', { random }))
  const signing = generateKey('Ed25519', { random })
  // A thumbprint is what DeviceId stands for.
  const device = thumbprint(signing) as DeviceId
  const now = Date.now()
  const seconds = Math.floor(now / 1000)
  const card = signCard(
    {
      address,
      version: 1,
      prev: null,
      accountKey: account.publicJwk as Jwk,
      next: device,
      devices: [{ id: device, signingKey: publicJwk(signing), added: seconds, admin: true }],
    },
    { key: account, now },
  )
  const signer = importKey(signing)
  const agreementKey = publicJwk(generateKey('X25519', { random }))
  const validity = { issued: seconds, expiry: seconds + 86_400 }
  const statement = signStatement(
    { device, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  return { address, device, signer, inc: 'AAAAAAAAAAA', register: { card: card.jws, statement } }
}

function connect(
  url: string,
  options: { readonly account: Account; readonly isNew: boolean; readonly listener: Listener; readonly to: string },
): Promise<Client> {
  const { account, isNew, listener } = options
  const { register, position, ...own } = account
  const addresses = new Map<number, Address>()
  const addressOf = (id: number): Address => {
    const known = addresses.get(id) ?? parseAddress(`user${id}@${options.to}`)
    addresses.set(id, known)
    return known
  }
  const stream = createC2sClient({ ...own, position, relayKey: undefined, random, ...(isNew ? { register } : {}) })
  const socket = dialWebSocket(url, c2sProtocol)
  const closed = new Promise<void>((done) => socket.once('close', () => done()))
  return new Promise((resolve, reject) => {
    let device: Device | undefined
    const close = async (): Promise<void> => {
      account.position = device?.position
      socket.close()
      await closed
    }
    socket.once('error', reject)
    socket.on('message', (frame: Buffer) => {
      if (device !== undefined) return device.take(frame)
      const { frames, events } = stream.receive(frame, Date.now())
      for (const each of frames) socket.send(each)
      for (const event of events) {
        if (event.kind !== 'ready') return reject(new Error(JSON.stringify(event)))
        const made = createDevice({ socket, own, welcome: event.welcome, listener, entry })
        device = made
        resolve({ send: (to, body) => made.send(addressOf(to), body), close })
      }
    })
  })
}
