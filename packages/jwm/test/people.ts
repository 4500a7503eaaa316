import { utf8 } from '@parley/core'
import { generateKey, importKey, type Key, publicJwk } from '@parley/jose'
import { seeded } from './setup.ts'

export const random = seeded(97)

/** Both halves of a fresh key. */
export function pair(kind: 'Ed25519' | 'X25519' | 'P-256' | 'P-521', kid?: string): { readonly secret: Key; readonly open: Key } {
  const jwk = generateKey(kind, { random })
  const named = kid === undefined ? {} : { kid }
  return { secret: importKey(jwk, named), open: importKey(publicJwk(jwk), named) }
}

export function secret(kid: string): Key {
  return importKey(generateKey('oct-256', { random }), { kid })
}

/** The octets of a JSON text. */
export function octets(value: unknown): Uint8Array {
  return utf8(typeof value === 'string' ? value : JSON.stringify(value))
}

/** What a refused opening looks like. */
export function refused(code: string): object {
  return { ok: false, code, opaque: 'not-accepted' }
}
