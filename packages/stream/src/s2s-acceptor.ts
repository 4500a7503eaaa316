/**
 * The dialled end of a stream between two relays (design §5), without I/O. It takes stanzas only from accounts of the domain
 * that was proved, and only for its own domain; anything else ends the stream.
 * @module
 */
import { assert, type Domain, domainOf, type JsonObject, type Random } from '@parley/core'
import type { Key } from '@parley/jose'
import { refuseRequest, responseOf } from './c2s-server.ts'
import type { RequestCode, StreamCode } from './codes.ts'
import { createEndpoint, type FatalEvent, fatal, type Output, output, put, readNext, tell } from './endpoint.ts'
import type { Frame, StanzaFrame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { type Claimed, makeNonce, readRelayKey, relayKeyJson } from './proof.ts'
import { createReceiver, putAcks, type Receiver, type Settlement } from './receiver.ts'
import { readS2s, type S2sClaim, signS2s, verifyS2s } from './s2s-proof.ts'
import { sizeOf } from './sender.ts'

export type S2sAcceptorOptions = {
  readonly domain: Domain
  readonly signer: Key
  readonly random: Random
  readonly limits?: Partial<StreamLimits>
}

export type S2sAcceptorEvent =
  /** Somebody claims to be this domain, with this key: answer with `admit` if the domain has published it, or `end`. */
  | { readonly kind: 'claimed'; readonly initiating: Domain; readonly thumbprint: string }
  /** Settle it by its `n`; without one nobody waits. */
  | { readonly kind: 'stanza'; readonly n: number | undefined; readonly stanza: StanzaFrame }
  | { readonly kind: 'request'; readonly id: string; readonly what: string; readonly value: JsonObject }
  /** It was told `too-many-requests`, because so many are open. */
  | { readonly kind: 'limited'; readonly limit: 'requestsMax' }
  | FatalEvent<'peer'>

export type S2sAcceptorOutput = Output<S2sAcceptorEvent>

export interface S2sAcceptor {
  readonly state: 'proof' | 'deciding' | 'ready' | 'ended'
  open(now: number): S2sAcceptorOutput
  receive(frame: Uint8Array): S2sAcceptorOutput
  /** The claimed key is the domain's: the proof is checked, and answered or refused. */
  admit(now: number): S2sAcceptorOutput
  /** Ends the stream; `wait` tells in how many milliseconds trying again makes sense. */
  end(code: StreamCode, options?: { readonly wait?: number }): S2sAcceptorOutput
  settle(n: number, settlement: Settlement): void
  flush(): S2sAcceptorOutput
  respond(
    id: string,
    answer: { readonly ok: true; readonly value: JsonObject } | { readonly ok: false; readonly code: RequestCode },
  ): S2sAcceptorOutput
}

type Waiting = { readonly claim: S2sClaim; readonly claimed: Claimed; readonly key: Key }

export function createS2sAcceptor(options: S2sAcceptorOptions): S2sAcceptor {
  const { domain, signer } = options
  const limits = { ...streamLimits, ...options.limits }
  const nonce = makeNonce(options.random)
  let waiting: Waiting | undefined
  let receiver: Receiver | undefined
  const requests = new Set<string>()
  const endpoint = createEndpoint<S2sAcceptorEvent, S2sAcceptor['state'], 'peer'>({ state: 'proof', other: 'peer' })

  function onProof(frame: Frame): undefined {
    if (frame.t !== 's2s') return fatal(endpoint, 'frame-unexpected')
    const key = readRelayKey(frame.key)
    const read = readS2s(frame.jws)
    if (key?.thumbprint === undefined || read === undefined || read.claim.direction !== 'out')
      return fatal(endpoint, 'frame-malformed')
    if (read.claim.nonce !== nonce) return fatal(endpoint, 'login-stale')
    if (read.claim.accepting !== domain || read.claim.initiating === domain) return fatal(endpoint, 'domain-unknown')
    waiting = { ...read, key }
    endpoint.state = 'deciding'
    tell(endpoint, { kind: 'claimed', initiating: read.claim.initiating, thumbprint: key.thumbprint })
  }

  function onStanza(stanza: StanzaFrame): undefined {
    assert(receiver !== undefined && waiting !== undefined, 'a receiver exists once the stream is ready')
    const { initiating } = waiting.claim
    const taken = receiver.take(stanza.place, sizeOf(stanza))
    if (taken === 'gap') return fatal(endpoint, 'stanza-gap')
    if (taken === 'again') return
    if (domainOf(stanza.header.from) !== initiating) return fatal(endpoint, 'stanza-not-yours')
    if (stanza.header.to.some((address) => domainOf(address) !== domain)) return fatal(endpoint, 'stanza-not-here')
    if (receiver.count > limits.relayWindowStanzas || (receiver.count > 1 && receiver.bytes > limits.windowBytes))
      return fatal(endpoint, 'window-exceeded')
    tell(endpoint, { kind: 'stanza', n: stanza.place.n, stanza })
  }

  function onReady(frame: Frame): undefined {
    if (frame.t === 'stanza') onStanza(frame)
    else if (frame.t === 'request') {
      const { id, what, value } = frame
      if (requests.has(id)) return refuseRequest(endpoint, id)
      if (requests.size >= limits.requestsMax) {
        refuseRequest(endpoint, id)
        return tell(endpoint, { kind: 'limited', limit: 'requestsMax' })
      }
      requests.add(id)
      tell(endpoint, { kind: 'request', id, what, value })
    } else if (frame.t === 'ping') put(endpoint, { t: 'pong' })
    else if (frame.t !== 'pong') fatal(endpoint, 'frame-unexpected')
  }

  return {
    get state() {
      return endpoint.state
    },
    open(now) {
      put(endpoint, { t: 'challenge', nonce, domain, time: now })
      return output(endpoint)
    },
    receive(bytes) {
      if (endpoint.state === 'ended') return output(endpoint)
      const isEarly = endpoint.state === 'proof' || endpoint.state === 'deciding'
      const frame = readNext(endpoint, bytes, isEarly ? { ...limits, frameBytesMax: limits.loginFrameBytesMax } : limits)
      if (frame === undefined) return output(endpoint)
      if (endpoint.state === 'proof') onProof(frame)
      else if (endpoint.state === 'ready') onReady(frame)
      else fatal(endpoint, 'frame-unexpected')
      return output(endpoint)
    },
    admit(now) {
      if (endpoint.state !== 'deciding' || waiting === undefined) return output(endpoint)
      const { claim, claimed, key } = waiting
      const { proofLifetimeMs: lifetimeMs } = limits
      if (!verifyS2s(claim, { claimed, key, now, lifetimeMs })) {
        fatal(endpoint, 'proof-refused')
        return output(endpoint)
      }
      const { ownNonce, initiating, accepting, epoch = '', start = 0 } = claim
      const { relayWindowStanzas: windowStanzas, windowBytes } = limits
      const answer: S2sClaim = { nonce, ownNonce, initiating, accepting, direction: 'in', windowStanzas, windowBytes }
      const jws = signS2s(answer, { signer, now, lifetimeMs })
      put(endpoint, { t: 's2s-proof', jws, key: relayKeyJson(signer) })
      receiver = createReceiver({ epoch, start })
      endpoint.state = 'ready'
      return output(endpoint)
    },
    end(code, more) {
      fatal(endpoint, code, more)
      return output(endpoint)
    },
    settle(n, settlement) {
      receiver?.settle(n, settlement)
    },
    flush() {
      if (endpoint.state === 'ready') putAcks(endpoint, receiver)
      return output(endpoint)
    },
    respond(id, answer) {
      if (endpoint.state === 'ready' && requests.delete(id)) put(endpoint, { t: 'response', id, ...responseOf(answer) })
      return output(endpoint)
    },
  }
}
