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
  const info = apu.length === 0 && apv.length === 0 ? plainInfo(algorithm, keyBytes) : infoOf({ algorithm, keyBytes, apu, apv })
  const input = new Uint8Array(4 + secret.length + info.length)
  // The number of the round, big-endian.
  input[3] = 1
  input.set(secret, 4)
  input.set(info, 4 + secret.length)
  const first = backend.sha256(input)
  if (keyBytes <= first.length) return first.subarray(0, keyBytes)
  input[3] = 2
  return concat(first, backend.sha256(input)).subarray(0, keyBytes)
}

type Info = { readonly algorithm: string; readonly keyBytes: number; readonly apu: Uint8Array; readonly apv: Uint8Array }

function infoOf({ algorithm, keyBytes, apu, apv }: Info): Uint8Array {
  const name = utf8(algorithm)
  return concat(u32(name.length), name, u32(apu.length), apu, u32(apv.length), apv, u32(8 * keyBytes))
}

// Without party information it is the same for every message: one per algorithm and length, of which the tables have few.
const plainInfos: Map<string, Uint8Array> = new Map()

function plainInfo(algorithm: string, keyBytes: number): Uint8Array {
  const name = `${algorithm} ${keyBytes}`
  const known = plainInfos.get(name)
  if (known !== undefined) return known
  const made = infoOf({ algorithm, keyBytes, apu: empty, apv: empty })
  plainInfos.set(name, made)
  return made
}
