/**
 * One connection of a device: login against the directory, stanzas in, the mailbox out within the window, requests.
 * The stream's rules are in @parley/stream; this binds them to the relay's parts.
 * @module
 */
import type { Connection } from '@parley/core'
import { type CardDevice, deviceOn, type ReadCard, readCard } from '@parley/identity'
import { type Key, readKey } from '@parley/jose'
import type { MailboxItem } from '@parley/mailbox'
import {
  type C2sServer,
  type C2sServerEvent,
  type C2sServerOutput,
  createC2sServer,
  type Login,
  type Registering,
  type Settlement,
  type StoredStanza,
  type StreamCode,
  sizeOf,
} from '@parley/stream'
import { deviceReader, unpackBounce } from './bounces.ts'
import { deviceName, type RelayContext } from './context.ts'
import { createLink } from './link.ts'
import { createProgress } from './progress.ts'
import { createLinkMeter } from './rate.ts'
import type { Requests } from './requests.ts'
import { createLane, type Lane, type Router } from './router.ts'
import type { LiveSession, Sessions } from './sessions.ts'

export type DeviceSession = {
  /** Monotonic time of the last sign of life; with stanzas on their way, of their last acknowledgement. */
  readonly heard: number
  /** Monotonic time since which the oldest stanza on its way to the device is there; `undefined` when none is. */
  readonly delivering: number | undefined
  end(code: StreamCode): void
}

export type DeviceSessionParts = {
  readonly connection: Connection
  readonly sessions: Sessions
  readonly router: Router
  readonly requests: Requests
  registration(): RegistrationMode
  /** Keeps the relay open until the work is done. */
  track(work: Promise<unknown>): void
  onEnd(): void
}

/** Who may open an account: anybody, who has an invitation, or nobody. */
export type RegistrationMode = 'open' | 'invite' | 'closed'

type Proven = { readonly address: Login['address']; readonly device: Login['device']; readonly reader: string }
type Decision =
  | { readonly card: ReadCard; readonly key: Key; readonly account: 'known' | 'registered' }
  | { readonly refused: StreamCode; readonly wait?: number }

export function createDeviceSession(context: RelayContext, parts: DeviceSessionParts): DeviceSession {
  const { clock, limits, mailbox, directory, gate, telemetry } = context
  const { sessions, router, requests, registration, track, onEnd } = parts
  const server: C2sServer = createC2sServer({
    domain: context.domain,
    signer: context.signer,
    chain: context.keyChain,
    random: context.random,
    limits: limits.stream,
  })
  const link = createLink({
    ...context,
    connection: parts.connection,
    kind: 'device',
    meter: createLinkMeter(limits, telemetry),
    onFrame: (frame) => apply(server.receive(frame)),
    onClose: ended,
    onDrain: () => pump(),
  })
  const lane: Lane = createLane()
  const progress = createProgress(clock)
  let proven: Proven | undefined
  let live: LiveSession | undefined
  let isFlushing = false
  let isPumping = false
  let isAgain = false
  // Whether the log may hold what this connection has not carried.
  let isBehind = true
  let ackedBefore: Promise<unknown> | undefined
  let passing = 0
  // What is on its way to the device, and since when; as many as the window admits.
  const delivering: { readonly n: number; readonly at: number }[] = []

  function apply(out: C2sServerOutput): void {
    link.send(out.frames)
    for (const event of out.events) on(event)
  }

  function on(event: C2sServerEvent): void {
    if (event.kind === 'stanza') onStanza(event)
    else if (event.kind === 'acked') onAcked(event.h)
    else if (event.kind === 'request') run(onRequest(event))
    else if (event.kind === 'login') run(onLogin(event, clock.monotonic()))
    else {
      telemetry.count(`relay.device.ended.${event.by === 'here' ? event.code : 'by-device'}`)
      link.close(event.close, event.code)
    }
  }

  /** Whatever goes wrong in here ends this connection and nothing else. */
  function run(work: Promise<void>): void {
    track(work.catch(failed))
  }

  function failed(): void {
    telemetry.count('relay.device.failed')
    apply(server.end('internal'))
  }

  async function onLogin(
    { login, registration: offered }: Extract<C2sServerEvent, { kind: 'login' }>,
    came: number,
  ): Promise<void> {
    const wait = gate.login(link.peer)
    if (wait > 0) return void apply(server.end('rate-limited', { wait }))
    const decision = await decide(login, offered)
    if ('refused' in decision) {
      gate.failed(link.peer)
      // The same answer at the same time, whether the account exists or not.
      clock.at(came + limits.refusalDelayMs, () =>
        apply(server.end(decision.refused, decision.wait === undefined ? {} : { wait: decision.wait })),
      )
      return
    }
    await admit(login, decision)
  }

  async function decide(login: Login, offered: Registering | undefined): Promise<Decision> {
    const { address, device } = login
    if (offered !== undefined) return decideRegistration(login, offered)
    const card = await directory.head(address)
    const found = card === undefined ? undefined : deviceOn(card.card, device)
    if (card === undefined || found === undefined) return { refused: 'login-refused' }
    const key = keyOf(found.device)
    if (key === undefined || !server.proves(key, clock.now())) return { refused: 'login-refused' }
    return found.status === 'active' ? { card, key, account: 'known' } : { refused: 'device-removed' }
  }

  async function decideRegistration(login: Login, offered: Registering): Promise<Decision> {
    const mode = registration()
    if (mode === 'closed') return { refused: 'registration-closed' }
    const wait = gate.registration(link.peer)
    if (wait > 0) return { refused: 'rate-limited', wait }
    const read = readCard(offered.card)
    const found = read.ok ? deviceOn(read.card, login.device) : undefined
    const key = found?.status === 'active' ? keyOf(found.device) : undefined
    if (!read.ok || key === undefined || !server.proves(key, clock.now())) return { refused: 'registration-refused' }
    const { address, device } = login
    const outcome = await directory.register({
      address,
      device,
      card: read,
      statement: offered.statement,
      needsInvite: mode === 'invite',
      invite: offered.invite,
      now: clock.now(),
    })
    if (outcome === 'known' || outcome === 'registered') return { card: read, key, account: outcome }
    return { refused: outcome }
  }

  async function admit(login: Login, { key, account }: Exclude<Decision, { refused: StreamCode }>): Promise<void> {
    const { address, device, inc, position: mark } = login
    const reader = deviceReader(address, device)
    const { acked: position } = await mailbox.position(reader)
    if (mark?.epoch === mailbox.epoch && (await mailbox.ack(reader, mark.epoch, mark.n)) === 'beyond') {
      apply(server.end('ack-beyond'))
      return
    }
    const { acked: start } = await mailbox.position(reader)
    if (link.closed || server.state !== 'deciding') return
    const before = sessions.get(address, device)
    proven = { address, device, reader }
    link.name = deviceName(address, device)
    live = { inc, wake, give, pass, end }
    cancelTimeout()
    sessions.enter(live, proven)
    const cloned = before !== undefined && before.inc !== inc
    telemetry.count('relay.device.login')
    apply(server.admit({ key, account, epoch: mailbox.epoch, position, start, cloned }, clock.now()))
    // A card that removes the device may have come while this was decided, when there was no session to end yet.
    const card = await directory.head(address)
    if (card === undefined || deviceOn(card.card, device)?.status !== 'active') apply(server.end('device-removed'))
    pump()
  }

  function onStanza({ n, stanza }: Extract<C2sServerEvent, { kind: 'stanza' }>): void {
    telemetry.count('relay.device.stanza')
    const came = clock.monotonic()
    // No window holds ephemeral ones back, so what is too much is dropped.
    if (n === undefined && passing >= limits.stream.windowStanzas) return
    const wait = n === undefined ? 0 : gate.stanza(stanza.header.from, sizeOf(stanza))
    const settlement: Settlement | Promise<Settlement> =
      wait === 0
        ? router.route(stanza, { lane, federate: true, early: true })
        : { bounced: [{ id: stanza.header.id, code: 'rate-limited', retryable: true, wait }] }
    if (settlement instanceof Promise) {
      if (n === undefined) {
        passing++
        run(settlement.then(() => void passing--))
      } else settlement.then((settled) => settle(n, { settlement: settled, came }), failed)
    } else if (n !== undefined) settle(n, { settlement, came })
  }

  function settle(n: number, { settlement, came }: { readonly settlement: Settlement; readonly came: number }): void {
    server.settle(n, settlement)
    telemetry.measure('relay.stanza.accept_ms', clock.monotonic() - came)
    flushSoon()
  }

  // Stanzas that became durable in one turn of the mailbox are acknowledged together.
  function flushSoon(): void {
    if (isFlushing) return
    isFlushing = true
    Promise.resolve().then(() => {
      isFlushing = false
      apply(server.flush())
    })
  }

  function onAcked(h: number): void {
    if (proven === undefined) return
    progress.moved()
    const now = clock.monotonic()
    while ((delivering[0]?.n ?? Number.POSITIVE_INFINITY) <= h)
      telemetry.measure('relay.stanza.deliver_ms', now - (delivering.shift()?.at ?? now))
    // Before anything else is sent: what is acknowledged in time is not stored.
    const acked = mailbox.ack(proven.reader, mailbox.epoch, h)
    if (acked !== ackedBefore) acked.catch(failed)
    ackedBefore = acked
    if (isBehind) pump()
  }

  async function onRequest({ id, what, value }: Extract<C2sServerEvent, { kind: 'request' }>): Promise<void> {
    if (proven === undefined) return
    const answer = await requests.answer(what, value, { kind: 'device', ...proven })
    apply(server.respond(id, answer))
    if (link.bufferedBytes > 4 * limits.bufferedBytesMax) apply(server.end('overloaded'))
  }

  function pump(): void {
    if (isPumping) {
      isAgain = true
      return
    }
    isPumping = true
    isBehind = true
    run(
      drain().finally(() => {
        isPumping = false
        if (isAgain) {
          isAgain = false
          pump()
        }
      }),
    )
  }

  /** Sends what stands in the mailbox as far as the window and the connection take it; an acknowledgement or a drain goes on. */
  async function drain(): Promise<void> {
    while (proven !== undefined && server.space > 0 && link.bufferedBytes < limits.bufferedBytesMax && !link.closed) {
      const items = await mailbox.read(proven.reader, server.sent, {
        countMax: server.space,
        bytesMax: limits.stream.windowBytes,
      })
      if (items.length === 0) {
        isBehind = isAgain
        return
      }
      for (const item of items) {
        if (!server.room(item.entry.length + item.body.length) || link.bufferedBytes >= limits.bufferedBytesMax) return
        const bounce = unpackBounce(item.header)
        delivering.push({ n: item.n, at: clock.monotonic() })
        apply(bounce === undefined ? server.deliver(item.n, item) : server.deliverBounce(item.n, bounce, clock.now()))
      }
    }
  }

  function wake(n?: number): void {
    if (n === undefined || server.sent < n) pump()
  }

  function give(item: MailboxItem, after: number): boolean {
    // What the log holds goes first.
    if (isPumping || server.state !== 'ready' || link.closed || server.sent < after) return false
    if (!server.room(item.entry.length + item.body.length) || link.bufferedBytes >= limits.bufferedBytesMax) return false
    delivering.push({ n: item.n, at: clock.monotonic() })
    apply(server.deliver(item.n, item))
    return true
  }

  function pass(stored: StoredStanza): void {
    if (link.bufferedBytes < limits.bufferedBytesMax) apply(server.deliverEphemeral(stored))
  }

  function end(code: StreamCode): void {
    apply(server.end(code))
  }

  function ended(): void {
    cancelTimeout()
    if (live !== undefined && proven !== undefined) sessions.leave(live, proven)
    // Nothing more is sent, and what is being decided comes too late.
    server.end('internal')
    onEnd()
  }

  const cancelTimeout = clock.at(clock.monotonic() + limits.loginTimeoutMs, () => {
    if (server.state === 'login') apply(server.end('login-timeout'))
  })
  link.start()
  apply(server.open(clock.now()))
  return {
    get heard() {
      return Math.min(link.heard, progress.since(server.unacknowledged))
    },
    get delivering() {
      return delivering[0]?.at
    },
    end,
  }
}

function keyOf(device: CardDevice): Key | undefined {
  const result = readKey(device.signingKey)
  return result.ok ? result.key : undefined
}
