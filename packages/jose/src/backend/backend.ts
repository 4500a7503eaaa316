/**
 * The one interface behind which the primitives stand. Two implementations pass the same vectors: node:crypto and noble.
 * A backend never makes a key, a nonce or anything else at random; private octets come in from the Random port.
 * What it prepares (`unknown` here) only the backend that made it understands.
 * @module
 */

/** Signing and verifying with prepared keys. A key type with several algorithms is told which. */
export interface Signing {
  /** The signature over `data`. */
  sign(data: Uint8Array, key: unknown, alg: string): Uint8Array
  /** Whether `signature` is one over `data`. */
  verify(signature: Uint8Array, options: { readonly data: Uint8Array; readonly key: unknown; readonly alg: string }): boolean
}

/** One signature primitive on one curve. */
export interface SignatureScheme extends Signing {
  /** Prepares a private key; `publicKey` must belong to it. */
  importPrivate(privateKey: Uint8Array, publicKey: Uint8Array): unknown
  /** Prepares a public key, or `undefined` when it is none. */
  importPublic(publicKey: Uint8Array): unknown
  /** The public key of a private one, or `undefined` when it is out of range. */
  publicOf(privateKey: Uint8Array): Uint8Array | undefined
}

/** The members of an RSA key (RFC 7518 §6.3), base64url as in its JWK. */
export type RsaMembers = { readonly [name in 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi']?: string }

/** RSA: RSASSA-PKCS1-v1_5, RSASSA-PSS and RSAES-OAEP. */
export interface Rsa extends Signing {
  /** Prepares a public key, or `undefined` when it is none. */
  importPublic(members: RsaMembers): unknown
  /** Prepares a private key, or `undefined` when it is none or its parts do not belong together. */
  importPrivate(members: RsaMembers): unknown
  /** Encrypts a content key. */
  encrypt(octets: Uint8Array, key: unknown, alg: string): Uint8Array
  /** `undefined` when it cannot be decrypted. */
  decrypt(encrypted: Uint8Array, key: unknown, alg: string): Uint8Array | undefined
}

/** What PBKDF2 takes beside the password. */
export type PasswordOptions = {
  readonly bits: HashBits
  readonly salt: Uint8Array
  readonly iterations: number
  readonly keyBytes: number
}

/** The length of a SHA-2 hash. */
export type HashBits = 256 | 384 | 512

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

/** What authenticated encryption gives. */
export type Sealed = { readonly ciphertext: Uint8Array; readonly tag: Uint8Array }

/** Authenticated encryption; takes a prepared key or bare octets, and lengths are checked by the caller. */
export interface Aead {
  /** Encrypts and authenticates. */
  seal(key: unknown, iv: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Sealed
  /** `undefined` when the tag does not fit. */
  open(key: unknown, iv: Uint8Array, sealed: Sealed, aad: Uint8Array): Uint8Array | undefined
}

/** AES-CBC with PKCS #7 padding and bare octets as key. Authenticates nothing. */
export interface Cbc {
  /** Pads and encrypts. */
  encrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array
  /** `undefined` when the padding is none. */
  decrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined
}

/** The primitives that everything else is made of; each runtime has an implementation. */
export interface Backend {
  readonly name: 'node' | 'noble'
  readonly signatures: { readonly [curve: string]: SignatureScheme | undefined }
  readonly agreements: { readonly [curve: string]: Agreement | undefined }
  /** Absent where the runtime has none. */
  readonly rsa?: Rsa
  /** SHA-256. */
  sha256(data: Uint8Array): Uint8Array
  /** HMAC with SHA-2; takes a prepared key or bare octets. */
  hmac(bits: HashBits, key: unknown, data: Uint8Array): Uint8Array
  /** ASCII octets of `text`, which must be ASCII. */
  ascii(text: string): Uint8Array
  /** Text of ASCII octets, or `undefined` when one is not ASCII. */
  asciiText(bytes: Uint8Array): string | undefined
  /** Base64url without padding. */
  base64url(bytes: Uint8Array): string
  /** Strict: anything but the canonical form is `undefined`. */
  fromBase64url(text: string): Uint8Array | undefined
  /** Writes base64url as ASCII octets into `target` and answers where it ends: for contents that never become a text. */
  writeBase64url(bytes: Uint8Array, target: Uint8Array, at: number): number
  /** What base64url in ASCII octets stands for; strict as `fromBase64url`. */
  readBase64url(octets: Uint8Array): Uint8Array | undefined
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
  /** ChaCha20-Poly1305 with an IV of 12 octets, XChaCha20-Poly1305 with one of 24. Not in the smallest backend. */
  readonly chacha?: Aead
  /** Not in the smallest backend. */
  readonly cbc?: Cbc
  /** Raw DEFLATE (RFC 1951). Absent where the runtime has none that answers at once. */
  readonly deflate?: (content: Uint8Array) => Uint8Array
  /** The content, `too-long` when it has more than `bytesMax` octets, or `undefined` when it is no DEFLATE. */
  readonly inflate?: (compressed: Uint8Array, bytesMax: number) => Uint8Array | 'too-long' | undefined
  /** PBKDF2 with HMAC and SHA-2. Not in the smallest backend. */
  readonly pbkdf2?: (password: Uint8Array, options: PasswordOptions) => Uint8Array
  /** The octets of a symmetric key that `importSecret` prepared, or of bare octets. */
  secretOctets(key: unknown): Uint8Array
}
