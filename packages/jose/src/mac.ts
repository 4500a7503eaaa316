/**
 * HMAC with SHA-2 as a signature (RFC 7518 §3.2). Whoever verifies can also make it.
 * @module
 */
import { equal } from '@parley/core'
import type { Backend, HashBits, Signing } from './backend/backend.ts'

/** HS256, HS384 and HS512 on one backend. */
export function macOf(backend: Backend): Signing {
  const sign = (data: Uint8Array, key: unknown, alg: string): Uint8Array => backend.hmac(bitsOf(alg), key, data)
  return { sign, verify: (signature, { data, key, alg }) => equal(signature, sign(data, key, alg)) }
}

// The table has no others.
function bitsOf(alg: string): HashBits {
  return alg === 'HS256' ? 256 : alg === 'HS384' ? 384 : 512
}
