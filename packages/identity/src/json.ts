/**
 * Small readers of JSON members that cards and statements share: public OKP keys, thumbprints, counts.
 * @module
 */
import { isJsonObject, type Json, type JsonObject, parseJsonObject } from '@parley/core'
import { importKey, type Jwk, type Key } from '@parley/jose'

/** A public OKP key (RFC 8037 §2) with exactly `kty`, `crv` and `x`; other members are dropped. */
export function publicOkp(value: Json | undefined, crv: 'Ed25519' | 'X25519'): Jwk | undefined {
  if (!isJsonObject(value) || value['kty'] !== 'OKP' || value['crv'] !== crv || typeof value['x'] !== 'string') return undefined
  if ('d' in value) return undefined
  const jwk: Jwk = { kty: 'OKP', crv, x: value['x'] }
  return preparedKey(jwk) === undefined ? undefined : jwk
}

/** The prepared form of a key that somebody else sent, or `undefined` when it is none. */
export function preparedKey(jwk: Jwk): Key | undefined {
  try {
    return importKey(jwk)
  } catch {
    return undefined
  }
}

/** An RFC 7638 thumbprint or another base64url SHA-256. */
export function isThumbprint(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value)
}

export function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

export function parseObject(octets: Uint8Array): JsonObject | undefined {
  const result = parseJsonObject(octets)
  return result.ok ? result.value : undefined
}
