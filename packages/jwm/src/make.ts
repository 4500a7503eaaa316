/**
 * Free composition, making (draft-looker-jwm-01 §6.1): any signers, any recipients, either order, every serialization,
 * or a named profile. The message profile of Parley is envelope.ts; this serves tools and other applications.
 * @module
 */
import { isMessagingError, type JsonObject, parseJsonObject, type Random, type Result, utf8 } from '@parley/core'
import {
  detachPayload,
  JoseError,
  type Jwe,
  type Jws,
  type Key,
  type Recipient,
  type SealOptions,
  type Signer,
  sealJwe,
  signJws,
  signJwsAsync,
  unsecuredJws,
} from '@parley/jose'
import { jwmLimits } from './limits.ts'
import { objectOf } from './payload.ts'
import { type AllowList, allowedAt, type JwmPolicy } from './policy.ts'
import { type JwmProfileName, profileNamed } from './profiles.ts'
import { replicas } from './replicate.ts'
import { call, run, runAsync, type Steps } from './steps.ts'
import { type JwmForm, type JwmLayer, type MadeJwm, serialize, sizeOf } from './write.ts'

/** Who signs, who can read, and what is written. */
export type MakeOptions = {
  /** Keys, or keys with an algorithm and more header members of their own. */
  readonly signers?: readonly (Key | Signer)[]
  readonly recipients?: readonly (Key | Recipient)[]
  readonly random: Random
  /** Of the outermost layer; inner ones are compact where that is possible, else General. */
  readonly form: JwmForm
  /** A named configuration: what does not fit it is refused. */
  readonly profile?: JwmProfileName
  /** The algorithms that may be used; by default all. */
  readonly algorithms?: AllowList
  /** By default A256GCM. */
  readonly enc?: string
  /** By default the message is signed first. */
  readonly order?: 'sign-encrypt' | 'encrypt-sign'
  /** Allows a message that neither is signed nor encrypted (`alg` "none"). */
  readonly unsecured?: boolean
  /** Attributes, by their names on the wire, that the protected header of the encryption shows too; by default none. */
  readonly replicate?: readonly string[]
  /** Signs the payload as it is, without base64url (RFC 7797); signed messages alone. */
  readonly unencoded?: boolean
  /** Leaves the payload out: it travels apart (RFC 7515 Appendix F); signed messages alone. */
  readonly detached?: boolean
  /** Data authenticated beside the encrypted content. */
  readonly aad?: Uint8Array
  /** Members of the encryption's shared unprotected header. */
  readonly unprotected?: JsonObject
  /** PBKDF2 iterations for recipients with a password; by default 600 000. */
  readonly passwordIterations?: number
  /** Compresses what is encrypted (RFC 7516 §4.1.3): its size then tells about its content. */
  readonly zip?: 'DEF'
}

/** Why a message cannot be made. */
export type MakeCode =
  | 'attributes-malformed'
  | 'nothing-secures-it'
  | 'form-impossible'
  | 'alg-unknown'
  | 'alg-not-allowed'
  | 'key-unfit'
  | 'header-invalid'
  | 'limit-exceeded'
  | 'replica-impossible'
  | 'profile-conflict'

type MakeResult = Result<{ readonly jwm: MadeJwm; readonly bytes: number }, MakeCode>

/** Signs and encrypts a payload: the octets of an attributes set, or any others. `bytes` is the size of what was made. */
export function makeJwm(payload: Uint8Array, options: MakeOptions): MakeResult {
  return run(makeSteps(payload, options))
}

/** The same with keys that answer later. */
export function makeJwmAsync(payload: Uint8Array, options: MakeOptions): Promise<MakeResult> {
  return runAsync(makeSteps(payload, options))
}

function* makeSteps(payload: Uint8Array, options: MakeOptions): Steps<MakeResult> {
  const { form, order = 'sign-encrypt', unsecured = false, unencoded = false, detached = false } = options
  const signers = (options.signers ?? []).map((signer): Signer => ('key' in signer ? signer : { key: signer }))
  const recipients = (options.recipients ?? []).map((one): Recipient => ('key' in one ? one : { key: one }))
  const parts: Parts = { signers, recipients, options, order }
  if (!objectOf(payload, jwmLimits).ok) return { ok: false, code: 'attributes-malformed' }
  if (signers.length === 0 && recipients.length === 0 && !unsecured) return { ok: false, code: 'nothing-secures-it' }
  if (!fitsProfile(payload, parts)) return { ok: false, code: 'profile-conflict' }
  // RFC 7797 §7: nothing unencoded is nested. What is encrypted cannot travel apart from its encryption.
  if ((unencoded || detached) && recipients.length > 0) return { ok: false, code: 'form-impossible' }
  if (!fitsEncryption(parts)) return { ok: false, code: 'form-impossible' }
  const shown = replicas(payload, options.replicate ?? [])
  if (!shown.ok) return shown
  try {
    const layers = yield* makeLayers(payload, { ...parts, shown: shown.header })
    const policies = [options, ...profileOf(options)].map(({ algorithms }): JwmPolicy => (algorithms ? { algorithms } : {}))
    if (!layers.every((layer) => isAllowed(layer, allowedAt(0, policies)))) return { ok: false, code: 'alg-not-allowed' }
    // There is always one.
    const jwm = serialize(layers.at(-1) as JwmLayer, form)
    return { ok: true, jwm, bytes: sizeOf(jwm) }
  } catch (error) {
    return refusalOf(error)
  }
}

/** Writes the JWE that `seal` makes, an encrypted key for example. */
export function writeJwe(seal: () => Jwe, form: JwmForm): MakeResult {
  try {
    const jwm = serialize({ kind: 'jwe', jwe: seal() }, form)
    return { ok: true, jwm, bytes: sizeOf(jwm) }
  } catch (error) {
    return refusalOf(error)
  }
}

/** What jose throws while making, as a value: the request came from outside. */
export function refusalOf(error: unknown): { readonly ok: false; readonly code: MakeCode } {
  const code = isMessagingError(error) ? codes[error.code] : undefined
  if (code === undefined) throw error
  return { ok: false, code }
}

const codes: { readonly [code: string]: MakeCode | undefined } = {
  ERR_JOSE_FORM_IMPOSSIBLE: 'form-impossible',
  ERR_JOSE_ALGORITHM_UNKNOWN: 'alg-unknown',
  ERR_JOSE_KEY_UNFIT: 'key-unfit',
  ERR_JOSE_HEADER_INVALID: 'header-invalid',
  ERR_JOSE_LIMIT_EXCEEDED: 'limit-exceeded',
}

type Parts = {
  readonly signers: readonly Signer[]
  readonly recipients: readonly Recipient[]
  readonly options: MakeOptions
  readonly order: 'sign-encrypt' | 'encrypt-sign'
}

/** The layers from the content outwards. */
function* makeLayers(
  payload: Uint8Array,
  { shown, ...parts }: Parts & { readonly shown: JsonObject },
): Steps<readonly JwmLayer[]> {
  const { signers, recipients, options, order } = parts
  const compact = options.form === 'compact'
  if (recipients.length === 0) return [yield* signLayer(payload, { parts, nested: false })]
  const seal = (octets: Uint8Array, nested: boolean, inOne: boolean): JwmLayer => ({
    kind: 'jwe',
    jwe: sealLayer(octets, { parts, nested, compact: inOne, shown }),
  })
  if (signers.length === 0) return [seal(payload, false, compact)]
  // A layer around another one says so by its cty (draft-looker-jwm-01 §6.1 step 5).
  if (order === 'sign-encrypt') {
    const signed = yield* signLayer(payload, { parts, nested: false })
    return [signed, seal(serializeInner(signed), true, compact)]
  }
  const isSmall = recipients.length === 1 && options.aad === undefined && options.unprotected === undefined
  const sealed = seal(payload, false, isSmall)
  return [sealed, yield* signLayer(serializeInner(sealed), { parts, nested: true })]
}

function profileOf({ profile }: MakeOptions): readonly JwmPolicy[] {
  return profile === undefined ? [] : [profileNamed(profile)]
}

function fitsProfile(payload: Uint8Array, { signers, recipients, options, order }: Parts): boolean {
  const [profile] = profileOf(options)
  if (profile === undefined) return true
  if (options.zip !== undefined) return false
  const both = signers.length > 0 && recipients.length > 0
  const planned = both ? order : recipients.length > 0 ? 'encrypt' : signers.length > 0 ? 'sign' : 'unsecured'
  if (profile.orders?.includes(planned) === false) return false
  const isSymmetric = ({ key }: Signer | Recipient): boolean => key.kty === 'oct'
  switch (profile.origin) {
    case 'signature':
      return signers.some((signer) => !isSymmetric(signer))
    case 'any':
      return signers.length > 0 || recipients.every(isSymmetric)
    case 'none': {
      const parsed = parseJsonObject(payload)
      return !recipients.some(isSymmetric) && !(parsed.ok && Object.hasOwn(parsed.value, 'from'))
    }
    default:
      return true
  }
}

// What only an encryption has needs one.
function fitsEncryption({ recipients, options: { aad, unprotected, zip, replicate = [] } }: Parts): boolean {
  return recipients.length > 0 || (aad === undefined && unprotected === undefined && zip === undefined && replicate.length === 0)
}

function isAllowed(layer: JwmLayer, allowed: AllowList): boolean {
  if (layer.kind === 'jws') return layer.jws.signatures.every(({ protected: { header } }) => isListed(allowed.jws, header['alg']))
  const { protected: shared, recipients } = layer.jwe
  return (
    isListed(allowed.enc, shared.header['enc']) &&
    recipients.every((recipient) => isListed(allowed.jwe, shared.header['alg'] ?? recipient?.header?.['alg']))
  )
}

function isListed(names: readonly string[] | undefined, name: unknown): boolean {
  return names === undefined || (typeof name === 'string' && names.includes(name))
}

function* signLayer(octets: Uint8Array, { parts, nested }: { readonly parts: Parts; readonly nested: boolean }): Steps<JwmLayer> {
  const { options } = parts
  const header = { typ: 'JWM', ...(nested ? { cty: 'JWM' } : {}) }
  const signers = parts.signers.map((signer) => ({ ...signer, protected: { ...header, ...signer.protected } }))
  const settings = { signers, ...(options.unencoded === true ? { unencoded: true } : {}) }
  const jws =
    signers.length === 0
      ? unsecuredJws(octets, { protected: header })
      : yield* call<Jws>(
          () => signJws(octets, settings),
          () => signJwsAsync(octets, settings),
        )
  return { kind: 'jws', jws: options.detached === true ? detachPayload(jws) : jws }
}

type SealLayerOptions = {
  readonly parts: Parts
  readonly nested: boolean
  readonly compact: boolean
  readonly shown: JsonObject
}

function sealLayer(octets: Uint8Array, { parts, nested, compact, shown }: SealLayerOptions): Jwe {
  const { recipients, options } = parts
  const { random, enc, aad, unprotected, passwordIterations, zip } = options
  const settings: SealOptions = {
    recipients,
    random,
    allProtected: compact,
    protected: { typ: 'JWM', ...(nested ? { cty: 'JWM' } : {}), ...shown },
    ...(enc === undefined ? {} : { enc }),
    ...(aad === undefined ? {} : { aad }),
    ...(unprotected === undefined ? {} : { unprotected }),
    ...(passwordIterations === undefined ? {} : { passwordIterations }),
    ...(zip === undefined ? {} : { zip }),
  }
  return sealJwe(octets, settings)
}

function serializeInner(layer: JwmLayer): Uint8Array {
  const isCompact =
    layer.kind === 'jws'
      ? layer.jws.signatures.length === 1 && layer.jws.signatures[0]?.unprotected === undefined
      : layer.jwe.recipients.length === 1 && layer.jwe.aad === undefined && layer.jwe.unprotected === undefined
  const made = serialize(layer, isCompact ? 'compact' : 'general')
  if (made instanceof Uint8Array) throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'an inner layer is text')
  return utf8(typeof made === 'string' ? made : JSON.stringify(made))
}
