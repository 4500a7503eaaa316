/**
 * Signed messages of the message profile (design §3.2): one compact JWS, `typ` "JWM". Reading and verifying are two
 * steps, because the key is found by the `kid` in between; attributes are parsed only after the signature holds.
 * @module
 */
import type { Result } from '@parley/core'
import {
  backend,
  type Jws,
  type Key,
  readCompactJws,
  type SerializationCode,
  sha256,
  signCompact,
  signCompactAsync,
  signCompactOctets,
  verifyJws,
} from '@parley/jose'
import { type Attributes, decodeAttributes, encodeAttributes } from './attributes.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'

/** A signed message whose signature nobody has checked yet. */
export type Signed = {
  /** What the header claims; find the key by it, believe nothing else. */
  readonly kid: string | undefined
  readonly alg: string
  /** The octets that were signed. Unverified. */
  readonly payload: Uint8Array
  readonly jws: Jws
}

/** Why something is no signed message of the profile. */
export type SignedCode = SerializationCode | 'alg-not-allowed'
/** Why a signed message is not believed. */
export type VerifiedCode = 'signature-invalid' | 'attributes-malformed'

const algorithms: readonly string[] = ['EdDSA', 'Ed25519', 'ES256']

/** Signs `attributes` as a compact JWS; `kid` is the key's. */
export function signMessage(attributes: Attributes, options: { readonly signer: Key }): string {
  return signCompact(encodeAttributes(attributes), { key: options.signer, typ: 'JWM' })
}

/** The same with a key that answers later. */
export function signMessageAsync(attributes: Attributes, options: { readonly signer: Key }): Promise<string> {
  return signCompactAsync(encodeAttributes(attributes), { key: options.signer, typ: 'JWM' })
}

/** The same as ASCII octets, to be encrypted next, with the hash by which the reader will know it. */
export function signMessageOctets(
  attributes: Attributes,
  options: { readonly signer: Key },
): { readonly signed: Uint8Array; readonly payloadHash: string } {
  const payload = encodeAttributes(attributes)
  return {
    signed: signCompactOctets(payload, { key: options.signer, typ: 'JWM' }),
    payloadHash: backend.base64url(sha256(payload)),
  }
}

/** Reads the form of a signed message: a text, or its octets as they come out of an envelope. */
export function readSigned(
  input: string | Uint8Array,
  limits: JwmLimits = jwmLimits,
): Result<{ readonly signed: Signed }, SignedCode> {
  const read = readCompactJws(input, limits.jose)
  if (!read.ok) return read
  const header = read.jws.signatures[0]?.protected.header
  const { alg, kid, typ, cty, crit, b64 } = header ?? {}
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return { ok: false, code: 'header-malformed' }
  // The profile has one layer of signing, no extension, and its typ is JWM or left out.
  if ((typ !== undefined && !isJwm(typ)) || cty !== undefined || crit !== undefined || b64 !== undefined)
    return { ok: false, code: 'header-malformed' }
  if (!algorithms.includes(alg)) return { ok: false, code: 'alg-not-allowed' }
  return { ok: true, signed: { kid, alg, payload: read.jws.payload, jws: read.jws } }
}

/** Verifies with the key found for `signed.kid`, then parses. `payloadHash` is base64url of SHA-256 over the payload. */
export function verifySigned(
  signed: Signed,
  key: Key,
  limits: JwmLimits = jwmLimits,
): Result<{ readonly attributes: Attributes; readonly payloadHash: string }, VerifiedCode> {
  const verified = verifyJws(signed.jws, { keys: [key], algorithms, limits: limits.jose })
  if (!verified.ok) return { ok: false, code: 'signature-invalid' }
  const decoded = decodeAttributes(verified.payload, limits.attributes)
  return decoded.ok
    ? { ok: true, attributes: decoded.attributes, payloadHash: backend.base64url(sha256(verified.payload)) }
    : decoded
}
