/**
 * One connection from another relay: its proof against the keys its domain has published, its stanzas into our mailboxes, its
 * requests. Nothing leaves this way but answers.
 * @module
 */
import type { Connection, Domain } from '@parley/core'
import {
  createS2sAcceptor,
  type S2sAcceptorEvent,
  type S2sAcceptorOutput,
  type Settlement,
  type StreamCode,
} from '@parley/stream'
import type { RelayContext } from './context.ts'
import type { KeysOfDomains } from './domain-keys.ts'
import type { RelayLimits } from './limits.ts'
import { createLinks } from './link.ts'
import { createLinkCharge, linkLimits } from './rate.ts'
import type { Requests } from './requests.ts'
import { createLane, type Lane, type Router } from './router.ts'
import type { Way } from './routes.ts'

export type PeerSession = {
  /** Monotonic time of the last frame that came in. */
  heard(): number
  /** The domain it has proved. */
  readonly proven: Domain | undefined
  end(code: StreamCode, options?: { readonly wait?: number }): void
}

export type PeerSessionParts = {
  readonly connection: Connection
  readonly router: Router
  readonly requests: Requests
  readonly keys: KeysOfDomains
  wayTo(domain: Domain): Way | undefined
  track(work: Promise<unknown>): void
  /** It has proved its domain; an older connection of the same domain ends now. */
  onProven(session: PeerSession, domain: Domain): void
  onEnd(session: PeerSession): void
}

export function createPeerSession(context: RelayContext, parts: PeerSessionParts): PeerSession {
  const { clock, limits, telemetry } = context
  const { router, requests, keys, wayTo, track, onProven, onEnd } = parts
  const acceptor = createS2sAcceptor({
    domain: context.domain,
    signer: context.signer,
    random: context.random,
    limits: limits.stream,
  })
  const links = createLinks<object>({
    ...context,
    kind: 'relay',
    charge: createLinkCharge(() => peerRates(limits), { telemetry, names: linkLimits.relay }),
    onFrame: (_link, frame) => apply(acceptor.receive(frame)),
    onClose() {
      cancelTimeout()
      if (acceptor.state !== 'ended') ended('connection-lost', 'network')
      acceptor.end('internal')
      onEnd(session)
    },
    onDrain() {},
    onExcess: () => apply(acceptor.end('frame-too-large')),
  })
  const link = links.open(parts.connection, {})
  const lane: Lane = createLane()
  let proven: Domain | undefined
  let claimed: Domain | undefined
  let isFlushing = false

  function apply(out: S2sAcceptorOutput): void {
    links.send(link, out.frames)
    for (const event of out.events) on(event)
  }

  function on(event: S2sAcceptorEvent): void {
    if (event.kind === 'stanza') onStanza(event)
    else if (event.kind === 'request') run(onRequest(event))
    else if (event.kind === 'limited') telemetry.count(`relay.limit.stream.${event.limit}`)
    else if (event.kind === 'claimed') run(onClaimed(event))
    else {
      telemetry.count(`relay.peer_session.ended.${event.by === 'here' ? event.code : 'by-peer'}`)
      ended(event.code, event.by)
      link.connection.close(event.close, event.code)
    }
  }

  function ended(code: string, by: 'here' | 'peer' | 'network'): void {
    if (claimed !== undefined) telemetry.event('relay.peer_session.ended', { peer: claimed, code, by })
  }

  function run(work: Promise<void>): void {
    track(work.catch(failed))
  }

  function failed(): void {
    telemetry.count('relay.peer_session.failed')
    apply(acceptor.end('internal'))
  }

  async function onClaimed({ initiating, thumbprint }: Extract<S2sAcceptorEvent, { kind: 'claimed' }>): Promise<void> {
    claimed = initiating
    const way = wayTo(initiating)
    if (way === undefined) return void apply(acceptor.end('domain-unknown'))
    let known = await keys.find(way, { claimed: true })
    // The key may be newer than what is remembered.
    if (known !== undefined && !known.keys.has(thumbprint)) known = await keys.find(way, { fresh: true, claimed: true })
    if (known === undefined) return void apply(acceptor.end('keys-unavailable'))
    if (!known.keys.has(thumbprint)) return void apply(acceptor.end('proof-refused'))
    apply(acceptor.admit(clock.now()))
    if (acceptor.state !== 'ready') return
    cancelTimeout()
    link.connection.admit()
    proven = initiating
    link.name = initiating
    telemetry.count('relay.peer_session.ready')
    telemetry.event('relay.peer_session.ready', { peer: initiating })
    onProven(session, initiating)
  }

  function onStanza({ n, stanza }: Extract<S2sAcceptorEvent, { kind: 'stanza' }>): void {
    telemetry.count('relay.peer_session.stanza')
    router.route(stanza, { lane, federate: false, early: true }, (settlement) => {
      if (settlement === undefined) failed()
      else settle(n, settlement)
    })
  }

  function settle(n: number | undefined, settlement: Settlement): void {
    if (n === undefined) return
    acceptor.settle(n, settlement)
    if (isFlushing) return
    isFlushing = true
    Promise.resolve().then(() => {
      isFlushing = false
      apply(acceptor.flush())
    })
  }

  async function onRequest({ id, what, value }: Extract<S2sAcceptorEvent, { kind: 'request' }>): Promise<void> {
    apply(acceptor.respond(id, await requests.answer(what, value, { kind: 'relay' })))
    if (link.connection.bufferedBytes > 4 * limits.bufferedBytesMax)
      apply(acceptor.end('overloaded', { wait: limits.retryMsMax }))
  }

  const cancelTimeout = clock.at(clock.monotonic() + limits.loginTimeoutMs + limits.dialTimeoutMs, () => {
    if (acceptor.state !== 'ready') apply(acceptor.end('login-timeout'))
  })
  const session: PeerSession = {
    heard: () => link.heard,
    get proven() {
      return proven
    },
    end: (code, more) => apply(acceptor.end(code, more)),
  }
  links.start(link)
  apply(acceptor.open(clock.now()))
  return session
}

/** A whole domain speaks on one connection: it may be some seconds ahead. */
function peerRates({ peerFramesPerSecond, peerBytesPerSecond }: RelayLimits): ReturnType<Parameters<typeof createLinkCharge>[0]> {
  return {
    framesPerSecond: peerFramesPerSecond,
    framesBurst: 5 * peerFramesPerSecond,
    bytesPerSecond: peerBytesPerSecond,
    bytesBurst: 5 * peerBytesPerSecond,
  }
}
