/**
 * Keys and helpers of the tests of messages as a whole.
 * @module
 */
import { type Random, utf8 } from '@parley/core'
import { generateKey, importKey, type Jwk, type Key, type KeyKind, publicJwk } from '@parley/jose'

export const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }

export type Pair = { readonly jwk: Jwk; readonly secret: Key; readonly open: Key }

/** Both halves of a fresh key; its `kid` is short when one is given. */
export function pair(kind: Exclude<KeyKind, 'oct-256'>, kid?: string): Pair {
  const made: Jwk = generateKey(kind, { random })
  const jwk = kid === undefined ? made : { ...made, kid }
  return { jwk, secret: importKey(jwk), open: importKey(publicJwk(jwk)) }
}

/** A fresh symmetric key. */
export function oct(bytes: number, members: Partial<Jwk> = {}): { readonly jwk: Jwk; readonly key: Key } {
  const jwk: Jwk = { kty: 'oct', k: Buffer.from(random.bytes(bytes)).toString('base64url'), ...members }
  return { jwk, key: importKey(jwk) }
}

/** The octets of a JSON text. */
export function octets(value: unknown): Uint8Array {
  return utf8(typeof value === 'string' ? value : JSON.stringify(value))
}

/** The value of a result that must be one. */
export function must<T extends { readonly ok: boolean }>(result: T): Extract<T, { readonly ok: true }> {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`)
  return result as Extract<T, { readonly ok: true }>
}
