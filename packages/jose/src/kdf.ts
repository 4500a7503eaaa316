/**
 * Concat KDF with SHA-256 as JWE uses it (RFC 7518 §4.6.2, NIST SP 800-56A §5.8.1).
 * @module
 */
import { concat, u32, utf8 } from '@parley/core'
import type { Backend } from './backend/backend.ts'

export type KdfOptions = {
  readonly backend: Backend
  /** `alg` for key agreement with key wrapping, `enc` for direct agreement. */
  readonly algorithm: string
  readonly keyBytes: number
  readonly apu?: Uint8Array | undefined
  readonly apv?: Uint8Array | undefined
}

const empty = new Uint8Array(0)

/** Derives `keyBytes` octets from the shared secret. */
export function concatKdf(
  secret: Uint8Array,
  { backend, algorithm, keyBytes, apu = empty, apv = empty }: KdfOptions,
): Uint8Array {
  const name = utf8(algorithm)
  const info = concat(u32(name.length), name, u32(apu.length), apu, u32(apv.length), apv, u32(8 * keyBytes))
  const first = backend.sha256(concat(u32(1), secret, info))
  if (keyBytes <= first.length) return first.subarray(0, keyBytes)
  return concat(first, backend.sha256(concat(u32(2), secret, info))).subarray(0, keyBytes)
}
