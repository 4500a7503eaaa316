/**
 * Keys whose private part never comes here: a security module, a key store of the system, a WebCrypto key that cannot be
 * extracted. The application does the one operation; all else is as with any other key.
 * @module
 */
import { curves } from './algorithms.ts'
import { JoseError } from './errors.ts'
import { readKey } from './import-key.ts'
import type { Jwk } from './jwk.ts'
import { type Key, makeKey, materialOf, type OpaqueOperations } from './key.ts'

/**
 * Prepares a key whose private part is held elsewhere. `jwk` is its public key, with `alg`, `use` and `key_ops` as usual;
 * `operations` are what the holder does. When they answer with a promise, the functions that end in `Async` are needed.
 */
export function opaqueKey(jwk: Jwk, operations: OpaqueOperations): Key {
  const read = readKey(jwk)
  if (!read.ok || read.key.kty === 'oct' || read.key.secret)
    throw new JoseError('ERR_JOSE_KEY_MALFORMED', 'an opaque key is described by a public key')
  const { key } = read
  const { signing: _, agreement, ...held } = materialOf(key)
  const agrees = operations.agree !== undefined && curves.has(key.crv ?? '')
  return makeKey(
    { ...held, ...(agrees && agreement !== undefined ? { agreement } : {}), opaque: operations },
    { ...key, secret: true },
  )
}
