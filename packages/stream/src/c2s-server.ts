/**
 * The relay's end of a stream to a device (design §5), without I/O. It speaks first; before login it takes one small frame and
 * does no signature work by itself: its owner looks the device up, then admits or refuses it.
 * @module
 */
import { assert, type Domain, type JsonObject, type Random } from '@parley/core'
import type { Key } from '@parley/jose'
import { signBounce } from './bounce.ts'
import { type RequestCode, requestCodes, type StreamCode } from './codes.ts'
import { createEndpoint, type FatalEvent, type Output } from './endpoint.ts'
import type { Bounce, Frame, StanzaFrame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { type Login, readLogin, signWelcome, verifyLogin, type Welcome } from './login.ts'
import { type Claimed, makeNonce, relayKeyJson } from './proof.ts'
import { createReceiver, type Receiver, type Settlement } from './receiver.ts'
import type { Succession } from './relay-key-succession.ts'
import { createSender, type Sender, sizeOf } from './sender.ts'
import { type StoredStanza, unpackFrame } from './stored.ts'

export type C2sServerOptions = {
  readonly domain: Domain
  /** The relay's signing key. */
  readonly signer: Key
  /** How the relay's earlier keys led to this one, for devices that pinned one of those. */
  readonly chain?: readonly Succession[]
  readonly random: Random
  readonly limits?: Partial<StreamLimits>
}

/** What a device opens its account with. */
export type Registering = { readonly card: string; readonly statement: string; readonly invite?: string }

export type C2sServerEvent =
  /** Somebody claims to be this device: answer with `admit` or `refuse`. */
  | {
      readonly kind: 'login'
      readonly login: Login
      readonly registration: Registering | undefined
    }
  /** Settle it by its `n`; without one nobody waits. */
  | { readonly kind: 'stanza'; readonly n: number | undefined; readonly stanza: StanzaFrame }
  /** The device has handled its mailbox up to `h`. */
  | { readonly kind: 'acked'; readonly h: number }
  | { readonly kind: 'request'; readonly id: string; readonly what: string; readonly value: JsonObject }
  | FatalEvent<'device'>

export type C2sServerOutput = Output<C2sServerEvent>

export type Admission = {
  /** The device's signing key, as its account's current card has it. */
  readonly key: Key
  readonly account: 'known' | 'registered'
  readonly epoch: string
  /** What this device has acknowledged so far. */
  readonly position: number
  /** Where this stream begins. */
  readonly start: number
  readonly cloned: boolean
}

export interface C2sServer {
  readonly state: 'login' | 'deciding' | 'ready' | 'ended'
  /** Positions up to here were sent on this stream, or handled before it. */
  readonly sent: number
  open(now: number): C2sServerOutput
  receive(frame: Uint8Array): C2sServerOutput
  /** Whether the login that waits was signed with this key, for this relay and socket. Signature work happens here. */
  proves(key: Key, now: number): boolean
  /** Lets the device in; ask `proves` before. */
  admit(admission: Admission, now: number): C2sServerOutput
  /** Ends the stream; `wait` tells in how many milliseconds trying again makes sense. */
  end(code: StreamCode, options?: { readonly wait?: number }): C2sServerOutput
  settle(n: number, settlement: Settlement): void
  /** The acknowledgement that is due after settling. */
  flush(): C2sServerOutput
  /** Whether the device's window takes another stanza of this size. */
  room(bytes: number): boolean
  /** Stanzas that the window may still take. */
  readonly space: number
  /** Stanzas sent and not acknowledged. */
  readonly unacknowledged: number
  /** Sends what stands at position `n` of the mailbox. */
  deliver(n: number, stored: StoredStanza): C2sServerOutput
  /** Sends a bounce that stands at position `n` of the mailbox. */
  deliverBounce(n: number, bounce: Bounce, now: number): C2sServerOutput
  deliverEphemeral(stored: StoredStanza): C2sServerOutput
  respond(
    id: string,
    answer: { readonly ok: true; readonly value: JsonObject } | { readonly ok: false; readonly code: RequestCode },
  ): C2sServerOutput
}

export function createC2sServer(options: C2sServerOptions): C2sServer {
  const { domain, signer } = options
  const limits = { ...streamLimits, ...options.limits }
  const nonce = makeNonce(options.random)
  let waiting: { readonly login: Login; readonly claimed: Claimed } | undefined
  // What is left of the login once it is decided: most connections do nothing for long.
  let proven: Pick<Login, 'address' | 'device'> | undefined
  let sender: Sender | undefined
  let receiver: Receiver | undefined
  let requests: Set<string> | undefined
  const endpoint = createEndpoint<C2sServerEvent, C2sServer['state'], 'device'>({ state: 'login', other: 'device' })
  const { put, tell, fatal, output } = endpoint

  function onLogin(frame: Frame): undefined {
    if (frame.t !== 'login' && frame.t !== 'register') return fatal('frame-unexpected')
    const read = readLogin(frame.jws)
    if (read === undefined) return fatal('frame-malformed')
    // Said before the account is looked up, so it tells nothing about it: the nonce is of another socket.
    if (read.login.nonce !== nonce) return fatal('login-stale')
    const isOurs = read.login.domain === domain && read.login.address.endsWith(`@${domain}`)
    if (!isOurs) return fatal('domain-unknown')
    endpoint.state = 'deciding'
    waiting = read
    const registration =
      frame.t === 'register'
        ? { card: frame.card, statement: frame.statement, ...(frame.invite === undefined ? {} : { invite: frame.invite }) }
        : undefined
    tell({ kind: 'login', login: read.login, registration })
  }

  function onStanza(stanza: StanzaFrame): undefined {
    assert(receiver !== undefined && proven !== undefined, 'a receiver exists once the stream is ready')
    const taken = receiver.take(stanza.place, sizeOf(stanza))
    if (taken === 'gap') return fatal('stanza-gap')
    if (taken === 'again') return
    if (stanza.header.from !== proven.address || stanza.header.device !== proven.device) return fatal('stanza-not-yours')
    if (receiver.count > limits.windowStanzas || (receiver.count > 1 && receiver.bytes > limits.windowBytes))
      return fatal('window-exceeded')
    tell({ kind: 'stanza', n: stanza.place.n, stanza })
  }

  function onReady(frame: Frame): undefined {
    if (frame.t === 'stanza') onStanza(frame)
    else if (frame.t === 'ack') {
      assert(sender !== undefined, 'a sender exists once the stream is ready')
      const result = sender.ack({ t: 'ack', epoch: frame.epoch, h: frame.h })
      if (result.outcome === 'fatal') fatal(result.code)
      else if (result.outcome === 'released') tell({ kind: 'acked', h: result.h })
    } else if (frame.t === 'request') {
      const { id, what, value } = frame
      requests ??= new Set()
      if (requests.size >= limits.requestsMax || requests.has(id))
        return put({ t: 'response', id, ok: false, code: 'too-many-requests', retryable: true })
      requests.add(id)
      tell({ kind: 'request', id, what, value })
    } else if (frame.t === 'ping') put({ t: 'pong' })
    else if (frame.t !== 'pong') fatal('frame-unexpected')
  }

  return {
    get state() {
      return endpoint.state
    },
    get sent() {
      return sender?.last ?? 0
    },
    open(now) {
      put({ t: 'challenge', nonce, domain, time: now })
      return output()
    },
    receive(bytes) {
      if (endpoint.state === 'ended') return output()
      const isEarly = endpoint.state === 'login' || endpoint.state === 'deciding'
      const frame = endpoint.read(bytes, isEarly ? { ...limits, frameBytesMax: limits.loginFrameBytesMax } : limits)
      if (frame === undefined) return output()
      if (endpoint.state === 'login') onLogin(frame)
      else if (endpoint.state === 'ready') onReady(frame)
      // Before login there is one frame, and its answer has not come yet.
      else fatal('frame-unexpected')
      return output()
    },
    proves(key, now) {
      if (endpoint.state !== 'deciding' || waiting === undefined || waiting.login.device !== key.thumbprint) return false
      return verifyLogin(waiting.claimed, { domain, key, now, lifetimeMs: limits.proofLifetimeMs })
    },
    admit({ account, epoch, position, start, cloned }, now) {
      if (endpoint.state !== 'deciding' || waiting === undefined) return output()
      const { windowStanzas, windowBytes } = limits
      const { ownNonce, address, device } = waiting.login
      const welcome: Welcome = { epoch, time: now, start, position, account, cloned, windowStanzas, windowBytes }
      const jws = signWelcome(welcome, { nonce, ownNonce, address, signer, now, lifetimeMs: limits.proofLifetimeMs })
      const { chain = [] } = options
      put({ t: 'welcome', jws, key: relayKeyJson(signer), ...(chain.length === 0 ? {} : { chain }) })
      sender = createSender({ epoch, start, windowStanzas, windowBytes })
      receiver = createReceiver({ epoch: ownNonce, start: 0 })
      endpoint.state = 'ready'
      proven = { address, device }
      waiting = undefined
      return output()
    },
    end(code, more) {
      fatal(code, more)
      return output()
    },
    settle(n, settlement) {
      receiver?.settle(n, settlement)
    },
    flush() {
      const ack = endpoint.state === 'ready' ? receiver?.flush() : undefined
      if (ack !== undefined) put(ack)
      return output()
    },
    get unacknowledged() {
      return sender?.count ?? 0
    },
    get space() {
      return endpoint.state === 'ready' ? (sender?.space ?? 0) : 0
    },
    room: (bytes) => endpoint.state === 'ready' && sender?.room(bytes) === true,
    deliver(n, stored) {
      if (endpoint.state === 'ready' && sender !== undefined) {
        endpoint.write(unpackFrame(stored, sender.add(n, stored.entry.length + stored.body.length)))
      }
      return output()
    },
    deliverBounce(n, bounce, now) {
      if (endpoint.state === 'ready' && sender !== undefined && proven !== undefined) {
        const jws = signBounce(bounce, { signer, address: proven.address, now })
        put({ t: 'bounced', ...bounce, place: sender.add(n, 0), jws })
      }
      return output()
    },
    deliverEphemeral(stored) {
      if (endpoint.state === 'ready' && sender !== undefined) endpoint.write(unpackFrame(stored, sender.pass()))
      return output()
    },
    respond(id, answer) {
      if (endpoint.state === 'ready' && requests?.delete(id) === true) put({ t: 'response', id, ...responseOf(answer) })
      return output()
    },
  }
}

type Answer = Parameters<C2sServer['respond']>[1]

/** The members of a response frame. */
export function responseOf(
  answer: Answer,
):
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly code: string; readonly retryable: boolean } {
  return answer.ok ? answer : { ok: false, code: answer.code, retryable: requestCodes[answer.code].retryable }
}
