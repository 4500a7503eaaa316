/**
 * The dialling end of a stream between two relays (design §5), without I/O. It proves its domain, checks the other's proof before
 * anything is sent, then sends from its log towards that domain. Stanzas flow this way only; the other way is another stream.
 * @module
 */
import { assert, type Domain, type JsonObject, type Random } from '@parley/core'
import type { Key } from '@parley/jose'
import type { StreamCode } from './codes.ts'
import { createEndpoint, type FatalEvent, fatal, type Output, output, put, readNext, tell, write } from './endpoint.ts'
import type { Bounce, CardVersions, Frame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { makeNonce, readRelayKey, relayKeyJson } from './proof.ts'
import { readS2s, type S2sClaim, signS2s, verifyS2s } from './s2s-proof.ts'
import { createSender, type Sender } from './sender.ts'
import { type StoredStanza, unpackFrame } from './stored.ts'

export type S2sInitiatorOptions = {
  readonly initiating: Domain
  readonly accepting: Domain
  readonly signer: Key
  /** Whether this thumbprint is a key that the accepting domain has published. */
  readonly isPeerKey: (thumbprint: string) => boolean
  /** The epoch of the log towards that domain, and how far the other end has handled it. */
  readonly epoch: string
  readonly start: number
  readonly random: Random
  readonly limits?: Partial<StreamLimits>
}

export type S2sInitiatorEvent =
  | { readonly kind: 'ready' }
  /** The other relay has settled everything up to `h`; what it did not take is in `bounced`. */
  | { readonly kind: 'acked'; readonly h: number; readonly cards: CardVersions; readonly bounced: readonly Bounce[] }
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
  | { readonly kind: 'pong' }
  | FatalEvent<'peer'>

export type S2sInitiatorOutput = Output<S2sInitiatorEvent>

export interface S2sInitiator {
  readonly state: 'challenge' | 'proof' | 'ready' | 'ended'
  /** The highest position sent, or where the stream began. */
  readonly sent: number
  receive(frame: Uint8Array): S2sInitiatorOutput
  room(bytes: number): boolean
  /** Stanzas that the window may still take. */
  readonly space: number
  /** Stanzas sent and not acknowledged. */
  readonly unacknowledged: number
  deliver(n: number, stored: StoredStanza): S2sInitiatorOutput
  deliverEphemeral(stored: StoredStanza): S2sInitiatorOutput
  request(what: string, value: JsonObject): S2sInitiatorOutput & { readonly id: string }
  ping(): S2sInitiatorOutput
  end(code: StreamCode): S2sInitiatorOutput
}

export function createS2sInitiator(options: S2sInitiatorOptions): S2sInitiator {
  const { initiating, accepting, signer, isPeerKey, epoch, start } = options
  const limits = { ...streamLimits, ...options.limits }
  const ownNonce = makeNonce(options.random)
  let nonce = ''
  let time = 0
  let sender: Sender | undefined
  let requests = 0
  const endpoint = createEndpoint<S2sInitiatorEvent, S2sInitiator['state'], 'peer'>({ state: 'challenge', other: 'peer' })

  function onChallenge(frame: Frame & { t: 'challenge' }): undefined {
    if (frame.domain !== accepting) return fatal(endpoint, 'domain-unknown')
    nonce = frame.nonce
    time = frame.time
    endpoint.state = 'proof'
    const claim: S2sClaim = { nonce, ownNonce, initiating, accepting, direction: 'out', epoch, start }
    // The other's own time, as at login: its clock is the one that compares.
    const jws = signS2s(claim, { signer, now: time, lifetimeMs: limits.proofLifetimeMs })
    put(endpoint, { t: 's2s', jws, key: relayKeyJson(signer) })
  }

  function onProof(frame: Frame & { t: 's2s-proof' }): undefined {
    const key = readRelayKey(frame.key)
    const read = readS2s(frame.jws)
    if (key?.thumbprint === undefined || read === undefined || !isPeerKey(key.thumbprint)) return fatal(endpoint, 'proof-refused')
    const { claim, claimed } = read
    const isAnswer = claim.direction === 'in' && claim.nonce === nonce && claim.ownNonce === ownNonce
    if (!isAnswer || claim.initiating !== initiating || claim.accepting !== accepting) return fatal(endpoint, 'proof-refused')
    if (!verifyS2s(claim, { claimed, key, now: time, lifetimeMs: limits.proofLifetimeMs }))
      return fatal(endpoint, 'proof-refused')
    const windowStanzas = Math.min(limits.relayWindowStanzas, claim.windowStanzas ?? limits.windowStanzas)
    const windowBytes = Math.min(limits.windowBytes, claim.windowBytes ?? limits.windowBytes)
    sender = createSender({ epoch, start, windowStanzas, windowBytes })
    endpoint.state = 'ready'
    tell(endpoint, { kind: 'ready' })
  }

  function onReady(frame: Frame): undefined {
    if (frame.t === 'ack') {
      assert(sender !== undefined, 'a sender exists once the stream is ready')
      const result = sender.ack(frame)
      if (result.outcome === 'fatal') fatal(endpoint, result.code)
      else if (result.outcome === 'released')
        tell(endpoint, { kind: 'acked', h: result.h, cards: frame.cards ?? {}, bounced: frame.bounced ?? [] })
    } else if (frame.t === 'response') {
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
    get sent() {
      return sender?.last ?? start
    },
    receive(bytes) {
      if (endpoint.state === 'ended') return output(endpoint)
      const frame = readNext(endpoint, bytes, limits)
      if (frame === undefined) return output(endpoint)
      if (endpoint.state === 'ready') onReady(frame)
      else if (endpoint.state === 'challenge' && frame.t === 'challenge') onChallenge(frame)
      else if (endpoint.state === 'proof' && frame.t === 's2s-proof') onProof(frame)
      else fatal(endpoint, 'frame-unexpected')
      return output(endpoint)
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
        write(endpoint, unpackFrame(stored, sender.add(n, stored.entry.length + stored.body.length)))
      }
      return output(endpoint)
    },
    deliverEphemeral(stored) {
      if (endpoint.state === 'ready' && sender !== undefined) write(endpoint, unpackFrame(stored, sender.pass()))
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
    end(code) {
      fatal(endpoint, code)
      return output(endpoint)
    },
  }
}
