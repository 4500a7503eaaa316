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
  isReplyUrl,
  privateNames,
} from './attributes.ts'
export {
  type BinaryCode,
  fromBinary,
  isBinary,
  joinBinary,
  readBinary,
  readCut,
  splitBinary,
  toBinary,
  writeBinary,
  writeCut,
} from './binary.ts'
export { type CountersignCode, type CountersignOptions, countersignJwm, countersignJwmAsync } from './countersign.ts'
export {
  type DecryptResult,
  decryptEnvelope,
  decryptEnvelopeAsync,
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
export { type MakeCode, type MakeOptions, makeJwm, makeJwmAsync, writeJwe } from './make.ts'
export {
  type Layer,
  type OpenCode,
  type OpenedJwm,
  type OpenFailure,
  type OpenJwmOptions,
  openJwm,
  openJwmAsync,
  type SignatureLayer,
} from './open.ts'
export type { AllowList, JwmOrder, JwmOrigin, JwmPolicy, PolicyCode, Proved } from './policy.ts'
export { type JwmProfileName, jwmProfiles } from './profiles.ts'
export {
  readSigned,
  type Signed,
  type SignedCode,
  signMessage,
  signMessageAsync,
  type VerifiedCode,
  verifySigned,
} from './signed.ts'
export { type JwmForm, type MadeJwm, toXmlText } from './write.ts'
