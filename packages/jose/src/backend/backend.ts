/**
 * The one interface behind which the primitives stand. Two implementations pass the same vectors: node:crypto and noble.
 * A backend never makes a key, a nonce or anything else at random; private octets come in from the Random port.
 * What it prepares (`unknown` here) only the backend that made it understands.
 * @module
 */

/** One signature primitive on one key type. */
export interface SignatureScheme {
  /** Prepares a private key; `publicKey` must belong to it. */
  importPrivate(privateKey: Uint8Array, publicKey: Uint8Array): unknown
  /** Prepares a public key, or `undefined` when it is none. */
  importPublic(publicKey: Uint8Array): unknown
  /** The public key of a private one, or `undefined` when it is out of range. */
  publicOf(privateKey: Uint8Array): Uint8Array | undefined
  sign(data: Uint8Array, key: unknown): Uint8Array
  verify(signature: Uint8Array, data: Uint8Array, key: unknown): boolean
}

/** Diffie-Hellman on one curve. Public keys are the u-coordinate (X25519) or x ‖ y. */
export interface Agreement {
  /** Prepares a private key, or `undefined` when it is out of range. */
  importPrivate(privateKey: Uint8Array): unknown
  /** Whether the octets are a point on the curve. */
  isPublic(publicKey: Uint8Array): boolean
  /** Prepares a public key of the right length; `agree` checks it each time, so an ephemeral key needs no `isPublic`. */
  importPublic(publicKey: Uint8Array): unknown
  /** The public key of a prepared private key. */
  publicOf(key: unknown): Uint8Array
  /** The shared secret, or `undefined` for an invalid or low-order public key (RFC 8037 §3.2). */
  agree(privateKey: unknown, publicKey: unknown): Uint8Array | undefined
}

export type Sealed = { readonly ciphertext: Uint8Array; readonly tag: Uint8Array }

export interface Backend {
  readonly name: 'node' | 'noble'
  readonly signatures: { readonly [curve: string]: SignatureScheme | undefined }
  readonly agreements: { readonly [curve: string]: Agreement | undefined }
  sha256(data: Uint8Array): Uint8Array
  /** ASCII octets of `text`, which must be ASCII. */
  ascii(text: string): Uint8Array
  /** Text of ASCII octets, or `undefined` when one is not ASCII. */
  asciiText(bytes: Uint8Array): string | undefined
  base64url(bytes: Uint8Array): string
  /** Strict: anything but the canonical form is `undefined`. */
  fromBase64url(text: string): Uint8Array | undefined
  /** Prepares a symmetric key; `keyWrap*` and `gcm*` take it or bare octets. */
  importSecret(key: Uint8Array): unknown
  /** AES Key Wrap (RFC 3394); the key's length chooses the variant. */
  keyWrap(kek: unknown, key: Uint8Array): Uint8Array
  /** `undefined` when the integrity check fails. */
  keyUnwrap(kek: unknown, wrapped: Uint8Array): Uint8Array | undefined
  /** AES-GCM with a 96-bit IV and a 128-bit tag; lengths are checked by the caller. */
  gcmSeal(key: unknown, iv: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Sealed
  /** `undefined` when the tag does not fit. */
  gcmOpen(key: unknown, iv: Uint8Array, sealed: Sealed, aad: Uint8Array): Uint8Array | undefined
}
