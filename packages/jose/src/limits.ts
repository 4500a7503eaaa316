/**
 * The named bounds of this package: nothing hostile makes more work than these allow (RFC 7516 §11, requirement J20).
 * @module
 */

/** The bounds of what is read; above one of them the answer is `limit-exceeded`. */
export type JoseLimits = {
  /** A whole serialized object. */
  readonly bytesMax: number
  /** One header: protected, shared unprotected, or of one recipient or signature. */
  readonly headerBytesMax: number
  /** Member names in a JSON serialization, all objects together. */
  readonly namesMax: number
  /** Nesting of a header's JSON. */
  readonly headerDepthMax: number
  /** Recipients of one JWE. */
  readonly recipientsMax: number
  /** Signatures of one JWS. */
  readonly signaturesMax: number
  /** Key unwraps tried for one object; each may cost a key agreement. */
  readonly unwrapsMax: number
  /** Content decryptions tried for one object. */
  readonly decryptionsMax: number
  /** A content that was compressed, after inflating. */
  readonly inflatedBytesMax: number
  /** PBKDF2 iterations for one object, all its recipients together; more are refused before any is made. */
  readonly passwordIterationsMax: number
  /** Signature verifications tried for one object. */
  readonly verificationsMax: number
  /** A JWK or a JWK Set. Preparing a large private RSA key costs a tenth of a second: what fits in here costs about one. */
  readonly keysBytesMax: number
  /** Keys of a JWK Set. */
  readonly keysMax: number
  /** Certificates of a header's `x5c`. */
  readonly certificatesMax: number
}

/** The defaults; each can be lowered or raised where an object is read. */
export const joseLimits: JoseLimits = {
  bytesMax: 32 * 1024 * 1024,
  headerBytesMax: 64 * 1024,
  namesMax: 32_768,
  headerDepthMax: 16,
  recipientsMax: 1024,
  signaturesMax: 64,
  unwrapsMax: 1024,
  decryptionsMax: 8,
  inflatedBytesMax: 1024 * 1024,
  passwordIterationsMax: 1_000_000,
  verificationsMax: 64,
  keysBytesMax: 64 * 1024,
  keysMax: 256,
  certificatesMax: 16,
}
