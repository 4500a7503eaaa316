/**
 * The algorithm tables (RFC 7518, RFC 8037, RFC 9864, RFC 9964): one row says all about an algorithm.
 * A new one is one row here, and one in each backend when it needs a primitive that is not there yet.
 * @module
 */

/** A curve or key type with an asymmetric key pair. */
export type Curve = {
  readonly crv: string
  readonly kty: 'OKP' | 'EC'
  /** Octets of one coordinate and of the private key; exactly these are accepted. */
  readonly coordinateBytes: number
}

/** A row of the table of JWS `alg`. */
export type SignatureAlgorithm = {
  readonly alg: string
  readonly kty: 'OKP' | 'EC' | 'oct' | 'RSA' | 'AKP'
  /** Of an asymmetric key on a curve. */
  readonly crv?: string
  /** Exactly so many octets; that of RSA is as long as its modulus. */
  readonly signatureBytes?: number
  /** RFC 7518 §3.2: a MAC key is at least as long as the hash. */
  readonly keyBytesMin?: number
  /** The name a JWK's own `alg` may bear as well (RFC 9864: EdDSA is Ed25519 on that curve). */
  readonly alias?: string
}

/** A row of the table of JWE `alg`. */
export type KeyManagementAlgorithm = {
  readonly alg: string
  /**
   * How the content key is had: wrapped (AES-KW or AES-GCM), the key itself, out of a key agreement with or without a
   * wrap, encrypted (RSA), or wrapped under what a password gives.
   */
  readonly mode: 'wrap' | 'gcm-wrap' | 'direct' | 'agree' | 'agree-wrap' | 'encrypt' | 'password'
  /** Octets of the key that wraps; absent where nothing is wrapped. */
  readonly kekBytes?: number
  /** Of the password's derivation. Passwords are taken only by who names the algorithm: each costs much work. */
  readonly passwordHash?: 256 | 384 | 512
}

/** A row of the table of `enc`. */
export type ContentAlgorithm = {
  readonly enc: string
  /** AES-GCM, AES-CBC with HMAC, or ChaCha20-Poly1305, whose longer IV means XChaCha20. */
  readonly cipher: 'gcm' | 'cbc' | 'chacha'
  readonly keyBytes: number
  readonly ivBytes: number
  readonly tagBytes: number
}

function table<Row>(nameOf: (row: Row) => string, rows: readonly Row[]): ReadonlyMap<string, Row> {
  return new Map(rows.map((row) => [nameOf(row), row]))
}

/** The curves by their names in a JWK. */
export const curves: ReadonlyMap<string, Curve> = table(
  (row) => row.crv,
  [
    { crv: 'Ed25519', kty: 'OKP', coordinateBytes: 32 },
    { crv: 'X25519', kty: 'OKP', coordinateBytes: 32 },
    { crv: 'P-256', kty: 'EC', coordinateBytes: 32 },
    { crv: 'P-384', kty: 'EC', coordinateBytes: 48 },
    { crv: 'P-521', kty: 'EC', coordinateBytes: 66 },
    { crv: 'secp256k1', kty: 'EC', coordinateBytes: 32 },
  ],
)

/** JWS `alg`. The first row that fits a key is what it signs with. `none` stands in no table. */
export const signatureAlgorithms: ReadonlyMap<string, SignatureAlgorithm> = table(
  (row) => row.alg,
  [
    { alg: 'EdDSA', kty: 'OKP', crv: 'Ed25519', signatureBytes: 64, alias: 'Ed25519' },
    { alg: 'Ed25519', kty: 'OKP', crv: 'Ed25519', signatureBytes: 64, alias: 'EdDSA' },
    { alg: 'ES256', kty: 'EC', crv: 'P-256', signatureBytes: 64 },
    { alg: 'ES384', kty: 'EC', crv: 'P-384', signatureBytes: 96 },
    { alg: 'ES512', kty: 'EC', crv: 'P-521', signatureBytes: 132 },
    { alg: 'ES256K', kty: 'EC', crv: 'secp256k1', signatureBytes: 64 },
    { alg: 'HS256', kty: 'oct', signatureBytes: 32, keyBytesMin: 32 },
    { alg: 'HS384', kty: 'oct', signatureBytes: 48, keyBytesMin: 48 },
    { alg: 'HS512', kty: 'oct', signatureBytes: 64, keyBytesMin: 64 },
    { alg: 'PS256', kty: 'RSA' },
    { alg: 'PS384', kty: 'RSA' },
    { alg: 'PS512', kty: 'RSA' },
    { alg: 'RS256', kty: 'RSA' },
    { alg: 'RS384', kty: 'RSA' },
    { alg: 'RS512', kty: 'RSA' },
    // RFC 9964. What computes them comes with the key: `@parley/jose/ml-dsa`.
    { alg: 'ML-DSA-44', kty: 'AKP', signatureBytes: 2420 },
    { alg: 'ML-DSA-65', kty: 'AKP', signatureBytes: 3309 },
    { alg: 'ML-DSA-87', kty: 'AKP', signatureBytes: 4627 },
  ],
)

/** JWE `alg`. */
export const keyManagementAlgorithms: ReadonlyMap<string, KeyManagementAlgorithm> = table(
  (row) => row.alg,
  [
    { alg: 'ECDH-ES+A256KW', mode: 'agree-wrap', kekBytes: 32 },
    { alg: 'ECDH-ES+A192KW', mode: 'agree-wrap', kekBytes: 24 },
    { alg: 'ECDH-ES+A128KW', mode: 'agree-wrap', kekBytes: 16 },
    { alg: 'ECDH-ES', mode: 'agree' },
    { alg: 'A256KW', mode: 'wrap', kekBytes: 32 },
    { alg: 'A192KW', mode: 'wrap', kekBytes: 24 },
    { alg: 'A128KW', mode: 'wrap', kekBytes: 16 },
    { alg: 'dir', mode: 'direct' },
    { alg: 'A256GCMKW', mode: 'gcm-wrap', kekBytes: 32 },
    { alg: 'A192GCMKW', mode: 'gcm-wrap', kekBytes: 24 },
    { alg: 'A128GCMKW', mode: 'gcm-wrap', kekBytes: 16 },
    { alg: 'RSA-OAEP-256', mode: 'encrypt' },
    { alg: 'RSA-OAEP', mode: 'encrypt' },
    { alg: 'PBES2-HS512+A256KW', mode: 'password', kekBytes: 32, passwordHash: 512 },
    { alg: 'PBES2-HS384+A192KW', mode: 'password', kekBytes: 24, passwordHash: 384 },
    { alg: 'PBES2-HS256+A128KW', mode: 'password', kekBytes: 16, passwordHash: 256 },
  ],
)

/** JWE `enc`. */
export const contentAlgorithms: ReadonlyMap<string, ContentAlgorithm> = table(
  (row) => row.enc,
  [
    { enc: 'A256GCM', cipher: 'gcm', keyBytes: 32, ivBytes: 12, tagBytes: 16 },
    { enc: 'A192GCM', cipher: 'gcm', keyBytes: 24, ivBytes: 12, tagBytes: 16 },
    { enc: 'A128GCM', cipher: 'gcm', keyBytes: 16, ivBytes: 12, tagBytes: 16 },
    { enc: 'A256CBC-HS512', cipher: 'cbc', keyBytes: 64, ivBytes: 16, tagBytes: 32 },
    { enc: 'A192CBC-HS384', cipher: 'cbc', keyBytes: 48, ivBytes: 16, tagBytes: 24 },
    { enc: 'A128CBC-HS256', cipher: 'cbc', keyBytes: 32, ivBytes: 16, tagBytes: 16 },
    { enc: 'C20P', cipher: 'chacha', keyBytes: 32, ivBytes: 12, tagBytes: 16 },
    { enc: 'XC20P', cipher: 'chacha', keyBytes: 32, ivBytes: 24, tagBytes: 16 },
  ],
)
