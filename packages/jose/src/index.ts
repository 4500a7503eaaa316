/**
 * JOSE objects and keys: JWK, JWS and JWE as pure functions over algorithm tables. Secrets come from the Random port.
 * @module
 */
export { backend } from '#backend'
export {
  type ContentAlgorithm,
  type Curve,
  contentAlgorithms,
  curves,
  type KeyManagementAlgorithm,
  keyManagementAlgorithms,
  type SignatureAlgorithm,
  signatureAlgorithms,
} from './algorithms.ts'
export type {
  Aead,
  Agreement,
  Backend,
  Cbc,
  HashBits,
  PasswordOptions,
  Rsa,
  RsaMembers,
  Sealed,
  SignatureScheme,
  Signing,
} from './backend/backend.ts'
export { commitment, commitmentName } from './commitment.ts'
export { JoseError, type JoseErrorCode } from './errors.ts'
export type { HeaderCode, ProtectedHeader } from './header.ts'
export { type HeaderKeyOptions, headerCertificates, headerKey } from './header-key.ts'
export { type ImportOptions, importKey, type KeyCode, type KeyExtension, readKey } from './import-key.ts'
export { type Jwe, type JweRecipient, type Recipient, type SealOptions, sealJwe } from './jwe.ts'

export {
  type DecryptionCause,
  type JweCode,
  type OpenedJwe,
  type OpenOptions,
  type OpenResult,
  openJwe,
  openJweAsync,
} from './jwe-open.ts'
export { generateKey, type Jwk, type KeyKind, publicJwk, readThumbprintUri, thumbprint, thumbprintUri } from './jwk.ts'
export { type IgnoredKey, type JwkSetCode, type ReadJwkSetOptions, readJwkSet } from './jwk-set.ts'

export {
  addSignature,
  addSignatureAsync,
  detachPayload,
  type Jws,
  type JwsCode,
  type JwsSignature,
  type SignatureReport,
  type SignCompactOptions,
  type Signer,
  type SignOptions,
  signCompact,
  signCompactAsync,
  signCompactOctets,
  signCompactOctetsAsync,
  signJws,
  signJwsAsync,
  unsecuredJws,
  type VerifyOptions,
  verifyJws,
} from './jws.ts'
export type { Key, OpaqueOperations } from './key.ts'
export { type JoseLimits, joseLimits } from './limits.ts'

export { opaqueKey } from './opaque.ts'

export { importPassword, type PasswordAlgorithm } from './password.ts'
export {
  type JwkAttribute,
  type OpenJwkCode,
  type OpenJwkOptions,
  type OpenJwkSetOptions,
  openJwk,
  openJwkAsync,
  openJwkSet,
  openJwkSetAsync,
  type SealJwkOptions,
  sealJwk,
  sealJwkSet,
} from './sealed-jwk.ts'

export {
  type JoseObject,
  type ReadOptions,
  readCompactJws,
  readJose,
  type SerializationCode,
  toCompactJwe,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJweOctets,
  toGeneralJws,
  toUrlSafe,
} from './serialization.ts'
export { joinFlattened, joinGeneral, type SplitCode, splitGeneral } from './split.ts'
export { type AeadOpenOptions, type AeadSealOptions, aeadOpen, aeadSeal, sha256, unwrapKey, wrapKey } from './symmetric.ts'
