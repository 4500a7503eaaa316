/**
 * The device's end of a stream to its relay (design §5), without I/O: octets that came in go to `receive`, what it answers is
 * sent and acted upon. One per connection; what is not accepted when a connection ends is sent again, in order, on the next.
 * @module
 */
import {
  type Address,
  assert,
  type DeviceId,
  type Domain,
  domainOf,
  type JsonObject,
  type Random,
  type StanzaId,
} from '@parley/core'
import { type Jwk, type Key, thumbprint } from '@parley/jose'
import { verifyBounce } from './bounce.ts'
import { createEndpoint, type FatalEvent, fatal, type Output, output, put, readNext, tell } from './endpoint.ts'
import type { CardVersions, Frame, StanzaClass, StanzaEntry, StanzaFrame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { type MailboxMark, readWelcome, signLogin, type Welcome } from './login.ts'
import { makeNonce, readRelayKey } from './proof.ts'
import { createReceiver, type Receiver } from './receiver.ts'
import { followsTo } from './relay-key-succession.ts'
import { createSender, type Sender, sizeOf } from './sender.ts'

export type C2sClientOptions = {
  readonly address: Address
  readonly device: DeviceId
  /** The device's signing key. */
  readonly signer: Key
  /** 64 random bits that name this incarnation of the device's store. */
  readonly inc: string
  /** How far the mailbox was handled, if it ever was. */
  readonly position: MailboxMark | undefined
  /** Thumbprint of the relay's key; without one, the first key that comes is reported by `ready` to be pinned. */
  readonly relayKey: string | undefined
  readonly random: Random
  /** Opens the account with its first card and the device's first statement. */
  readonly register?: { readonly card: string; readonly statement: string; readonly invite?: string }
  readonly limits?: Partial<StreamLimits>
}

/** A stanza to send: `from` and `device` are the client's own. */
export type OutgoingStanza = {
  readonly id: StanzaId
  readonly to: readonly Address[]
  readonly class: StanzaClass
  readonly sent: number
  readonly expiry: number
  readonly entries: readonly StanzaEntry[]
  readonly body: Uint8Array
}

/** A stanza for this device: `n` is to be given to `handled` once it is durable here; ephemeral ones have none. */
export type IncomingStanza = {
  readonly n: number | undefined
  readonly id: StanzaId
  readonly from: Address
  readonly device: DeviceId
  readonly to: readonly Address[]
  readonly class: StanzaClass
  readonly sent: number
  readonly expiry: number
  /** This device's entry; empty when the stanza had none for it. */
  readonly entry: Uint8Array
  readonly body: Uint8Array
}

export type C2sEvent =
  /** Logged in. `relayKey` is the thumbprint to pin. */
  | { readonly kind: 'ready'; readonly welcome: Welcome; readonly relayKey: string; readonly relayJwk: Jwk }
  | { readonly kind: 'stanza'; readonly stanza: IncomingStanza }
  /** The promise is durable at the recipients' side, for those in `to`; card versions as far as the relay knows them. */
  | { readonly kind: 'accepted'; readonly id: StanzaId; readonly to: readonly Address[]; readonly cards: CardVersions }
  /** A relay gave up, for those in `to`. With `n` it stood in the mailbox: durable first, then `handled(n)`. `jws` is the relay's signed word. */
  | {
      readonly kind: 'bounced'
      readonly id: StanzaId
      readonly to: readonly Address[] | undefined
      readonly code: string
      readonly retryable: boolean
      /** Milliseconds until trying again makes sense. */
      readonly wait?: number
      readonly n: number | undefined
      readonly jws: string | undefined
    }
  /** The relay has settled everything up to the h-th stanza of this connection. */
  | { readonly kind: 'acked'; readonly h: number }
  | { readonly kind: 'response'; readonly id: string; readonly ok: true; readonly value: JsonObject }
  | {
      readonly kind: 'response'
      readonly id: string
      readonly ok: false
      readonly code: string
      readonly retryable: boolean
      /** Milliseconds until asking again makes sense, as far as the relay said. */
      readonly wait?: number
    }
  /** The window has room again after `writable` was false. */
  | { readonly kind: 'writable' }
  | { readonly kind: 'pong' }
  | FatalEvent<'relay'>

/** What is to be done: send these frames, then act on these events, both in order. */
export type C2sOutput = Output<C2sEvent>

export interface C2sClient {
  readonly state: 'challenge' | 'welcome' | 'ready' | 'ended'
  /** Whether the next stanza would go at once. Stanzas sent meanwhile wait in memory, in order. */
  readonly writable: boolean
  /** Stanzas sent here and not settled by the relay, the waiting ones included, in order. */
  readonly unsettled: readonly StanzaId[]
  /** `now` in milliseconds by the device's wall clock. */
  receive(frame: Uint8Array, now: number): C2sOutput
  send(stanza: OutgoingStanza): C2sOutput
  /** Everything up to and including position `n` is durable here. */
  handled(n: number): C2sOutput
  /** Asks the relay; the answer is the event `response` with this id. */
  request(what: string, value: JsonObject): C2sOutput & { readonly id: string }
  /** Asks for a sign of life; any frame is one. */
  ping(): C2sOutput
}

type Sent = { readonly n: number; readonly id: StanzaId; readonly to: readonly Address[] }

export function createC2sClient(options: C2sClientOptions): C2sClient {
  const { address, device, signer, inc, position, random } = options
  const limits = { ...streamLimits, ...options.limits }
  const domain: Domain = domainOf(address)
  const ownNonce = makeNonce(random)
  const waiting: OutgoingStanza[] = []
  const sent: Sent[] = []
  let nonce = ''
  let relayKey: Key | undefined
  // The relay's time minus ours.
  let offset = 0
  let sender: Sender | undefined
  let receiver: Receiver | undefined
  let numbered = 0
  let requests = 0
  const endpoint = createEndpoint<C2sEvent, C2sClient['state'], 'relay'>({ state: 'challenge', other: 'relay' })

  function onChallenge(frame: Frame & { t: 'challenge' }): undefined {
    // The domain that was dialled is that of the own address; another relay's challenge is not signed.
    if (frame.domain !== domain) return fatal(endpoint, 'domain-unknown')
    nonce = frame.nonce
    endpoint.state = 'welcome'
    const login = { nonce, ownNonce, domain, address, device, inc, position }
    // The relay's own time goes in: it is what the relay compares, and the device's clock may be wrong.
    const jws = signLogin(login, { signer, now: frame.time, lifetimeMs: limits.proofLifetimeMs })
    put(endpoint, options.register === undefined ? { t: 'login', jws } : { t: 'register', jws, ...options.register })
  }

  function onWelcome(frame: Frame & { t: 'welcome' }, now: number): undefined {
    const key = readRelayKey(frame.key)
    if (key?.publicJwk === undefined) return fatal(endpoint, 'proof-refused')
    const found = thumbprint(key.publicJwk)
    const { relayKey: pinned } = options
    if (pinned !== undefined && found !== pinned && !followsTo(frame.chain ?? [], { domain, from: pinned, to: found }))
      return fatal(endpoint, 'relay-key-changed')
    const welcome = readWelcome(frame.jws, { nonce, ownNonce, address, key, now, lifetimeMs: limits.proofLifetimeMs })
    if (welcome === undefined) return fatal(endpoint, 'proof-refused')
    relayKey = key
    offset = welcome.time - now
    endpoint.state = 'ready'
    const windowStanzas = Math.min(limits.windowStanzas, welcome.windowStanzas)
    const windowBytes = Math.min(limits.windowBytes, welcome.windowBytes)
    // Numbers of this direction belong to this connection: its own nonce is their epoch.
    sender = createSender({ epoch: ownNonce, start: 0, windowStanzas, windowBytes })
    receiver = createReceiver({ epoch: welcome.epoch, start: welcome.start })
    tell(endpoint, { kind: 'ready', welcome, relayKey: found, relayJwk: key.publicJwk })
    pump()
  }

  function pump(): undefined {
    while (endpoint.state === 'ready' && sender !== undefined) {
      const next = waiting[0]
      if (next === undefined) break
      const bytes = sizeOf(next)
      if (next.class === 'durable' && !sender.room(bytes)) break
      waiting.shift()
      const { entries, body, ...rest } = next
      const header = { ...rest, from: address, device }
      if (next.class === 'ephemeral') {
        put(endpoint, { t: 'stanza', place: sender.pass(), header, entries, body })
        continue
      }
      numbered++
      const place = sender.add(numbered, bytes)
      sent.push({ n: numbered, id: next.id, to: next.to })
      put(endpoint, { t: 'stanza', place, header, entries, body })
    }
  }

  function onStanza({ place, header, entries, body }: StanzaFrame): undefined {
    assert(receiver !== undefined, 'a receiver exists once the stream is ready')
    const taken = receiver.take(place, 0)
    if (taken === 'gap') return fatal(endpoint, 'stanza-gap')
    if (taken === 'again') return
    const entry = (entries.find((item) => item.device === device) ?? entries.find((item) => item.device === '*'))?.octets
    tell(endpoint, { kind: 'stanza', stanza: { n: place.n, ...header, entry: entry ?? new Uint8Array(0), body } })
  }

  function onBounced(frame: Frame & { t: 'bounced' }, now: number): undefined {
    assert(receiver !== undefined && relayKey !== undefined, 'a receiver exists once the stream is ready')
    const { place, id, to, code, retryable, jws } = frame
    const taken = receiver.take(place, 0)
    if (taken === 'gap') return fatal(endpoint, 'stanza-gap')
    if (taken === 'again') return
    if (!verifyBounce(frame, { key: relayKey, address, now: now + offset })) return fatal(endpoint, 'proof-refused')
    tell(endpoint, { kind: 'bounced', id, to, code, retryable, n: place.n, jws })
  }

  function onAck(frame: Frame & { t: 'ack' }): undefined {
    assert(sender !== undefined, 'a sender exists once the stream is ready')
    const wasWritable = isWritable()
    const result = sender.ack(frame)
    if (result.outcome === 'fatal') return fatal(endpoint, result.code)
    if (result.outcome === 'ignored') return
    while ((sent[0]?.n ?? Number.POSITIVE_INFINITY) <= result.h) {
      const stanza = sent.shift()
      if (stanza !== undefined) settle(stanza, frame)
    }
    tell(endpoint, { kind: 'acked', h: result.h })
    pump()
    if (!wasWritable && isWritable()) tell(endpoint, { kind: 'writable' })
  }

  function settle({ id, to }: Sent, frame: Frame & { t: 'ack' }): undefined {
    const bounces = (frame.bounced ?? []).filter((bounce) => bounce.id === id)
    for (const { to: some, code, retryable, wait } of bounces) {
      const more = wait === undefined ? {} : { wait }
      tell(endpoint, { kind: 'bounced', id, to: some, code, retryable, ...more, n: undefined, jws: undefined })
    }
    if (bounces.some((bounce) => bounce.to === undefined)) return
    const accepted = to.filter((one) => !bounces.some((bounce) => bounce.to?.includes(one)))
    if (accepted.length === 0) return
    const cards = Object.fromEntries(
      accepted.flatMap((one) => (frame.cards?.[one] === undefined ? [] : [[one, frame.cards[one]]])),
    )
    tell(endpoint, { kind: 'accepted', id, to: accepted, cards })
  }

  function isWritable(): boolean {
    return endpoint.state === 'ready' && waiting.length === 0 && sender?.room(0) === true
  }

  function onReady(frame: Frame, now: number): undefined {
    if (frame.t === 'stanza') onStanza(frame)
    else if (frame.t === 'ack') onAck(frame)
    else if (frame.t === 'bounced') onBounced(frame, now)
    else if (frame.t === 'response') {
      const { t: _, ...response } = frame
      tell(endpoint, { kind: 'response', ...response })
    } else if (frame.t === 'ping') put(endpoint, { t: 'pong' })
    else if (frame.t === 'pong') tell(endpoint, { kind: 'pong' })
    else fatal(endpoint, 'frame-unexpected')
  }

  return {
    get state() {
      return endpoint.state
    },
    get writable() {
      return isWritable()
    },
    get unsettled() {
      return [...sent.map(({ id }) => id), ...waiting.map(({ id }) => id)]
    },
    receive(bytes, now) {
      if (endpoint.state === 'ended') return output(endpoint)
      const frame = readNext(endpoint, bytes, limits)
      if (frame === undefined) return output(endpoint)
      if (endpoint.state === 'ready') onReady(frame, now)
      else if (endpoint.state === 'challenge' && frame.t === 'challenge') onChallenge(frame)
      else if (endpoint.state === 'welcome' && frame.t === 'welcome') onWelcome(frame, now)
      else fatal(endpoint, 'frame-unexpected')
      return output(endpoint)
    },
    send(stanza) {
      if (endpoint.state !== 'ended') {
        waiting.push(stanza)
        pump()
      }
      return output(endpoint)
    },
    handled(n) {
      if (endpoint.state === 'ready' && receiver !== undefined) {
        receiver.settleUpTo(n)
        const ack = receiver.flush()
        if (ack !== undefined) put(endpoint, { t: 'ack', epoch: ack.epoch, h: ack.h })
      }
      return output(endpoint)
    },
    request(what, value) {
      requests++
      const id = String(requests)
      if (endpoint.state === 'ready') put(endpoint, { t: 'request', id, what, value })
      return { id, ...output(endpoint) }
    },
    ping() {
      if (endpoint.state === 'ready') put(endpoint, { t: 'ping' })
      return output(endpoint)
    },
  }
}
