import {
  type Address,
  type Connection,
  type DeviceId,
  type Domain,
  type HttpRequest,
  type HttpResponse,
  parseAddress,
  type StanzaId,
  type Telemetry,
  toDomain,
  utf8,
  uuidUrnFrom,
} from '@parley/core'
import {
  createSchedule,
  createSimDisk,
  createSimNetwork,
  createSimRandom,
  type Schedule,
  type SimClock,
  type SimDisk,
  type SimNetwork,
  type SimRandom,
} from '@parley/core/sim'
import { type CardDevice, type ReadCard, type RemovalReason, signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, type Key, thumbprint } from '@parley/jose'
import { type C2sClient, type C2sEvent, type C2sOutput, c2sProtocol, createC2sClient, type OutgoingStanza } from '@parley/stream'
import {
  createRelay,
  type OnWire,
  parseRoute,
  type RegistrationMode,
  type Relay,
  type RelayLimits,
  type RelayOptions,
  relayLimits,
} from '../src/index.ts'

export type TestRelay = {
  readonly domain: Domain
  readonly port: number
  readonly disk: SimDisk
  readonly counts: Map<string, number>
  /** What is said to the log. */
  readonly logged: { readonly event: string; readonly peer?: unknown }[]
  relay: Relay
  /** Asks over HTTP, as whoever the request says. */
  http(request: HttpRequest): Promise<HttpResponse>
  /** Ends the process without a word; `start` works again. */
  kill(): void
  start(options?: { readonly restored?: boolean; readonly routes?: readonly string[] }): Promise<void>
}

export type World = {
  readonly schedule: Schedule
  readonly network: SimNetwork
  readonly random: SimRandom
  readonly clock: SimClock
  relay(domain: string, options?: RelayTestOptions): Promise<TestRelay>
  until(condition: () => boolean, withinMs?: number): Promise<void>
  pass(ms: number): Promise<void>
  account(address: string, devices?: number): Account
  device(account: Account, options?: { readonly at?: number; readonly relay?: TestRelay }): TestDevice
}

export type RelayTestOptions = {
  readonly port?: number
  readonly routes?: readonly string[]
  readonly limits?: Partial<RelayLimits>
  readonly registration?: RegistrationMode
  readonly onWire?: OnWire
  readonly federation?: RelayOptions['federation']
  readonly url?: string
  readonly publicCards?: boolean
}

let ports = 20_000

export function createWorld(seed = 1): World {
  const random = createSimRandom(seed)
  const schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  const network = createSimNetwork({ schedule, random: random.fork('network') })
  const clock = schedule.clock()
  const world: World = {
    schedule,
    network,
    random,
    clock,
    async relay(name, options = {}) {
      const domain = toDomain(name)
      if (domain === undefined) throw new Error(name)
      const disk = createSimDisk({ random: random.fork(`disk ${name}`), schedule })
      const port = options.port ?? ports++
      const counts = new Map<string, number>()
      const logged: TestRelay['logged'] = []
      const telemetry: Telemetry = {
        event: (event, fields) => logged.push({ event, ...fields }),
        measure() {},
        count: (key, by = 1) => counts.set(key, (counts.get(key) ?? 0) + by),
      }
      const made = {
        domain,
        port,
        disk,
        counts,
        logged,
        kill() {
          network.kill(name)
          disk.crash()
        },
        async start({ restored = false, routes = options.routes ?? [] } = {}) {
          made.relay = await createRelay({
            domain,
            store: disk.open(),
            transport: {
              ...network.transport(name),
              listen(how) {
                made.http = how.onRequest ?? made.http
                return network.transport(name).listen(how)
              },
            },
            clock,
            random: random.fork(`relay ${name}`),
            telemetry,
            routes: routes.map(parseRoute),
            registration: options.registration ?? 'open',
            limits: { ...relayLimits, retryMsMin: 50, retryMsMax: 1000, ...options.limits },
            port,
            restored,
            ...(options.onWire === undefined ? {} : { onWire: options.onWire }),
            ...(options.federation === undefined ? {} : { federation: options.federation }),
            ...(options.publicCards === undefined ? {} : { publicCards: options.publicCards }),
            ...(options.url === undefined ? {} : { url: options.url }),
          })
        },
      } as TestRelay
      await made.start()
      return made
    },
    async until(condition, withinMs = 60_000) {
      const done = await schedule.run({ until: condition, timeMax: schedule.time() + withinMs })
      if (!done) throw new Error(`not within ${withinMs} ms`)
    },
    async pass(ms) {
      await schedule.run({ until: () => false, timeMax: schedule.time() + ms })
    },
    account: (address, devices = 1) => createAccount({ address: parseAddress(address), devices, random, now: clock.now() }),
    device: (account, options = {}) => createDevice(world, { account, ...options }),
  }
  return world
}

export type Account = {
  readonly address: Address
  readonly accountKey: Key
  readonly keys: readonly Key[]
  readonly cards: ReadCard[]
  /** Signs the next card with these devices. */
  next(devices: readonly CardDevice[]): ReadCard
  deviceOf(key: Key, removed?: { readonly removed: number; readonly reason: RemovalReason }): CardDevice
  statement(key: Key, n?: number): string
}

export function idOf(key: Key): DeviceId {
  // A thumbprint is what a device id is.
  return thumbprint(key.publicJwk as Jwk) as DeviceId
}

function createAccount(options: { address: Address; devices: number; random: SimRandom; now: number }): Account {
  const { address, random, now } = options
  const make = (): Jwk => generateKey('Ed25519', { random })
  const accountJwk = make()
  const accountKey = importKey(accountJwk)
  const recovery = make()
  const keys = Array.from({ length: options.devices }, () => importKey(make()))
  const account: Account = {
    address,
    accountKey,
    keys,
    cards: [],
    deviceOf: (key, removed) => ({ id: idOf(key), signingKey: key.publicJwk as Jwk, added: now / 1000, ...removed }),
    next(devices) {
      const before = account.cards.at(-1)
      const card = signCard(
        {
          address,
          version: (before?.card.version ?? 0) + 1,
          prev: before?.hash ?? null,
          accountKey: accountKey.publicJwk as Jwk,
          next: thumbprint(recovery),
          devices,
        },
        { key: accountKey, now },
      )
      account.cards.push(card)
      return card
    },
    statement: (key, n = 1) =>
      signStatement(
        {
          device: idOf(key),
          account: thumbprint(accountJwk),
          agreementKey: generateKey('X25519', { random }),
          n,
          issued: now / 1000,
          expiry: now / 1000 + 86_400,
          head: account.cards.at(-1)?.hash ?? '',
        },
        { key },
      ),
  }
  account.next(keys.map((key) => account.deviceOf(key)))
  return account
}

export type TestDevice = {
  readonly id: DeviceId
  readonly address: Address
  readonly events: C2sEvent[]
  readonly client: C2sClient
  readonly texts: string[]
  readonly fatal: string | undefined
  /** How long the relay said to wait when it ended the stream. */
  readonly wait: number | undefined
  readonly closed: string | undefined
  position: { readonly epoch: string; readonly n: number } | undefined
  inc: string
  /** Thumbprint of the relay's key that this device has pinned. */
  relayKey: string | undefined
  /** Set to keep what comes unacknowledged. */
  isHolding: boolean
  connect(options?: {
    readonly register?: boolean
    readonly invite?: string
    readonly signer?: Key
    readonly connection?: (connection: Connection) => void
  }): Promise<void>
  /** Connects and waits for the welcome. */
  online(options?: { readonly register?: boolean; readonly invite?: string }): Promise<void>
  send(to: Address | readonly Address[], text: string, more?: Partial<OutgoingStanza>): StanzaId
  request(what: string, value: object): Promise<C2sEvent & { kind: 'response' }>
  handled(n: number): void
  raw(frame: Uint8Array): void
  drop(): void
  ended(id: StanzaId): C2sEvent | undefined
}

function createDevice(world: World, options: { account: Account; at?: number; relay?: TestRelay }): TestDevice {
  const { account, at = 0, relay } = options
  const key = account.keys[at] as Key
  const name = `${account.address}/${at}`
  let connection: Connection | undefined
  let client: C2sClient | undefined
  let fatal: string | undefined
  let wait: number | undefined
  let closed: string | undefined
  const live = (): C2sClient => {
    if (client === undefined) throw new Error('not connected')
    return client
  }
  const apply = (mine: Connection, out: C2sOutput): void => {
    for (const frame of out.frames) mine.send(frame)
    for (const event of out.events) {
      device.events.push(event)
      if (event.kind === 'fatal') {
        fatal = event.code
        wait = event.wait
        mine.close(event.close, event.code)
      } else if (event.kind === 'stanza') {
        device.texts.push(new TextDecoder().decode(event.stanza.body))
        if (event.stanza.n !== undefined && !device.isHolding) device.handled(event.stanza.n)
      } else if (event.kind === 'bounced' && event.n !== undefined) device.handled(event.n)
      else if (event.kind === 'ready') {
        device.relayKey = event.relayKey
        if (device.position?.epoch !== event.welcome.epoch)
          device.position = { epoch: event.welcome.epoch, n: event.welcome.start }
      }
    }
  }
  const device: TestDevice = {
    id: idOf(key),
    address: account.address,
    events: [],
    texts: [],
    position: undefined,
    inc: 'AAAAAAAAAAA',
    relayKey: undefined,
    isHolding: false,
    get client() {
      return live()
    },
    get fatal() {
      return fatal
    },
    get wait() {
      return wait
    },
    get closed() {
      return closed
    },
    async connect({ register = false, invite, signer = key, connection: onConnection } = {}) {
      fatal = undefined
      closed = undefined
      const card = account.cards[0]?.jws ?? ''
      const dialled = await world.network
        .transport(name)
        .dial(`ws://sim:${relay?.port}`, { subprotocols: [c2sProtocol], frameBytesMax: 2 ** 20, timeoutMs: 1000 })
      const mine = createC2sClient({
        address: account.address,
        device: device.id,
        signer,
        inc: device.inc,
        position: device.position,
        relayKey: device.relayKey,
        random: world.random,
        ...(register
          ? { register: { card, statement: account.statement(key), ...(invite === undefined ? {} : { invite }) } }
          : {}),
      })
      connection = dialled
      client = mine
      onConnection?.(dialled)
      dialled.start({
        onFrame: (frame) => apply(dialled, mine.receive(frame, world.clock.now())),
        onClose(code, reason) {
          if (connection === dialled) closed = `${code} ${reason}`
        },
      })
    },
    async online(how) {
      const connecting = device.connect(how)
      const before = client
      await world.until(() => (client !== before && client?.state === 'ready') || fatal !== undefined)
      await connecting
      if (fatal !== undefined) throw new Error(fatal)
    },
    send(to, text, more = {}) {
      const id = uuidUrnFrom(world.random.bytes(16)) as StanzaId
      const now = world.clock.now()
      const stanza: OutgoingStanza = {
        id,
        to: typeof to === 'string' ? [to] : to,
        class: 'durable',
        sent: now,
        expiry: now + 3_600_000,
        entries: [{ device: '*', octets: utf8('entry') }],
        body: utf8(text),
        ...more,
      }
      apply(connection as Connection, live().send(stanza))
      return stanza.id
    },
    async request(what, value) {
      const { id, ...out } = live().request(what, value as never)
      apply(connection as Connection, out)
      const found = (): C2sEvent | undefined => device.events.find((event) => event.kind === 'response' && event.id === id)
      await world.until(() => found() !== undefined)
      const event = found() as C2sEvent & { kind: 'response' }
      device.events.splice(device.events.indexOf(event), 1)
      return event
    },
    handled(n) {
      device.position = { epoch: device.position?.epoch ?? '', n }
      apply(connection as Connection, live().handled(n))
    },
    raw: (frame) => connection?.send(frame),
    drop() {
      connection?.close(1000, '')
      connection = undefined
    },
    ended: (id) => device.events.find((event) => (event.kind === 'accepted' || event.kind === 'bounced') && event.id === id),
  }
  return device
}
