/**
 * Bare symmetric operations for those who keep secrets at rest: A256GCM, AES Key Wrap, SHA-256.
 * Messages do not use these directly; see `sealJwe`.
 * @module
 */
import { backend } from '#backend'

/** What `aeadSeal` takes beside the plaintext. */
export type AeadSealOptions = {
  /** Twelve octets, never twice under one key. */
  readonly iv: Uint8Array
  readonly plaintext: Uint8Array
  readonly aad?: Uint8Array
}

/** What `aeadOpen` takes beside the ciphertext. */
export type AeadOpenOptions = { readonly iv: Uint8Array; readonly sealed: Uint8Array; readonly aad?: Uint8Array }

const empty = new Uint8Array(0)
const tagBytes = 16

/** Encrypts with A256GCM; the answer is ciphertext ‖ tag. */
export function aeadSeal(key: Uint8Array, { iv, plaintext, aad = empty }: AeadSealOptions): Uint8Array {
  requireLengths(key, iv)
  const { ciphertext, tag } = backend.gcmSeal(key, iv, plaintext, aad)
  const sealed = new Uint8Array(ciphertext.length + tag.length)
  sealed.set(ciphertext)
  sealed.set(tag, ciphertext.length)
  return sealed
}

/** Decrypts what `aeadSeal` made, or `undefined` when key, IV, additional data or octets are not those. */
export function aeadOpen(key: Uint8Array, { iv, sealed, aad = empty }: AeadOpenOptions): Uint8Array | undefined {
  requireLengths(key, iv)
  if (sealed.length < tagBytes) return undefined
  const cut = sealed.length - tagBytes
  return backend.gcmOpen(key, iv, { ciphertext: sealed.subarray(0, cut), tag: sealed.subarray(cut) }, aad)
}

/** AES-256 Key Wrap (RFC 3394) of a key of 16, 24, … octets. */
export function wrapKey(kek: Uint8Array, key: Uint8Array): Uint8Array {
  if (kek.length !== 32) throw new RangeError('kek must be 32 octets')
  if (key.length < 16 || key.length % 8 !== 0) throw new RangeError('key must be a multiple of 8 octets and at least 16')
  return backend.keyWrap(kek, key)
}

/** Unwraps, or `undefined` when the integrity check fails. */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  if (kek.length !== 32) throw new RangeError('kek must be 32 octets')
  return wrapped.length < 24 || wrapped.length % 8 !== 0 ? undefined : backend.keyUnwrap(kek, wrapped)
}

/** SHA-256. */
export function sha256(data: Uint8Array): Uint8Array {
  return backend.sha256(data)
}

function requireLengths(key: Uint8Array, iv: Uint8Array): void {
  if (key.length !== 32) throw new RangeError('key must be 32 octets')
  if (iv.length !== 12) throw new RangeError('iv must be 12 octets')
}
