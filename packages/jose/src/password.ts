/**
 * Passwords as keys (RFC 7518 §4.8): the UTF-8 octets of the text, for PBES2 and for nothing else.
 * @module
 */
import { base64url, utf8 } from '@parley/core'
import type { Backend } from './backend/backend.ts'
import { importKey } from './import-key.ts'
import type { Key } from './key.ts'

/** The algorithms that take a password. */
export type PasswordAlgorithm = 'PBES2-HS512+A256KW' | 'PBES2-HS384+A192KW' | 'PBES2-HS256+A128KW'

/** Prepares a password as a recipient's key. Whoever opens with it also names the algorithm among `algorithms`. */
export function importPassword(
  password: string | Uint8Array,
  options: { readonly alg?: PasswordAlgorithm; readonly kid?: string; readonly backend?: Backend } = {},
): Key {
  const { alg = 'PBES2-HS512+A256KW', ...others } = options
  const octets = typeof password === 'string' ? utf8(password) : password
  return importKey({ kty: 'oct', k: base64url(octets), alg, use: 'enc', key_ops: ['deriveKey'] }, others)
}
