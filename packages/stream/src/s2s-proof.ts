/**
 * The proofs of two relays (design §5): each signs both nonces, both domains and its direction, so that neither a third
 * relay nor the other direction can use them.
 * @module
 */
import { type Domain, type JsonObject, toDomain } from '@parley/core'
import type { Key } from '@parley/jose'
import { isCount, isEpoch } from './login.ts'
import { type Claimed, isNonce, readProof, relayUri, signProof, verifyProof } from './proof.ts'

/** The `type` of the JWM that proves a relay. */
export const s2sType: string = 'urn:parley:kernel:1:s2s'

/** `out` is signed by the relay that dialled, `in` by the one that was dialled. */
export type S2sDirection = 'out' | 'in'

/** What a relay signs about one connection. */
export type S2sClaim = {
  /** The acceptor's. */
  readonly nonce: string
  /** The initiator's. */
  readonly ownNonce: string
  readonly initiating: Domain
  readonly accepting: Domain
  readonly direction: S2sDirection
  /** The epoch of the log that the initiator sends from, and where it begins; only `out`. */
  readonly epoch?: string
  readonly start?: number
  /** What the acceptor lets be on its way; only `in`. A relay of the first version does not say it. */
  readonly windowStanzas?: number
  readonly windowBytes?: number
}

type Time = { readonly now: number; readonly lifetimeMs: number }

/** Signs it for the relay at the other end. Times in milliseconds. */
export function signS2s(claim: S2sClaim, options: Time & { readonly signer: Key }): string {
  const body: JsonObject = {
    nonce: claim.nonce,
    own_nonce: claim.ownNonce,
    initiating: claim.initiating,
    accepting: claim.accepting,
    direction: claim.direction,
    ...(claim.epoch === undefined ? {} : { epoch: claim.epoch }),
    ...(claim.start === undefined ? {} : { start: claim.start }),
    ...(claim.windowStanzas === undefined ? {} : { window_stanzas: claim.windowStanzas }),
    ...(claim.windowBytes === undefined ? {} : { window_bytes: claim.windowBytes }),
  }
  const to = relayUri(claim.direction === 'out' ? claim.accepting : claim.initiating)
  return signProof({ type: s2sType, to, body, ...options })
}

/** What a proof claims; nothing of it is proved. */
export function readS2s(jws: string): { readonly claim: S2sClaim; readonly claimed: Claimed } | undefined {
  const claimed = readProof(jws)
  if (claimed === undefined || claimed.type !== s2sType) return undefined
  const { nonce, own_nonce: ownNonce, initiating: from, accepting: to, direction, epoch, start } = claimed.body
  const initiating = typeof from === 'string' ? toDomain(from) : undefined
  const accepting = typeof to === 'string' ? toDomain(to) : undefined
  if (!isNonce(nonce) || !isNonce(ownNonce) || initiating === undefined || accepting === undefined) return undefined
  const common = { nonce, ownNonce, initiating, accepting }
  if (direction === 'in') {
    const { window_stanzas: windowStanzas, window_bytes: windowBytes } = claimed.body
    const isTold = isCount(windowStanzas) && windowStanzas > 0 && isCount(windowBytes)
    return { claim: { ...common, direction, ...(isTold ? { windowStanzas, windowBytes } : {}) }, claimed }
  }
  const isStart = typeof start === 'number' && Number.isSafeInteger(start) && start >= 0
  if (direction !== 'out' || !isEpoch(epoch) || !isStart) return undefined
  return { claim: { ...common, direction, epoch, start }, claimed }
}

/** Whether the relay with this key made the proof just now; nonces and domains are for the caller to compare. */
export function verifyS2s(claim: S2sClaim, options: Time & { readonly claimed: Claimed; readonly key: Key }): boolean {
  const { claimed, ...rest } = options
  const to = relayUri(claim.direction === 'out' ? claim.accepting : claim.initiating)
  return verifyProof(claimed, { type: s2sType, to, ...rest }).ok
}
