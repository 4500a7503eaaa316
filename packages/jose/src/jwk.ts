/**
 * JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2, RFC 9964 §3) as plain data: thumbprints, making, and the public part.
 * Preparing a key for use is `importKey`.
 * @module
 */
import { type Random, utf8 } from '@parley/core'
import { backend as defaultBackend } from '#backend'
import { curves } from './algorithms.ts'
import type { Backend } from './backend/backend.ts'
import { JoseError } from './errors.ts'

/** A JSON Web Key. Members that are not named here are kept. */
export type Jwk = {
  readonly kty: string
  readonly kid?: string
  readonly alg?: string
  readonly use?: string
  readonly key_ops?: readonly string[]
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly d?: string
  readonly k?: string
  readonly n?: string
  readonly e?: string
  readonly p?: string
  readonly q?: string
  readonly dp?: string
  readonly dq?: string
  readonly qi?: string
  readonly pub?: string
  readonly priv?: string
}

/** The kinds of keys that `generateKey` makes. */
export type KeyKind = 'Ed25519' | 'X25519' | 'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'oct-256'

// RFC 7638 §3.2, RFC 8037 §2 and RFC 9964 §6, in lexicographic order; also what a public key shows of itself.
const requiredMembers: {
  readonly [kty: string]: readonly (keyof Jwk & string)[] | undefined
} = {
  OKP: ['crv', 'kty', 'x'],
  EC: ['crv', 'kty', 'x', 'y'],
  oct: ['k', 'kty'],
  RSA: ['e', 'kty', 'n'],
  AKP: ['alg', 'kty', 'pub'],
}

/** The thumbprint of a key (RFC 7638): base64url of SHA-256 over its required members. */
export function thumbprint(jwk: Jwk): string {
  const members = requiredMembers[jwk.kty]
  if (members === undefined) throw new JoseError('ERR_JOSE_KEY_UNSUPPORTED', 'the key type is not supported')
  const parts: string[] = []
  for (const name of members) {
    const value = jwk[name]
    if (typeof value !== 'string') throw new JoseError('ERR_JOSE_KEY_MALFORMED', `the key lacks ${name}`)
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`)
  }
  return defaultBackend.base64url(defaultBackend.sha256(utf8(`{${parts.join(',')}}`)))
}

const thumbprintUriPrefix = 'urn:ietf:params:oauth:jwk-thumbprint:sha-256:'

/** The thumbprint of a key as a URI (RFC 9278). */
export function thumbprintUri(jwk: Jwk): string {
  return `${thumbprintUriPrefix}${thumbprint(jwk)}`
}

/** The thumbprint that a URI names, or `undefined` when it is none of SHA-256. */
export function readThumbprintUri(uri: string): string | undefined {
  const value = uri.startsWith(thumbprintUriPrefix) ? uri.slice(thumbprintUriPrefix.length) : ''
  return defaultBackend.fromBase64url(value)?.length === 32 ? value : undefined
}

/** Makes a private or symmetric key out of `random`. Asymmetric keys get their thumbprint as `kid`. */
export function generateKey(kind: KeyKind, options: { readonly random: Random; readonly backend?: Backend }): Jwk {
  const backend = options.backend ?? defaultBackend
  if (kind === 'oct-256') return { kty: 'oct', k: backend.base64url(options.random.bytes(32)) }
  const { privateKey, publicKey } = generatePair(kind, { random: options.random, backend })
  const jwk = { ...toPublicJwk(kind, publicKey, backend), d: backend.base64url(privateKey) }
  return { ...jwk, kid: thumbprint(jwk) }
}

/** The public part of an asymmetric key; a symmetric one has none. */
export function publicJwk(jwk: Jwk): Jwk {
  const members = requiredMembers[jwk.kty]
  if (members === undefined) throw new JoseError('ERR_JOSE_KEY_UNSUPPORTED', 'the key type is not supported')
  if (jwk.kty === 'oct') throw new JoseError('ERR_JOSE_KEY_UNSUPPORTED', 'a symmetric key has no public part')
  const shown = Object.entries(jwk).filter(([name]) => !privateMembers.has(name))
  // What is left of a Jwk is one.
  const { key_ops, ...rest } = Object.fromEntries(shown) as Jwk
  const ops = key_ops?.map((op) => publicOps[op] ?? op)
  return ops === undefined ? rest : { ...rest, key_ops: ops }
}

// RFC 7518 §6.2.2, §6.3.2 and §6.4.1, RFC 9964 §3. No key type has a public member of one of these names.
const privateMembers = new Set(['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv'])

// What the holder of the public key does where the private key does the other.
const publicOps: { readonly [op: string]: string | undefined } = { sign: 'verify', unwrapKey: 'wrapKey', decrypt: 'encrypt' }

/** The public JWK of raw coordinates. */
export function toPublicJwk(
  crv: string,
  publicKey: Uint8Array,
  backend: Backend,
): Jwk & { readonly crv: string; readonly x: string } {
  const curve = curves.get(crv)
  if (curve?.kty === 'EC') {
    const bytes = curve.coordinateBytes
    return { kty: 'EC', crv, x: backend.base64url(publicKey.subarray(0, bytes)), y: backend.base64url(publicKey.subarray(bytes)) }
  }
  return { kty: 'OKP', crv, x: backend.base64url(publicKey) }
}

/** A fresh key pair on `crv` as octets, ready for JWK. */
function generatePair(
  crv: string,
  options: { readonly random: Random; readonly backend: Backend },
): { privateKey: Uint8Array; publicKey: Uint8Array } {
  const scheme = options.backend.signatures[crv]
  const agreement = options.backend.agreements[crv]
  for (;;) {
    const privateKey = privateOctets(crv, options.random)
    if (agreement !== undefined) {
      // Out of range has a chance of 2^-32 on P-256 and none on the others: draw again (FIPS 186-5 A.2.2).
      const pair = agreement.importPrivate(privateKey)
      if (pair !== undefined) return { privateKey, publicKey: agreement.publicOf(pair) }
    } else {
      const publicKey = scheme?.publicOf(privateKey)
      if (publicKey !== undefined) return { privateKey, publicKey }
    }
  }
}

/** Octets that may be a private key on `crv`; out of range ones are for the caller to see. */
export function privateOctets(crv: string, random: Random): Uint8Array {
  const octets = random.bytes(curves.get(crv)?.coordinateBytes ?? 0)
  // 521 bits: without this all but one in 128 would be out of range.
  if (crv === 'P-521') octets[0] = (octets[0] ?? 0) & 1
  return octets
}
