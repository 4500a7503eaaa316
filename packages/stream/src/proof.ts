/**
 * The signed statements of a handshake (design §5): one purpose each by `type`, one audience by `to`, one minute of life,
 * and the nonces of both ends inside, so that none of them is good for another socket, relay or direction.
 * @module
 */
import {
  base64url,
  type Domain,
  isJsonObject,
  type Json,
  type JsonObject,
  parseJsonObject,
  type Random,
  type Result,
} from '@parley/core'
import { type Jwk, type Key, readKey } from '@parley/jose'
import { readSigned, type Signed, signMessage, verifySigned } from '@parley/jwm'

/** A signed statement as it came: what it claims, and what is needed to check it. */
export type Claimed = { readonly signed: Signed; readonly type: string; readonly body: JsonObject }

export type ProofOptions = {
  readonly type: string
  /** The only one who may take it. */
  readonly to: string
  readonly body: JsonObject
  readonly signer: Key
  /** Milliseconds. */
  readonly now: number
  readonly lifetimeMs: number
}

/** A relay as the audience of a signature. */
export function relayUri(domain: Domain): string {
  return `urn:parley:relay:${domain}`
}

/** 128 random bits. */
export function makeNonce(random: Random): string {
  return base64url(random.bytes(16))
}

export function isNonce(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{22}$/.test(value)
}

export function signProof(options: ProofOptions): string {
  const { type, to, body, signer, now, lifetimeMs } = options
  return signMessage({ type, to: [to], timeStamp: now / 1000, expiry: (now + lifetimeMs) / 1000, body }, { signer })
}

/** Reads without checking: for finding out whose key is needed. */
export function readProof(jws: string): Claimed | undefined {
  const read = readSigned(jws)
  if (!read.ok) return undefined
  const parsed = parseJsonObject(read.signed.payload)
  if (!parsed.ok) return undefined
  const { type, body } = parsed.value
  return typeof type === 'string' && isJsonObject(body) ? { signed: read.signed, type, body } : undefined
}

export type Expected = {
  readonly type: string
  readonly to: string
  readonly key: Key
  readonly now: number
  readonly lifetimeMs: number
}

/** Checks signature, purpose, audience and life; what `claimed` says holds from then on. */
export function verifyProof(
  claimed: Claimed,
  expected: Expected,
): Result<{ readonly body: JsonObject }, 'proof-stale' | 'proof-wrong'> {
  const { type, to, key, now, lifetimeMs } = expected
  if (claimed.type !== type || claimed.signed.kid !== key.thumbprint) return { ok: false, code: 'proof-wrong' }
  const verified = verifySigned(claimed.signed, key)
  if (!verified.ok) return { ok: false, code: 'proof-wrong' }
  const { attributes } = verified
  if (attributes.type !== type || attributes.to?.length !== 1 || attributes.to[0] !== to)
    return { ok: false, code: 'proof-wrong' }
  const expiryMs = (attributes.expiry ?? 0) * 1000
  // A life longer than agreed is as wrong as one that is over. The nonces are what stops a replay; the clocks may differ a little.
  if (expiryMs < now - lifetimeMs || expiryMs > now + 3 * lifetimeMs) return { ok: false, code: 'proof-stale' }
  return { ok: true, body: claimed.body }
}

/** A public Ed25519 key that came on the wire. */
export function readRelayKey(value: Json | undefined): Key | undefined {
  const result = isJsonObject(value) && !('d' in value) ? readKey(value) : undefined
  return result?.ok === true && result.key.crv === 'Ed25519' ? result.key : undefined
}

/** A public key as it goes on the wire. */
export function relayKeyJson(key: Key): JsonObject {
  // A JWK is JSON; its type has no index signature.
  const { kty, crv, x } = key.publicJwk as Jwk
  return { kty, crv, x } as JsonObject
}
