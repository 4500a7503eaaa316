/**
 * A relay: sessions of devices and of other relays on one port, a directory, mailboxes, federation by static routes, limits.
 * It has no sockets of its own: the ports are handed over once, here.
 * @module
 */
import {
  type Clock,
  type Connection,
  type Domain,
  type HttpRequest,
  type HttpResponse,
  type Random,
  type Store,
  silent,
  type Telemetry,
  type Transport,
  utf8,
} from '@parley/core'
import { domainKeysPath, encodeDomainKeys } from '@parley/identity'
import { type Jwk, thumbprint } from '@parley/jose'
import { createMailbox } from '@parley/mailbox'
import { c2sProtocol, s2sProtocol, streamCodes, writeFrame } from '@parley/stream'
import { type Accounts, createAccounts } from './accounts.ts'
import { type Blocklist, openBlocklist } from './blocklist.ts'
import type { RelayContext } from './context.ts'
import { createDeviceSession, type DeviceSession, type RegistrationMode } from './device-session.ts'
import { createDirectory } from './directory.ts'
import { createKeysOfDomains } from './domain-keys.ts'
import { createFederation } from './federation.ts'
import { createGate } from './gate.ts'
import { createInvites, type Invites } from './invites.ts'
import { type RelayLimits, relayLimits } from './limits.ts'
import type { OnWire } from './link.ts'
import { createPeerSession, type PeerSession } from './peer-session.ts'
import { openRelayKey } from './relay-key.ts'
import { createRequests } from './requests.ts'
import { createRouter } from './router.ts'
import type { Route } from './routes.ts'
import { createSerial } from './serial.ts'
import { createSessions } from './sessions.ts'

export type RelayOptions = {
  readonly domain: Domain
  readonly store: Store
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly telemetry?: Telemetry
  readonly routes?: readonly Route[]
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

export type RelayStats = {
  readonly connections: number
  readonly devices: number
  readonly peersReady: number
  readonly mailbox: { readonly count: number; readonly bytes: number }
}

export interface Relay {
  readonly port: number
  readonly domain: Domain
  /** Thumbprint of the relay's key, for `key=` in other relays' routes. */
  readonly key: string
  readonly accounts: Accounts
  readonly invites: Invites
  /** Addresses and domains from which nobody here takes anything. */
  readonly blocklist: Blocklist
  setRoutes(routes: readonly Route[]): void
  /** Who may open an account from now on. */
  setRegistration(mode: RegistrationMode): void
  stats(): Promise<RelayStats>
  /** Drains: takes no new connections, tells the old ones, finishes what it began. The store stays open: it is the caller's. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a relay. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { domain, store, transport, clock, random, telemetry = silent, routes = [], onWire } = options
  const limits: RelayLimits = { ...relayLimits, ...options.limits }
  const signer = await openRelayKey({ store, domain, random })
  const sessions = createSessions()
  const mailbox = await createMailbox({
    store,
    random,
    clock,
    telemetry,
    limits: limits.mailbox,
    restored: options.restored ?? false,
    give: (reader, item, after) => sessions.reading(reader)?.give(item, after) ?? false,
  })
  const inTurn = createSerial()
  const invites = createInvites({ store, clock, random, inTurn, invitesMax: limits.invitesMax })
  const directory = createDirectory({ store, clock, invites, inTurn, ...limits })
  const blocklist = await openBlocklist({ store })
  const gate = createGate({ clock, limits, telemetry })
  const context: RelayContext = {
    domain,
    signer,
    clock,
    random,
    telemetry,
    limits,
    mailbox,
    directory,
    blocklist,
    gate,
    onWire,
  }
  let registration: RegistrationMode = options.registration ?? 'closed'
  const keys = createKeysOfDomains({ transport, clock, limits })
  const running = new Set<Promise<unknown>>()
  const open = new Set<DeviceSession | PeerSession>()
  const proven = new Map<Domain, PeerSession>()
  const stopping = new AbortController()
  let closing: Promise<void> | undefined
  let cancelSweep = (): void => {}
  let cancelExpiry = (): void => {}
  let onAllEnded = (): void => {}

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
    keys,
    track,
    dial: (url) =>
      transport.dial(url, {
        subprotocols: [s2sProtocol],
        frameBytesMax: limits.stream.frameBytesMax,
        timeoutMs: limits.dialTimeoutMs,
        signal: stopping.signal,
      }),
    onBounce: (address, device) => sessions.get(address, device)?.wake(),
  })
  const router = createRouter(context, { sessions, federation })
  const accounts = createAccounts(context, { sessions })
  const requests = createRequests(context, { sessions, federation, accounts })

  function refusalOf(
    peer: string,
  ): { readonly code: 'going-away' | 'overloaded' | 'rate-limited'; readonly wait: number } | undefined {
    if (closing !== undefined) return { code: 'going-away', wait: limits.drainMs }
    if (open.size >= limits.connectionsMax) {
      telemetry.count('relay.limit.connectionsMax')
      return { code: 'overloaded', wait: limits.retryMsMax }
    }
    const entered = gate.enter(peer)
    return entered.ok ? undefined : entered
  }

  function onConnection(connection: Connection): void {
    const { peer } = connection
    const refusal = refusalOf(peer)
    if (refusal !== undefined) {
      const { code, wait } = refusal
      telemetry.count(`relay.connection.refused.${code}`)
      connection.start({ onFrame() {}, onClose() {} })
      connection.send(writeFrame({ t: 'error', code, retryable: true, wait }))
      connection.close(streamCodes[code].close, code)
      return
    }
    // A connection may end while its session is being made; it leaves after it has entered.
    const leave = async (ended: () => DeviceSession | PeerSession): Promise<void> => {
      await Promise.resolve()
      open.delete(ended())
      gate.leave(peer)
      if (open.size === 0) onAllEnded()
    }
    if (connection.subprotocol === s2sProtocol) enterPeer(connection, leave)
    else {
      const session: DeviceSession = createDeviceSession(context, {
        connection,
        sessions,
        router,
        requests,
        registration: () => registration,
        track,
        onEnd: () => leave(() => session),
      })
      open.add(session)
    }
  }

  function enterPeer(connection: Connection, leave: (ended: () => PeerSession) => void): void {
    const session = createPeerSession(context, {
      connection,
      router,
      requests,
      keys,
      track,
      routeTo: federation.routeTo,
      onProven(mine, name) {
        const before = proven.get(name)
        proven.set(name, mine)
        before?.end('superseded')
        // It is reachable again, so what waits for it need not.
        federation.hint(name)
      },
      onEnd(mine) {
        if (mine.proven !== undefined && proven.get(mine.proven) === mine) proven.delete(mine.proven)
        leave(() => mine)
      },
    })
    open.add(session)
  }

  const document: Uint8Array = encodeDomainKeys({ domain, keys: [signer.publicJwk as Jwk] })
  async function onRequest({ method, path }: HttpRequest): Promise<HttpResponse> {
    if (path !== domainKeysPath) return { status: 404, body: utf8('') }
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' }, body: utf8('') }
    return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'max-age=300' }, body: document }
  }

  function sweep(): void {
    const now = clock.monotonic()
    for (const session of [...open]) if (now - session.heard > limits.idleMs) session.end('idle')
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
    const allEnded = new Promise<void>((done) => {
      onAllEnded = done
    })
    for (const session of [...open]) session.end('going-away')
    if (open.size > 0) await Promise.race([allEnded, timeUp])
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
    onConnection,
    onRequest,
  })
  federation.setRoutes(routes)
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
    key: thumbprint(signer.publicJwk as Jwk),
    accounts,
    invites: { create: invites.create, list: invites.list, revoke: invites.revoke },
    blocklist,
    setRegistration(mode) {
      registration = mode
    },
    setRoutes(next) {
      if (closing === undefined) federation.setRoutes(next)
    },
    async stats() {
      return {
        connections: open.size,
        devices: sessions.count,
        peersReady: federation.peersReady,
        mailbox: await mailbox.stats(),
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
