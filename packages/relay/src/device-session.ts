/**
 * One connection of a device: login, stanzas in, the mailbox out within the window, requests.
 * The stream's rules are in @parley/stream; this binds them to the relay's parts.
 * @module
 */
import type { Connection } from '@parley/core'
import { deviceOn } from '@parley/identity'
import type { MailboxItem } from '@parley/mailbox'
import {
  type C2sServer,
  type C2sServerEvent,
  type C2sServerOutput,
  createC2sServer,
  type Login,
  type Settlement,
  type StoredStanza,
  type StreamCode,
  sizeOf,
} from '@parley/stream'
import type { Admission, Decision } from './admission.ts'
import { deviceReader, unpackBounce } from './bounces.ts'
import { deviceName, type RelayContext } from './context.ts'
import { createLinks, type Link } from './link.ts'
import { moved, type Progress, waitingSince } from './progress.ts'
import { createLinkCharge, linkLimits } from './rate.ts'
import type { Requests } from './requests.ts'
import { createLane, type Lane, type Router } from './router.ts'
import type { LiveSession, Sessions } from './sessions.ts'

/** A connection, as whoever looks after all of them sees it; and what the rest of the relay may ask of it once its device is proved. */
export type DeviceSession = LiveSession & {
  /** Monotonic time of the last sign of life; with stanzas on their way, of their last acknowledgement. */
  heard(): number
  /** Monotonic time since which the oldest stanza on its way to the device is there; `undefined` when none is. */
  delivering(): number | undefined
}

export type DeviceSessionParts = {
  readonly sessions: Sessions
  readonly router: Router
  readonly requests: Requests
  readonly admission: Admission
  /** Keeps the relay open until the work is done. */
  track(work: Promise<unknown>): void
  /** The connection of a session from this network address has ended. */
  onEnd(session: DeviceSession, peer: string): void
}

export interface DeviceSessions {
  enter(connection: Connection): DeviceSession
}

type Proven = { readonly address: Login['address']; readonly device: Login['device']; readonly reader: string }
/** What a session is made of. The functions are those of all sessions: most connections do nothing for long, and there are many. */
type Own = {
  readonly server: C2sServer
  readonly lane: Lane
  readonly progress: Progress
  proven: Proven | undefined
  readonly live: DeviceSession & { inc: string }
  isFlushing: boolean
  isPumping: boolean
  isAgain: boolean
  /** Whether the log may hold what this connection has not carried. */
  isBehind: boolean
  ackedBefore: Promise<unknown> | undefined
  /** Ephemeral stanzas on their way through the relay. */
  passing: number
  /** What is on its way to the device, and since when; as many as the window admits. */
  readonly delivering: { readonly n: number; readonly at: number }[]
  /** Ends the wait for the login. */
  cancelTimeout: () => void
}
type Session = Link & Own

export function createDeviceSessions(context: RelayContext, parts: DeviceSessionParts): DeviceSessions {
  const { clock, limits, mailbox, directory, gate, telemetry } = context
  const { admission, sessions, router, requests, track, onEnd } = parts
  const links = createLinks<Own>({
    ...context,
    kind: 'device',
    charge: createLinkCharge(() => limits, { telemetry, names: linkLimits.device }),
    onFrame: (session, frame) => apply(session, session.server.receive(frame)),
    onClose: ended,
    onDrain: pump,
    onExcess: (session) => apply(session, session.server.end('frame-too-large')),
  })

  function apply(session: Session, out: C2sServerOutput): void {
    if (out.frames.length > 0) links.send(session, out.frames)
    for (const event of out.events) on(session, event)
  }

  function on(session: Session, event: C2sServerEvent): void {
    if (event.kind === 'stanza') onStanza(session, event)
    else if (event.kind === 'acked') onAcked(session, event.h)
    else if (event.kind === 'request') run(session, onRequest(session, event))
    else if (event.kind === 'limited') telemetry.count(`relay.limit.stream.${event.limit}`)
    else if (event.kind === 'login') run(session, onLogin(session, event, clock.monotonic()))
    else {
      telemetry.count(`relay.device.ended.${event.by === 'here' ? event.code : 'by-device'}`)
      session.connection.close(event.close, event.code)
    }
  }

  /** Whatever goes wrong in here ends this connection and nothing else. */
  function run(session: Session, work: Promise<void>): void {
    track(work.catch(() => failed(session)))
  }

  function failed(session: Session): void {
    telemetry.count('relay.device.failed')
    apply(session, session.server.end('internal'))
  }

  async function onLogin(
    session: Session,
    { login, registration: offered }: Extract<C2sServerEvent, { kind: 'login' }>,
    came: number,
  ): Promise<void> {
    const wait = gate.login(session.connection.peer)
    if (wait > 0) return void apply(session, session.server.end('rate-limited', { wait }))
    const { server } = session
    const { peer } = session.connection
    const decision = await admission.decide({ login, offered, peer, proves: (key) => server.proves(key, clock.now()) })
    if ('refused' in decision) {
      gate.failed(peer)
      // The same answer at the same time, whether the account exists or not.
      clock.at(came + limits.refusalDelayMs, () =>
        apply(session, server.end(decision.refused, decision.wait === undefined ? {} : { wait: decision.wait })),
      )
      return
    }
    await admit(session, login, decision)
  }

  async function admit(
    session: Session,
    login: Login,
    { key, account }: Exclude<Decision, { refused: StreamCode }>,
  ): Promise<void> {
    const { address, device, inc, position: mark } = login
    const reader = deviceReader(address, device)
    const { acked: position } = await mailbox.position(reader)
    if (mark?.epoch === mailbox.epoch && (await mailbox.ack(reader, mark.epoch, mark.n)) === 'beyond') {
      apply(session, session.server.end('ack-beyond'))
      return
    }
    const { acked: start } = await mailbox.position(reader)
    if (session.closed || session.server.state !== 'deciding') return
    const before = sessions.get(address, device)
    session.proven = { address, device, reader }
    session.name = deviceName(address, device)
    session.live.inc = inc
    cancelTimeout(session)
    sessions.enter(session.live, session.proven)
    const cloned = before !== undefined && before.inc !== inc
    telemetry.count('relay.device.login')
    session.connection.admit()
    apply(session, session.server.admit({ key, account, epoch: mailbox.epoch, position, start, cloned }, clock.now()))
    // A card that removes the device may have come while this was decided, when there was no session to end yet.
    const card = await directory.head(address)
    if (card === undefined || deviceOn(card.card, device)?.status !== 'active')
      apply(session, session.server.end('device-removed'))
    pump(session)
  }

  function onStanza(session: Session, { n, stanza }: Extract<C2sServerEvent, { kind: 'stanza' }>): void {
    telemetry.count('relay.device.stanza')
    const came = clock.monotonic()
    // No window holds ephemeral ones back, so what is too much is dropped.
    if (n === undefined && session.passing >= limits.stream.windowStanzas) return void dropped()
    const wait = n === undefined ? 0 : gate.stanza(stanza.header.from, sizeOf(stanza))
    if (wait > 0) {
      const { id } = stanza.header
      return void settle(session, n, { settlement: { bounced: [{ id, code: 'rate-limited', retryable: true, wait }] }, came })
    }
    if (n === undefined) session.passing++
    router.route(stanza, { lane: session.lane, federate: true, early: true }, (settlement) => {
      if (n === undefined) session.passing--
      if (settlement === undefined) failed(session)
      else settle(session, n, { settlement, came })
    })
  }

  function settle(
    session: Session,
    n: number | undefined,
    { settlement, came }: { readonly settlement: Settlement; readonly came: number },
  ): void {
    if (n === undefined) return
    session.server.settle(n, settlement)
    telemetry.measure('relay.stanza.accept_ms', clock.monotonic() - came)
    flushSoon(session)
  }

  // Stanzas that became durable in one turn of the mailbox are acknowledged together.
  function flushSoon(session: Session): void {
    if (session.isFlushing) return
    session.isFlushing = true
    Promise.resolve().then(() => {
      session.isFlushing = false
      apply(session, session.server.flush())
    })
  }

  function onAcked(session: Session, h: number): void {
    const { proven, delivering } = session
    if (proven === undefined) return
    const now = clock.monotonic()
    moved(session.progress, now)
    while ((delivering[0]?.n ?? Number.POSITIVE_INFINITY) <= h)
      telemetry.measure('relay.stanza.deliver_ms', now - (delivering.shift()?.at ?? now))
    // Before anything else is sent: what is acknowledged in time is not stored.
    const acked = mailbox.ack(proven.reader, mailbox.epoch, h)
    if (acked !== session.ackedBefore) acked.catch(() => failed(session))
    session.ackedBefore = acked
    if (session.isBehind) pump(session)
  }

  async function onRequest(session: Session, { id, what, value }: Extract<C2sServerEvent, { kind: 'request' }>): Promise<void> {
    const { proven } = session
    if (proven === undefined) return
    const answer = await requests.answer(what, value, { kind: 'device', ...proven })
    apply(session, session.server.respond(id, answer))
    if (session.connection.bufferedBytes > 4 * limits.bufferedBytesMax)
      apply(session, session.server.end('overloaded', { wait: limits.retryMsMax }))
  }

  function pump(session: Session): void {
    if (session.isPumping) {
      session.isAgain = true
      return
    }
    session.isPumping = true
    session.isBehind = true
    run(
      session,
      drain(session).finally(() => {
        session.isPumping = false
        if (session.isAgain) {
          session.isAgain = false
          pump(session)
        }
      }),
    )
  }

  /** Sends what stands in the mailbox as far as the window and the connection take it; an acknowledgement or a drain goes on. */
  async function drain(session: Session): Promise<void> {
    const { proven, server, connection } = session
    const { sender } = server
    if (proven === undefined || sender === undefined) return
    while (
      server.state === 'ready' &&
      sender.space > 0 &&
      connection.bufferedBytes < limits.bufferedBytesMax &&
      !session.closed
    ) {
      const items = await mailbox.read(proven.reader, sender.last, {
        countMax: sender.space,
        bytesMax: limits.stream.windowBytes,
      })
      if (items.length === 0) {
        session.isBehind = session.isAgain
        return
      }
      for (const item of items) {
        if (!server.room(item.entry.length + item.body.length) || connection.bufferedBytes >= limits.bufferedBytesMax) return
        const bounce = unpackBounce(item.header)
        session.delivering.push({ n: item.n, at: clock.monotonic() })
        apply(session, bounce === undefined ? server.deliver(item.n, item) : server.deliverBounce(item.n, bounce, clock.now()))
      }
    }
  }

  function wake(session: Session, n?: number): void {
    if (n === undefined || sentOn(session) < n) pump(session)
  }

  function give(session: Session, item: MailboxItem, after: number): boolean {
    const { server, connection } = session
    // What the log holds goes first.
    if (session.isPumping || server.state !== 'ready' || session.closed || sentOn(session) < after) return false
    if (!server.room(item.entry.length + item.body.length) || connection.bufferedBytes >= limits.bufferedBytesMax) return false
    session.delivering.push({ n: item.n, at: clock.monotonic() })
    apply(session, server.deliver(item.n, item))
    return true
  }

  function pass(session: Session, stored: StoredStanza): void {
    if (session.connection.bufferedBytes >= limits.bufferedBytesMax) return void dropped()
    apply(session, session.server.deliverEphemeral(stored))
  }

  function dropped(): void {
    telemetry.count('relay.ephemeral.dropped')
  }

  function cancelTimeout(session: Session): void {
    session.cancelTimeout()
    session.cancelTimeout = nothing
  }

  function ended(session: Session): void {
    const { live, proven } = session
    cancelTimeout(session)
    if (proven !== undefined) sessions.leave(live, proven)
    // Nothing more is sent, and what is being decided comes too late.
    session.server.end('internal')
    onEnd(live, session.connection.peer)
  }

  function enter(connection: Connection): DeviceSession {
    const live: Own['live'] = {
      inc: '',
      wake: (n) => wake(session, n),
      give: (item, after) => give(session, item, after),
      pass: (stored) => pass(session, stored),
      end: (code, more) => apply(session, session.server.end(code, more)),
      heard: () => Math.min(session.heard, waitingSince(session.progress, session.server.sender?.count ?? 0, clock.monotonic())),
      delivering: () => session.delivering[0]?.at,
    }
    const session: Session = links.open(connection, {
      server: createC2sServer({
        domain: context.domain,
        signer: context.signer,
        chain: context.keyChain,
        random: context.random,
        limits: limits.stream,
      }),
      lane: createLane(),
      progress: { at: clock.monotonic() },
      proven: undefined,
      live,
      isFlushing: false,
      isPumping: false,
      isAgain: false,
      isBehind: true,
      ackedBefore: undefined,
      passing: 0,
      delivering: [],
      cancelTimeout: nothing,
    })
    session.cancelTimeout = clock.at(clock.monotonic() + limits.loginTimeoutMs, () => {
      if (session.server.state === 'login') apply(session, session.server.end('login-timeout'))
    })
    links.start(session)
    apply(session, session.server.open(clock.now()))
    return live
  }

  return { enter }
}

function nothing(): void {}

/** Positions up to here were sent on this stream, or handled before it. */
function sentOn({ server }: Session): number {
  return server.sender?.last ?? 0
}
