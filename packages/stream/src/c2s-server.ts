/**
 * The relay's end of a stream to a device (design §5), without I/O. It speaks first; before login it takes one small frame and
 * does no signature work by itself: its owner looks the device up, then admits or refuses it.
 * @module
 */
import { assert, type Domain, type JsonObject, type Random } from '@parley/core'
import type { Key } from '@parley/jose'
import { signBounce } from './bounce.ts'
import { type RequestCode, requestCodes, type StreamCode } from './codes.ts'
import {
  createEndpoint,
  type Endpoint,
  type FatalEvent,
  fatal,
  type Output,
  output,
  put,
  readNext,
  tell,
  write,
} from './endpoint.ts'
import type { Bounce, Frame, StanzaFrame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { type Login, readLogin, signWelcome, verifyLogin, type Welcome } from './login.ts'
import { type Claimed, makeNonce, relayKeyJson } from './proof.ts'
import { createReceiver, putAcks, type Receiver, type Settlement } from './receiver.ts'
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
  readonly limits?: StreamLimits
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
  /** It was told `too-many-requests`, because so many are open. */
  | { readonly kind: 'limited'; readonly limit: 'requestsMax' }
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
  /** What is on its way to the device, once it is let in. */
  readonly sender: Pick<Sender, 'last' | 'count' | 'space'> | undefined
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
  /** Sends what stands at position `n` of the mailbox. */
  deliver(n: number, stored: StoredStanza): C2sServerOutput
  /** Sends a bounce that stands at position `n` of the mailbox. */
  deliverBounce(n: number, bounce: Bounce, now: number): C2sServerOutput
  deliverEphemeral(stored: StoredStanza): C2sServerOutput
  respond(
    id: string,
    answer:
      | { readonly ok: true; readonly value: JsonObject }
      | { readonly ok: false; readonly code: RequestCode; readonly wait?: number },
  ): C2sServerOutput
}

/** What a server keeps beside its functions. */
type State = Endpoint<C2sServerEvent, C2sServer['state'], 'device'> & {
  readonly options: C2sServerOptions
  readonly limits: StreamLimits
  /** Empty once it has served. */
  nonce: string
  waiting: { readonly login: Login; readonly claimed: Claimed } | undefined
  /** What is left of the login once it is decided: most connections do nothing for long. */
  proven: Pick<Login, 'address' | 'device'> | undefined
  sender: Sender | undefined
  receiver: Receiver | undefined
  requests: Set<string> | undefined
}

function onLogin(server: State, frame: Frame): undefined {
  if (frame.t !== 'login' && frame.t !== 'register') return fatal(server, 'frame-unexpected')
  const read = readLogin(frame.jws)
  if (read === undefined) return fatal(server, 'frame-malformed')
  // Said before the account is looked up, so it tells nothing about it: the nonce is of another socket.
  if (read.login.nonce !== server.nonce) return fatal(server, 'login-stale')
  const { domain } = server.options
  const isOurs = read.login.domain === domain && read.login.address.endsWith(`@${domain}`)
  if (!isOurs) return fatal(server, 'domain-unknown')
  server.state = 'deciding'
  server.waiting = read
  const registration =
    frame.t === 'register'
      ? { card: frame.card, statement: frame.statement, ...(frame.invite === undefined ? {} : { invite: frame.invite }) }
      : undefined
  tell(server, { kind: 'login', login: read.login, registration })
}

function onStanza(server: State, stanza: StanzaFrame): undefined {
  const { receiver, proven, limits } = server
  assert(receiver !== undefined && proven !== undefined, 'a receiver exists once the stream is ready')
  const taken = receiver.take(stanza.place, sizeOf(stanza))
  if (taken === 'gap') return fatal(server, 'stanza-gap')
  if (taken === 'again') return
  if (stanza.header.from !== proven.address || stanza.header.device !== proven.device) return fatal(server, 'stanza-not-yours')
  if (receiver.count > limits.windowStanzas || (receiver.count > 1 && receiver.bytes > limits.windowBytes))
    return fatal(server, 'window-exceeded')
  tell(server, { kind: 'stanza', n: stanza.place.n, stanza })
}

function onReady(server: State, frame: Frame): undefined {
  if (frame.t === 'stanza') onStanza(server, frame)
  else if (frame.t === 'ack') {
    assert(server.sender !== undefined, 'a sender exists once the stream is ready')
    const result = server.sender.ack(frame)
    if (result.outcome === 'fatal') fatal(server, result.code)
    else if (result.outcome === 'released') tell(server, { kind: 'acked', h: result.h })
  } else if (frame.t === 'request') {
    const { id, what, value } = frame
    server.requests ??= new Set()
    if (server.requests.has(id)) return refuseRequest(server, id)
    if (server.requests.size >= server.limits.requestsMax) {
      refuseRequest(server, id)
      return tell(server, { kind: 'limited', limit: 'requestsMax' })
    }
    server.requests.add(id)
    tell(server, { kind: 'request', id, what, value })
  } else if (frame.t === 'ping') put(server, { t: 'pong' })
  else if (frame.t !== 'pong') fatal(server, 'frame-unexpected')
}

function receive(server: State, bytes: Uint8Array): void {
  const { limits } = server
  if (server.state === 'ended') return
  const isEarly = server.state === 'login' || server.state === 'deciding'
  const frame = readNext(server, bytes, isEarly ? { ...limits, frameBytesMax: limits.loginFrameBytesMax } : limits)
  if (frame === undefined) return
  if (server.state === 'login') onLogin(server, frame)
  else if (server.state === 'ready') onReady(server, frame)
  // Before login there is one frame, and its answer has not come yet.
  else fatal(server, 'frame-unexpected')
}

function admit(server: State, { account, epoch, position, start, cloned }: Admission, now: number): void {
  if (server.state !== 'deciding' || server.waiting === undefined) return
  const { windowStanzas, windowBytes, proofLifetimeMs: lifetimeMs } = server.limits
  const { ownNonce, address, device } = server.waiting.login
  const { signer, chain = [] } = server.options
  const welcome: Welcome = { epoch, time: now, start, position, account, cloned, windowStanzas, windowBytes }
  const jws = signWelcome(welcome, { nonce: server.nonce, ownNonce, address, signer, now, lifetimeMs })
  put(server, { t: 'welcome', jws, key: relayKeyJson(signer), ...(chain.length === 0 ? {} : { chain }) })
  server.sender = createSender({ epoch, start, windowStanzas, windowBytes })
  server.receiver = createReceiver({ epoch: ownNonce, start: 0 })
  server.state = 'ready'
  server.proven = { address, device }
  server.waiting = undefined
  server.nonce = ''
}

export function createC2sServer(options: C2sServerOptions): C2sServer {
  const server: C2sServer & State = {
    ...createEndpoint<C2sServerEvent, C2sServer['state'], 'device'>({ state: 'login', other: 'device' }),
    options,
    limits: options.limits ?? streamLimits,
    nonce: makeNonce(options.random),
    waiting: undefined,
    proven: undefined,
    sender: undefined,
    receiver: undefined,
    requests: undefined,
    open(now) {
      put(server, { t: 'challenge', nonce: server.nonce, domain: options.domain, time: now })
      return output(server)
    },
    receive(bytes) {
      receive(server, bytes)
      return output(server)
    },
    proves(key, now) {
      const { waiting, state, limits } = server
      if (state !== 'deciding' || waiting === undefined || waiting.login.device !== key.thumbprint) return false
      return verifyLogin(waiting.claimed, { domain: options.domain, key, now, lifetimeMs: limits.proofLifetimeMs })
    },
    admit(admission, now) {
      admit(server, admission, now)
      return output(server)
    },
    end(code, more) {
      fatal(server, code, more)
      return output(server)
    },
    settle(n, settlement) {
      server.receiver?.settle(n, settlement)
    },
    flush() {
      if (server.state === 'ready') putAcks(server, server.receiver)
      return output(server)
    },
    room: (bytes) => server.state === 'ready' && server.sender?.room(bytes) === true,
    deliver(n, stored) {
      const { sender } = server
      if (server.state === 'ready' && sender !== undefined)
        write(server, unpackFrame(stored, sender.add(n, stored.entry.length + stored.body.length)))
      return output(server)
    },
    deliverBounce(n, bounce, now) {
      const { sender, proven } = server
      if (server.state === 'ready' && sender !== undefined && proven !== undefined) {
        const jws = signBounce(bounce, { signer: options.signer, address: proven.address, now })
        put(server, { t: 'bounced', ...bounce, place: sender.add(n, 0), jws })
      }
      return output(server)
    },
    deliverEphemeral(stored) {
      const { sender } = server
      if (server.state === 'ready' && sender !== undefined) write(server, unpackFrame(stored, sender.pass()))
      return output(server)
    },
    respond(id, answer) {
      if (server.state === 'ready' && server.requests?.delete(id) === true)
        put(server, { t: 'response', id, ...responseOf(answer) })
      return output(server)
    },
  }
  return server
}

type Answer = Parameters<C2sServer['respond']>[1]

// Nobody knows when one of those that are open is answered; mostly it is at once.
const tooManyWaitMs = 1000

/** Says of a request that there are too many. */
export function refuseRequest(endpoint: Parameters<typeof put>[0], id: string): undefined {
  put(endpoint, { t: 'response', id, ok: false, code: 'too-many-requests', retryable: true, wait: tooManyWaitMs })
}

/** The members of a response frame. */
export function responseOf(
  answer: Answer,
):
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly code: string; readonly retryable: boolean; readonly wait?: number } {
  if (answer.ok) return answer
  const { code, wait } = answer
  return { ok: false, code, retryable: requestCodes[code].retryable, ...(wait === undefined ? {} : { wait }) }
}
