/**
 * Content encryption by table row (RFC 7518 §5): AES-GCM and ChaCha20-Poly1305 as they are, AES-CBC composed with HMAC
 * (§5.2: MAC first when opening, and only then the padding). Lengths are the caller's to check.
 * @module
 */
import { concat, equal, u32 } from '@parley/core'
import type { ContentAlgorithm } from './algorithms.ts'
import type { Backend, HashBits, Sealed } from './backend/backend.ts'
import { JoseError } from './errors.ts'

export type ContentOptions = {
  readonly backend: Backend
  readonly key: unknown
  readonly iv: Uint8Array
  readonly aad: Uint8Array
}

/** Encrypts `plaintext`. */
export function sealContent(row: ContentAlgorithm, plaintext: Uint8Array, { backend, key, iv, aad }: ContentOptions): Sealed {
  if (row.cipher === 'gcm') return backend.gcmSeal(key, iv, plaintext, aad)
  if (row.cipher === 'chacha') return available(backend.chacha).seal(key, iv, plaintext, aad)
  const { macKey, encryptionKey } = halves(backend, key)
  const ciphertext = available(backend.cbc).encrypt(encryptionKey, iv, plaintext)
  return { ciphertext, tag: tagOf(row, { backend, macKey, iv, ciphertext, aad }) }
}

/** Decrypts, or `undefined` when the tag does not fit. */
export function openContent(
  row: ContentAlgorithm,
  sealed: Sealed,
  { backend, key, iv, aad }: ContentOptions,
): Uint8Array | undefined {
  if (row.cipher === 'gcm') return backend.gcmOpen(key, iv, sealed, aad)
  if (row.cipher === 'chacha') return available(backend.chacha).open(key, iv, sealed, aad)
  const { macKey, encryptionKey } = halves(backend, key)
  const { ciphertext, tag } = sealed
  if (!equal(tag, tagOf(row, { backend, macKey, iv, ciphertext, aad }))) return undefined
  return available(backend.cbc).decrypt(encryptionKey, iv, ciphertext)
}

/** Whether `backend` has what the row needs; opening treats a key without it as one that does not fit. */
export function hasContent(backend: Backend, { cipher }: ContentAlgorithm): boolean {
  return cipher === 'gcm' || backend[cipher] !== undefined
}

/** A part that not every backend has. */
export function available<T>(part: T | undefined): T {
  if (part === undefined) throw new JoseError('ERR_JOSE_ALGORITHM_UNAVAILABLE', 'the algorithm is not available in this backend')
  return part
}

function halves(backend: Backend, key: unknown): { readonly macKey: Uint8Array; readonly encryptionKey: Uint8Array } {
  const octets = backend.secretOctets(key)
  const half = octets.length / 2
  return { macKey: octets.subarray(0, half), encryptionKey: octets.subarray(half) }
}

type TagOptions = {
  readonly backend: Backend
  readonly macKey: Uint8Array
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly aad: Uint8Array
}

function tagOf({ tagBytes }: ContentAlgorithm, { backend, macKey, iv, ciphertext, aad }: TagOptions): Uint8Array {
  const bitLength = concat(u32(Math.floor((aad.length * 8) / 0x1_0000_0000)), u32((aad.length * 8) >>> 0))
  // The tag is half of the hash, so 16, 24 and 32 octets mean 256, 384 and 512 bits.
  return backend.hmac((tagBytes * 16) as HashBits, macKey, concat(aad, iv, ciphertext, bitLength)).subarray(0, tagBytes)
}
