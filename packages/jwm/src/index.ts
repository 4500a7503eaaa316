/**
 * JSON Web Messages (draft-looker-jwm-01): attributes, signing and sealing, opening in pure steps, the binary form.
 * @module
 */
export {
  type Attributes,
  type AttributesCode,
  attributesOf,
  decodeAttributes,
  encodeAttributes,
  isExpired,
} from './attributes.ts'
export {
  type BinaryCode,
  fromBinary,
  isBinary,
  type JweParts,
  joinBinary,
  readBinary,
  readCut,
  splitBinary,
  toBinary,
  writeBinary,
  writeCut,
} from './binary.ts'
export {
  type DecryptResult,
  decryptEnvelope,
  type Envelope,
  type EnvelopeCode,
  type EnvelopeOptions,
  type MessageRecipient,
  readEnvelope,
  type SealedMessage,
  type SealMessageOptions,
  sealMessage,
  sealSigned,
} from './envelope.ts'
export { JwmError, type JwmErrorCode } from './errors.ts'
export { inspectJwm, type ShownLayer } from './inspect.ts'
export { type JwmLimits, jwmLimits } from './limits.ts'
export { type JwmForm, type MadeJwm, type MakeCode, type MakeOptions, makeJwm } from './make.ts'
export {
  type AllowList,
  type Layer,
  type OpenCode,
  type OpenedJwm,
  type OpenJwmOptions,
  openJwm,
  type SignatureLayer,
} from './open.ts'
export { readSigned, type Signed, type SignedCode, signMessage, type VerifiedCode, verifySigned } from './signed.ts'
