/**
 * The backend that runs everywhere: noble, pure JavaScript, synchronous and deterministic. Chosen wherever the package
 * condition "node" is not set. It has what the default algorithms need and no more, because browsers load it;
 * `@parley/jose/noble` has the rest.
 * @module
 */
import { aeskw, gcm } from '@noble/ciphers/aes.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { base64url, concat, fromBase64url, fromUtf8, utf8, writeBase64url } from '@parley/core'
import type { Agreement, Backend, Sealed, SignatureScheme } from './backend.ts'

type Pair = { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array }

const uncompressed = Uint8Array.of(4)

/** What noble answers, or `undefined` where it throws. */
export function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch {
    // noble throws on invalid points, scalars and tags.
    return undefined
  }
}

const signEd25519: SignatureScheme = {
  importPrivate: (privateKey) => privateKey,
  importPublic: (publicKey) => publicKey,
  publicOf: (privateKey) => ed25519.getPublicKey(privateKey),
  // Every key here was made by importPrivate or importPublic above.
  sign: (data, key) => ed25519.sign(data, key as Uint8Array),
  // zip215 accepts non-canonical encodings, RFC 8032 does not.
  verify: (signature, { data, key }) =>
    attempt(() => ed25519.verify(signature, data, key as Uint8Array, { zip215: false })) ?? false,
}

export type Weierstrass = typeof p256

/** ECDSA on a curve of noble. */
export function ecdsa(curve: Weierstrass): SignatureScheme {
  return {
    importPrivate: (privateKey) => privateKey,
    importPublic: (publicKey) => point(curve, publicKey),
    publicOf: (privateKey) => attempt(() => curve.getPublicKey(privateKey, false).subarray(1)),
    // RFC 7518 §3.4 allows high and low s alike.
    sign: (data, key) => curve.sign(data, key as Uint8Array, { lowS: false }),
    verify: (signature, { data, key }) =>
      attempt(() => curve.verify(signature, data, key as Uint8Array, { lowS: false })) ?? false,
  }
}

const agreeX25519: Agreement = {
  importPrivate: (privateKey): Pair => ({ privateKey, publicKey: x25519.getPublicKey(privateKey) }),
  isPublic: (publicKey) => publicKey.length === 32,
  importPublic: (publicKey) => publicKey,
  publicOf: (key) => (key as Pair).publicKey,
  // noble refuses an all-zero result.
  agree: (privateKey, publicKey) =>
    attempt(() => x25519.getSharedSecret((privateKey as Pair).privateKey, publicKey as Uint8Array)),
}

/** Diffie-Hellman on a curve of noble. */
export function ecdh(curve: Weierstrass): Agreement {
  return {
    importPrivate: (privateKey): Pair | undefined =>
      attempt(() => ({ privateKey, publicKey: curve.getPublicKey(privateKey, false).subarray(1) })),
    isPublic: (publicKey) => point(curve, publicKey) !== undefined,
    importPublic: (publicKey) => concat(uncompressed, publicKey),
    publicOf: (key) => (key as Pair).publicKey,
    // getSharedSecret refuses a point that is not on the curve.
    agree: (privateKey, publicKey) =>
      attempt(() => {
        const shared = curve.getSharedSecret((privateKey as Pair).privateKey, publicKey as Uint8Array, false)
        return shared.subarray(1, 1 + (shared.length - 1) / 2)
      }),
  }
}

function point(curve: Weierstrass, publicKey: Uint8Array): Uint8Array | undefined {
  const octets = concat(uncompressed, publicKey)
  return curve.utils.isValidPublicKey(octets, false) ? octets : undefined
}

const hashes = { 256: sha256, 384: sha384, 512: sha512 } as const

function asciiText(bytes: Uint8Array): string | undefined {
  for (const octet of bytes) if (octet > 0x7f) return undefined
  return fromUtf8(bytes)
}

/** The primitives of the default algorithms in pure JavaScript. */
export const backend: Backend = {
  name: 'noble',
  signatures: { Ed25519: signEd25519, 'P-256': ecdsa(p256) },
  agreements: { X25519: agreeX25519, 'P-256': ecdh(p256) },
  sha256: (data) => sha256(data),
  // A secret is always bare octets here.
  hmac: (bits, key, data) => hmac(hashes[bits], key as Uint8Array, data),
  ascii: utf8,
  asciiText,
  base64url,
  fromBase64url,
  writeBase64url,
  readBase64url(octets) {
    const text = asciiText(octets)
    return text === undefined ? undefined : fromBase64url(text)
  },
  importSecret: (key) => key,
  keyWrap: (kek, key) => aeskw(kek as Uint8Array).encrypt(key),
  keyUnwrap: (kek, wrapped) => attempt(() => aeskw(kek as Uint8Array).decrypt(wrapped)),
  gcmSeal(key, iv, plaintext, aad): Sealed {
    const sealed = gcm(key as Uint8Array, iv, aad).encrypt(plaintext)
    return { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.subarray(plaintext.length) }
  },
  gcmOpen: (key, iv, { ciphertext, tag }, aad) => attempt(() => gcm(key as Uint8Array, iv, aad).decrypt(concat(ciphertext, tag))),
  secretOctets: (key) => key as Uint8Array,
}
