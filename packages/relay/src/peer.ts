/**
 * The way out to one other domain (design §5): one connection, dialled while there is something to say, drained from the domain's
 * durable log; retried with backoff. What the other relay does not take is told to the sender's mailbox before it leaves the log.
 * @module
 */
import type { Connection, JsonObject } from '@parley/core'
import {
  createS2sInitiator,
  type S2sInitiator,
  type S2sInitiatorEvent,
  type S2sInitiatorOutput,
  type StoredStanza,
} from '@parley/stream'
import { domainReader, type Origin } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { KeysOfDomains } from './domain-keys.ts'
import { createLinks, type Link } from './link.ts'
import { moved, type Progress, waitingSince } from './progress.ts'
import { createQuestions } from './questions.ts'
import type { Answer } from './requests.ts'
import { createReturns, positionOf, type Sent } from './returns.ts'
import type { Way } from './routes.ts'

export interface Peer {
  readonly way: Way
  /** What it is doing, for those who run the relay. `nextAttempt` in wall clock milliseconds. */
  readonly status: PeerStatus
  /** Nothing is under way, and nothing waits in memory. */
  readonly isIdle: boolean
  /** Connected, with both proofs given. */
  readonly isReady: boolean
  /** There may be something in the log. */
  wake(): void
  /** The other relay is there: no need to wait before the next attempt. */
  hint(): void
  /** Passes on what is never stored; nothing is promised. */
  pass(stored: StoredStanza): void
  request(what: string, value: JsonObject): Promise<Answer>
  /** Pings a silent connection, and gives up one that stays silent. */
  sweep(now: number): void
  close(): void
}

/** How a connection to another relay stands, and what ended the last one. */
export type PeerStatus = {
  readonly state: 'idle' | 'connecting' | 'ready' | 'waiting' | 'closed'
  readonly nextAttempt?: number
  readonly reason?: string
}

export type PeerParts = {
  readonly way: Way
  readonly keys: KeysOfDomains
  /** `guarded` refuses addresses that are not public. */
  dial(url: string, options: { readonly guarded: boolean }): Promise<Connection>
  /** It was never reached for so long that there is probably no such domain. */
  onUnreachable(): void
  /** Card versions that the other relay has told. */
  onCards(cards: Readonly<Record<string, number>>): void
  /** The sender's mailbox got a bounce. */
  onBounce(origin: Origin): void
  track(work: Promise<unknown>): void
}

type Acked = Extract<S2sInitiatorEvent, { kind: 'acked' }>
type Live = Link & Own
type Own = {
  readonly stream: S2sInitiator
  readonly progress: Progress
  readonly sent: Sent[]
  /** What is acknowledged from now on is sent again. */
  isOver: boolean
}

export function createPeer(context: RelayContext, parts: PeerParts): Peer {
  const { domain, clock, limits, mailbox, random, telemetry } = context
  const { way, keys, dial, onCards, onBounce, track } = parts
  const reader = domainReader(way.domain)
  const questions = createQuestions(context, { onCards })
  const returns = createReturns(context, { domain: way.domain, onBounce })
  const links = createLinks<Own>({
    ...context,
    kind: 'relay',
    onFrame: (mine, frame) => apply(mine, mine.stream.receive(frame)),
    onClose: lost,
    onDrain: pump,
  })
  let state: 'idle' | 'connecting' | 'live' | 'waiting' | 'closed' = 'idle'
  let live: Live | undefined
  let attempts = 0
  let reason: string | undefined
  let nextAttempt: number | undefined
  let used = clock.monotonic()
  /** Since when it cannot be reached; -1 once it was. */
  let unreachedSince: number | undefined
  let cancelRetry = (): void => {}
  let isPumping = false
  let isAgain = false
  // Acknowledgements with bounces are worked off one after another, and what comes behind them waits: bounces are durable before their
  // stanzas leave the log.
  let acks: Promise<void> = Promise.resolve()
  let acksWaiting = 0
  // The last deletion under way.
  let deleting: Promise<void> = Promise.resolve()

  function wake(): void {
    used = clock.monotonic()
    if (state === 'idle') connect()
    else if (state === 'live') pump()
  }

  function connect(): void {
    state = 'connecting'
    track(
      open().catch(() => {
        telemetry.count('relay.peer.dial_failed')
        notReached('unreachable')
      }),
    )
  }

  // It is tried again and again: said once, until something else happens.
  function notReached(code: string): void {
    if (reason !== code) telemetry.event('relay.peer.not_reached', { peer: way.domain, code })
    reason = code
    retry()
  }

  async function open(): Promise<void> {
    const known = await keys.find(way)
    if (known === undefined) {
      telemetry.count('relay.peer.no_keys')
      notReached('keys-unavailable')
      return
    }
    const connection = await dial(known.url, { guarded: way.url === undefined })
    // What the other relay has need not go again.
    await deleting
    const { acked: start } = await mailbox.position(reader)
    if (state !== 'connecting') {
      connection.close(1000, '')
      return
    }
    const stream = createS2sInitiator({
      initiating: domain,
      accepting: way.domain,
      signer: context.signer,
      isPeerKey: (thumbprint) => known.keys.has(thumbprint),
      epoch: mailbox.epoch,
      start,
      random,
      limits: limits.stream,
    })
    const mine = links.open(connection, { stream, progress: { at: clock.monotonic() }, sent: [], isOver: false })
    mine.name = way.domain
    live = mine
    links.start(mine)
  }

  function apply(mine: Live, out: S2sInitiatorOutput): void {
    links.send(mine, out.frames)
    for (const event of out.events) on(mine, event)
  }

  function on(mine: Live, event: S2sInitiatorEvent): void {
    if (event.kind === 'ready') {
      state = 'live'
      reason = undefined
      unreachedSince = -1
      telemetry.count('relay.peer.ready')
      telemetry.event('relay.peer.ready', { peer: way.domain })
      questions.connected((what, value) => {
        const { id, ...out } = mine.stream.request(what, value)
        apply(mine, out)
        return id
      })
      pump()
    } else if (event.kind === 'acked') {
      if (acksWaiting === 0 && event.bounced.length === 0) onHandled(mine, event)
      else inTurn(mine, () => onAcked(mine, event))
    } else if (event.kind === 'response') questions.answered(event)
    else if (event.kind === 'fatal') {
      telemetry.count(`relay.peer.ended.${event.by === 'here' ? event.code : 'by-peer'}`)
      ended(event.code, event.by)
      // The other relay may have new keys.
      if (event.code === 'proof-refused') track(keys.find(way, { fresh: true }))
      mine.connection.close(event.close, event.code)
    }
  }

  function ended(code: string, by: 'here' | 'peer' | 'network'): void {
    telemetry.event('relay.peer.ended', { peer: way.domain, code, by })
    reason = code
  }

  function inTurn(mine: Live, work: () => Promise<void>): void {
    acksWaiting++
    acks = acks
      .then(work)
      .catch(() => startOver(mine))
      .finally(() => acksWaiting--)
    track(acks)
  }

  function onHandled(mine: Live, { h, cards }: Acked): void {
    if (mine.isOver) return
    moved(mine.progress, clock.monotonic())
    onCards(cards)
    release(mine, h)
  }

  /** The other relay has everything up to `h`: the next ones go, then the log lets go of these. */
  function release(mine: Live, h: number): void {
    attempts = 0
    const { sent } = mine
    let count = 0
    while (count < sent.length && (sent[count]?.n ?? 0) <= h) count++
    sent.splice(0, count)
    pump()
    deleting = mailbox.ack(reader, mailbox.epoch, h).then(noted, () => startOver(mine))
    track(deleting)
  }

  async function onAcked(mine: Live, { h, cards, bounced }: Acked): Promise<void> {
    // What comes behind a refused stanza is sent again with it.
    if (mine.isOver) return
    moved(mine.progress, clock.monotonic())
    onCards(cards)
    const again = returns.refusedNow(mine.sent, bounced)
    for (const bounce of bounced) {
      const n = positionOf(mine.sent, bounce.id)
      if (n !== undefined && (again === undefined || n < again)) await returns.handBack(mine.sent, bounce)
    }
    if (again !== undefined) {
      await mailbox.ack(reader, mailbox.epoch, again - 1)
      startOver(mine)
      return
    }
    release(mine, h)
    await deleting
  }

  /** What the store or the other relay did not take just now is still in the log: it goes again on the next connection. */
  function startOver(mine: Live): void {
    telemetry.count('relay.peer.started_over')
    mine.isOver = true
    apply(mine, mine.stream.end('internal'))
  }

  function maySend(mine: Live | undefined): mine is Live {
    return mine !== undefined && mine.stream.space > 0 && mine.connection.bufferedBytes < limits.bufferedBytesMax
  }

  function pump(): void {
    if (!maySend(live)) return
    if (isPumping) {
      isAgain = true
      return
    }
    isPumping = true
    track(
      drain()
        .catch(() => telemetry.count('relay.peer.failed'))
        .finally(() => {
          isPumping = false
          if (isAgain) {
            isAgain = false
            pump()
          }
        }),
    )
  }

  async function drain(): Promise<void> {
    for (;;) {
      const mine = live
      if (!maySend(mine)) return
      const items = await mailbox.read(reader, mine.stream.sent, {
        countMax: mine.stream.space,
        bytesMax: limits.stream.windowBytes,
      })
      if (items.length === 0 || mine !== live) return
      for (const item of items) {
        if (!mine.stream.room(item.entry.length + item.body.length) || mine.connection.bufferedBytes >= limits.bufferedBytesMax)
          return
        mine.sent.push({ n: item.n, header: item.header })
        apply(mine, mine.stream.deliver(item.n, item))
      }
    }
  }

  function lost(mine: Live): void {
    if (mine.stream.state !== 'ended') ended('connection-lost', 'network')
    if (live === mine) live = undefined
    if (state !== 'closed') retry()
  }

  function retry(): void {
    if (state === 'closed') return
    state = 'waiting'
    live = undefined
    const now = clock.monotonic()
    unreachedSince ??= now
    if (way.url === undefined && unreachedSince >= 0 && now - unreachedSince >= limits.undiscoveredMs) {
      unreachedSince = undefined
      parts.onUnreachable()
    }
    questions.lost()
    const step = Math.min(limits.retryMsMax, limits.retryMsMin * 2 ** attempts)
    attempts = Math.min(attempts + 1, 30)
    // Between half and the whole of the step, so that relays that lost one another do not return all at once.
    const jitter = ((random.bytes(1)[0] ?? 0) / 255) * (step / 2)
    nextAttempt = clock.now() + step / 2 + jitter
    cancelRetry = clock.at(now + step / 2 + jitter, () => {
      state = 'idle'
      track(resume())
    })
  }

  async function resume(): Promise<void> {
    const { count } = await mailbox.stats(reader)
    if (count > 0 || questions.count > 0) wake()
  }

  function request(what: string, value: JsonObject): Promise<Answer> {
    const isFull = questions.count >= limits.remoteRequestsMax
    if (isFull) telemetry.count('relay.limit.remoteRequestsMax')
    if (isFull || state === 'closed') return Promise.resolve({ ok: false, code: 'unavailable' })
    used = clock.monotonic()
    const answer = questions.ask(what, value)
    if (state !== 'live') wake()
    return answer
  }

  return {
    way,
    get status(): PeerStatus {
      return {
        state: state === 'live' ? 'ready' : state,
        ...(state === 'waiting' && nextAttempt !== undefined ? { nextAttempt } : {}),
        ...(reason === undefined ? {} : { reason }),
      }
    },
    get isIdle() {
      return state === 'idle' && questions.count === 0
    },
    get isReady() {
      return state === 'live'
    },
    wake,
    hint() {
      if (state !== 'waiting') return
      cancelRetry()
      attempts = 0
      state = 'idle'
      track(resume())
    },
    pass(stored) {
      used = clock.monotonic()
      if (live !== undefined && state === 'live' && live.connection.bufferedBytes < limits.bufferedBytesMax)
        apply(live, live.stream.deliverEphemeral(stored))
      else telemetry.count('relay.ephemeral.dropped')
    },
    request,
    sweep(now) {
      if (live === undefined) return
      const isQuiet = live.stream.unacknowledged === 0 && questions.count === 0 && now - used > limits.peerIdleMs
      if (way.url === undefined && isQuiet) return void apply(live, live.stream.end('idle'))
      const silence = now - Math.min(live.heard, waitingSince(live.progress, live.stream.unacknowledged, now))
      if (silence > limits.idleMs) apply(live, live.stream.end('idle'))
      else if (silence > limits.idleMs / 3) apply(live, live.stream.ping())
    },
    close() {
      state = 'closed'
      cancelRetry()
      questions.close()
      if (live !== undefined) apply(live, live.stream.end('going-away'))
    },
  }
}

function noted(): void {}
