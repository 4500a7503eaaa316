/**
 * Readers for the members of bodies that come from elsewhere: exact names, exact forms, `undefined` for anything else.
 * @module
 */
import {
  type Address,
  type DeviceId,
  fromBase64url,
  fromImUri,
  isJsonObject,
  type Json,
  type JsonObject,
  type SessionId,
  toDeviceId,
  toSessionId,
} from '@parley/core'
import { importKey, type Jwk } from '@parley/jose'

/** The object, if it has exactly these members. */
export function exactly(value: Json | undefined, names: readonly string[]): JsonObject | undefined {
  if (!isJsonObject(value) || Object.keys(value).length !== names.length) return undefined
  return names.every((name) => Object.hasOwn(value, name)) ? value : undefined
}

export function readSid(value: Json | undefined): SessionId | undefined {
  return typeof value === 'string' ? toSessionId(value) : undefined
}

export function readDeviceId(value: Json | undefined): DeviceId | undefined {
  return typeof value === 'string' ? toDeviceId(value) : undefined
}

/** An `im:` URI in its canonical spelling. */
export function readAddress(value: Json | undefined): Address | undefined {
  const address = typeof value === 'string' ? fromImUri(value) : undefined
  return value === `im:${address}` ? address : undefined
}

/** base64url of a SHA-256. */
export function readThumbprint(value: Json | undefined): string | undefined {
  return typeof value === 'string' && fromBase64url(value)?.length === 32 ? value : undefined
}

/** Whole seconds since 1970, as milliseconds. */
export function readSeconds(value: Json | undefined): number | undefined {
  return isCount(value) && value <= 253_402_300_799 ? value * 1000 : undefined
}

export function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** 128 random bits in base64url: the id of a key request. */
export function readRequestId(value: Json | undefined): string | undefined {
  return typeof value === 'string' && fromBase64url(value)?.length === 16 ? value : undefined
}

/** An X25519 public key (RFC 8037 §2) and nothing else. */
export function readX25519(value: Json | undefined): Jwk | undefined {
  const members = exactly(value, ['kty', 'crv', 'x'])
  const x = members?.['x']
  if (members?.['kty'] !== 'OKP' || members['crv'] !== 'X25519' || typeof x !== 'string' || fromBase64url(x)?.length !== 32)
    return undefined
  const jwk: Jwk = { kty: 'OKP', crv: 'X25519', x }
  try {
    importKey(jwk)
    return jwk
  } catch {
    return undefined
  }
}
