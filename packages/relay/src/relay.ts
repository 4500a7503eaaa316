/**
 * A relay: sessions of devices and of other relays on one port, a directory, mailboxes, federation, an entry by HTTP, limits.
 * It has no sockets of its own: the ports are handed over once, here.
 * @module
 */
import { type Clock, type Domain, type Random, type Store, silent, type Telemetry, type Transport } from '@parley/core'
import { encodeDomainKeys } from '@parley/identity'
import { type Jwk, thumbprint } from '@parley/jose'
import { createMailbox } from '@parley/mailbox'
import { c2sProtocol, s2sProtocol } from '@parley/stream'
import { type Accounts, createAccounts } from './accounts.ts'
import { createAdmission, type RegistrationMode } from './admission.ts'
import { type Blocklist, openBlocklist } from './blocklist.ts'
import { isDeviceReader, limitOf, quotaOf } from './bounces.ts'
import type { RelayContext } from './context.ts'
import { createDirectory } from './directory.ts'
import { createKeysOfDomains } from './domain-keys.ts'
import { createEntrance } from './entrance.ts'
import { createFederation, type FederationPolicy } from './federation.ts'
import { createGate } from './gate.ts'
import { createHttpEntry } from './http-entry.ts'
import { createInvites, type Invites } from './invites.ts'
import { limitsOfTheStart, type RelayLimits, relayLimits } from './limits.ts'
import type { OnWire } from './link.ts'
import { isPublicAddress } from './network-address.ts'
import { createQueues, type Queues } from './queues.ts'
import { changeRelayKey, openRelayKey } from './relay-key.ts'
import { createRequests } from './requests.ts'
import { createRouter } from './router.ts'
import type { Route } from './routes.ts'
import { createSerial } from './serial.ts'
import { createSessions } from './sessions.ts'

/** What a relay stands on, and what its operator decides. */
export type RelayOptions = {
  readonly domain: Domain
  readonly store: Store
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly telemetry?: Telemetry
  readonly routes?: readonly Route[]
  /** Whether domains without a route are found under their own name, and which ones never or only; none is found unless said so. */
  readonly federation?: Partial<Omit<FederationPolicy, 'routes'>>
  /** `wss://…`: where this relay listens, published for those who look for its domain; `wss://` and the domain unless said otherwise. */
  readonly url?: string
  /** Whether anybody may fetch the card of an account by HTTP, and so find out which accounts there are; not unless said so. */
  readonly publicCards?: boolean
  /** Who may open an account; `closed` unless said otherwise. */
  readonly registration?: RegistrationMode
  readonly limits?: Partial<RelayLimits>
  /** 0 takes a free one. */
  readonly port?: number
  readonly host?: string
  /** Set at the first start on a restored store: mailbox positions get a new epoch. */
  readonly restored?: boolean
  /** For development and demonstrations only. */
  readonly onWire?: OnWire
}

/** How much there is of everything. */
export type RelayStats = {
  readonly connections: number
  readonly devices: number
  readonly peersReady: number
  /** Devices that have left a stanza unacknowledged for a third of `idleMs`. */
  readonly stuck: number
  /** Stanzas in all mailboxes and queues, and their octets. */
  readonly mailbox: { readonly count: number; readonly bytes: number }
}

/** A running relay. */
export interface Relay {
  readonly port: number
  readonly domain: Domain
  /** Thumbprint of the relay's key, for `key=` in other relays' routes. */
  readonly key: string
  /** Makes a new key, signed by the old one, so that devices follow; answers its thumbprint. Routes that name the old key must be changed. */
  changeKey(): Promise<string>
  readonly accounts: Accounts
  readonly invites: Invites
  /** Addresses and domains from which nobody here takes anything. */
  readonly blocklist: Blocklist
  /** What waits for other domains. */
  readonly queues: Queues
  /** Changes whom this relay federates with, as far as it is named. */
  setFederation(change: Partial<FederationPolicy>): void
  /** Who may open an account from now on. */
  setRegistration(mode: RegistrationMode): void
  /** Those in force now. */
  readonly limits: RelayLimits
  /** Changes limits while it runs: those that are named, the others back to their defaults; `limitsOfTheStart` stay as they are. */
  setLimits(next: Partial<RelayLimits>): void
  stats(): Promise<RelayStats>
  /** Drains: takes no new connections, tells the old ones, finishes what it began. The store stays open: it is the caller's. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a relay. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { domain, store, transport, clock, random, telemetry = silent, onWire } = options
  // Every part holds this object, and sees what `setLimits` changes in it.
  const limits: RelayLimits = { ...relayLimits, ...options.limits }
  let key = await openRelayKey({ store, domain, random })
  let policy: FederationPolicy = { routes: options.routes ?? [], discovery: false, allow: [], deny: [], ...options.federation }
  const sessions = createSessions()
  const mailbox = await createMailbox({
    store,
    random,
    clock,
    telemetry,
    limits: limits.mailbox,
    quotaOf: (reader) => quotaOf(reader, limits),
    onFull: (reader, full) => telemetry.count(`relay.limit.${limitOf(reader, full)}`),
    restored: options.restored ?? false,
    give: (reader, item, after) => sessions.reading(reader)?.give(item, after) ?? false,
    isThere: (reader) => !isDeviceReader(reader) || sessions.reading(reader) !== undefined,
  })
  const inTurn = createSerial()
  const invites = createInvites({ store, clock, random, inTurn, telemetry, invitesMax: limits.invitesMax })
  const directory = createDirectory({ store, clock, invites, inTurn, telemetry, ...limits })
  const listed = await openBlocklist({ store })
  const gate = createGate({ clock, limits, telemetry })
  const context: RelayContext = {
    domain,
    get signer() {
      return key.signer
    },
    get keyChain() {
      return key.chain
    },
    clock,
    random,
    telemetry,
    limits,
    mailbox,
    directory,
    blocklist: listed,
    gate,
    onWire,
  }
  let registration: RegistrationMode = options.registration ?? 'closed'
  const keys = createKeysOfDomains({ transport, clock, limits, telemetry })
  const running = new Set<Promise<unknown>>()
  const stopping = new AbortController()
  let closing: Promise<void> | undefined
  let cancelSweep = (): void => {}
  let cancelExpiry = (): void => {}

  function track(work: Promise<unknown>): void {
    const done: Promise<unknown> = work.then(
      () => running.delete(done),
      () => {
        running.delete(done)
        telemetry.count('relay.failed')
      },
    )
    running.add(done)
  }

  const federation = createFederation(context, {
    policy,
    keys,
    track,
    dial: (url, { guarded }) =>
      transport.dial(url, {
        ...(guarded ? { allowAddress: isPublicAddress } : {}),
        subprotocols: [s2sProtocol],
        frameBytesMax: limits.stream.frameBytesMax,
        timeoutMs: limits.dialTimeoutMs,
        signal: stopping.signal,
      }),
    onBounce: (address, device) => sessions.get(address, device)?.wake(),
  })
  const router = createRouter(context, { sessions, federation })
  const accounts = createAccounts(context, { sessions })
  const queues = createQueues(context, { federation })
  const requests = createRequests(context, { sessions, federation, accounts })

  const entrance = createEntrance(context, {
    sessions,
    router,
    requests,
    federation,
    keys,
    admission: createAdmission(context, { registration: () => registration }),
    track,
  })

  const publish = (): Uint8Array =>
    encodeDomainKeys({
      domain,
      keys: [key.signer.publicJwk as Jwk],
      ...(options.url === undefined ? {} : { relay: options.url }),
    })
  let document = publish()

  async function changeKey(): Promise<string> {
    key = await changeRelayKey(key, { store, domain, random, now: clock.now() })
    document = publish()
    return thumbprint(key.signer.publicJwk as Jwk)
  }

  function setFederation(change: Partial<FederationPolicy>): void {
    if (closing !== undefined) return
    policy = { ...policy, ...change }
    federation.setPolicy(policy)
    entrance.review()
  }

  const blocklist: Blocklist = {
    ...listed,
    async add(blocked) {
      await listed.add(blocked)
      // Connections of a domain that is not heard any more end.
      setFederation({})
    },
    async remove(blocked) {
      const wasThere = await listed.remove(blocked)
      if (wasThere) setFederation({})
      return wasThere
    },
  }

  const onRequest = createHttpEntry(context, {
    router,
    federation,
    publicCards: options.publicCards ?? false,
    keys: () => document,
  })

  function sweep(): void {
    const now = clock.monotonic()
    entrance.sweep(now)
    federation.sweep(now)
    cancelSweep = clock.at(now + limits.idleMs / 6, sweep)
  }

  function expire(): void {
    track(
      mailbox.expire(clock.now(), federation.onExpired).finally(() => {
        if (closing === undefined) cancelExpiry = clock.at(clock.monotonic() + limits.expiryIntervalMs, expire)
      }),
    )
  }

  async function settled(): Promise<void> {
    while (running.size > 0) await Promise.all(running)
  }

  async function drain(closeListener: () => Promise<void>): Promise<void> {
    cancelSweep()
    cancelExpiry()
    federation.close()
    stopping.abort()
    let cancelWait = (): void => {}
    const timeUp = new Promise<void>((done) => {
      cancelWait = clock.at(clock.monotonic() + limits.drainMs, done)
    })
    await Promise.race([entrance.close(), timeUp])
    await closeListener()
    await Promise.race([settled(), timeUp])
    cancelWait()
    await mailbox.close()
  }

  const listener = await transport.listen({
    port: options.port ?? 0,
    ...(options.host === undefined ? {} : { host: options.host }),
    subprotocols: [c2sProtocol, s2sProtocol],
    frameBytesMax: limits.stream.frameBytesMax,
    // Twice, so that a frame a little too large is still told so.
    earlyBytesMax: 2 * limits.stream.loginFrameBytesMax,
    onConnection: entrance.enter,
    onRequest,
  })
  federation.setPolicy(policy)
  sweep()
  expire()
  telemetry.event('relay.started', { port: listener.port })

  const close = (): Promise<void> => {
    closing ??= drain(() => listener.close())
    return closing
  }
  return {
    port: listener.port,
    domain,
    get key() {
      return thumbprint(key.signer.publicJwk as Jwk)
    },
    changeKey: () => inTurn(changeKey),
    queues,
    setFederation,
    accounts,
    invites: { create: invites.create, list: invites.list, revoke: invites.revoke },
    blocklist,
    setRegistration(mode) {
      registration = mode
    },
    limits,
    setLimits(next) {
      const fixed = Object.fromEntries(limitsOfTheStart.map((name) => [name, limits[name]]))
      Object.assign(limits, relayLimits, next, fixed)
    },
    async stats() {
      return {
        connections: entrance.open,
        devices: sessions.count,
        peersReady: federation.peersReady,
        stuck: entrance.stuck(clock.monotonic() - limits.idleMs / 3),
        mailbox: await mailbox.stats(),
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
