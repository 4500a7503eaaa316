/**
 * All algorithms in pure JavaScript, for direct use: `importKey(jwk, { backend: noble })`. A key carries its backend with
 * it. Outside Node the default is a part of this: EdDSA, ES256, HMAC, key agreement on X25519 and P-256, AES-KW, AES-GCM.
 * @module
 */
import { cbc } from '@noble/ciphers/aes.js'
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { p384, p521 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { pbkdf2 } from '@noble/hashes/pbkdf2.js'
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { concat } from '@parley/core'
import type { Backend } from './backend/backend.ts'
import { attempt, ecdh, ecdsa, backend as small } from './backend/noble.ts'

const hashes = { 256: sha256, 384: sha384, 512: sha512 } as const

/** The primitives in pure JavaScript. */
export const noble: Backend = {
  ...small,
  signatures: { ...small.signatures, 'P-384': ecdsa(p384), 'P-521': ecdsa(p521), secp256k1: ecdsa(secp256k1) },
  agreements: { ...small.agreements, 'P-384': ecdh(p384), 'P-521': ecdh(p521) },
  chacha: {
    seal(key, iv, plaintext, aad) {
      const sealed = chacha(iv)(key as Uint8Array, iv, aad).encrypt(plaintext)
      return { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.subarray(plaintext.length) }
    },
    open: (key, iv, { ciphertext, tag }, aad) =>
      attempt(() => chacha(iv)(key as Uint8Array, iv, aad).decrypt(concat(ciphertext, tag))),
  },
  cbc: {
    encrypt: (key, iv, plaintext) => cbc(key, iv).encrypt(plaintext),
    decrypt: (key, iv, ciphertext) => attempt(() => cbc(key, iv).decrypt(ciphertext)),
  },
  pbkdf2: (password, { bits, salt, iterations, keyBytes }) =>
    pbkdf2(hashes[bits], password, salt, { c: iterations, dkLen: keyBytes }),
}

function chacha(iv: Uint8Array): typeof chacha20poly1305 {
  return iv.length === 24 ? xchacha20poly1305 : chacha20poly1305
}
