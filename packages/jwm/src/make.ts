/**
 * Free composition, making (draft-looker-jwm-01 §6.1): any signers, any recipients, either order, every serialization.
 * The message profile is envelope.ts; this serves tools and other applications.
 * @module
 */
import { isMessagingError, type JsonObject, parseJsonObject, type Random, type Result, utf8 } from '@parley/core'
import {
  JoseError,
  type Jwe,
  type Jws,
  type Key,
  sealJwe,
  signJws,
  toCompactJwe,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
  toUrlSafe,
  unsecuredJws,
} from '@parley/jose'
import { attributesOf } from './attributes.ts'
import { writeBinary } from './binary.ts'

export type JwmForm = 'general' | 'flattened' | 'compact' | 'urlsafe' | 'binary'

export type MakeOptions = {
  readonly signers?: readonly Key[]
  readonly recipients?: readonly Key[]
  readonly random: Random
  /** Of the outermost layer; inner ones are compact where that is possible, else General. */
  readonly form: JwmForm
  /** By default A256GCM. */
  readonly enc?: string
  /** By default the message is signed first. */
  readonly order?: 'sign-encrypt' | 'encrypt-sign'
  /** Allows a message that neither is signed nor encrypted (`alg` "none"). */
  readonly unsecured?: boolean
}

export type MakeCode =
  | 'attributes-malformed'
  | 'nothing-secures-it'
  | 'form-impossible'
  | 'alg-unknown'
  | 'key-unfit'
  | 'limit-exceeded'

/** A text, the members of a JSON serialization, or the octets of the binary one. */
export type MadeJwm = string | JsonObject | Uint8Array

/** Signs and encrypts a payload: the octets of an attributes set, or any others. */
export function makeJwm(payload: Uint8Array, options: MakeOptions): Result<{ readonly jwm: MadeJwm }, MakeCode> {
  const { signers = [], recipients = [], form, order = 'sign-encrypt', unsecured = false } = options
  if (!isPayload(payload)) return { ok: false, code: 'attributes-malformed' }
  if (signers.length === 0 && recipients.length === 0 && !unsecured) return { ok: false, code: 'nothing-secures-it' }
  try {
    // A layer around another one says so by its cty (draft-looker-jwm-01 §6.1 step 5).
    const sign = (octets: Uint8Array, nested: boolean): Layer => ({ kind: 'jws', jws: signLayer(octets, { signers, nested }) })
    const seal = (octets: Uint8Array, nested: boolean, compact: boolean): Layer => {
      return { kind: 'jwe', jwe: sealLayer(octets, { recipients, nested, compact, options }) }
    }
    const compact = form === 'compact'
    if (recipients.length === 0) return { ok: true, jwm: serialize(sign(payload, false), form) }
    if (signers.length === 0) return { ok: true, jwm: serialize(seal(payload, false, compact), form) }
    const outer =
      order === 'sign-encrypt'
        ? seal(serializeInner(sign(payload, false)), true, compact)
        : sign(serializeInner(seal(payload, false, recipients.length === 1)), true)
    return { ok: true, jwm: serialize(outer, form) }
  } catch (error) {
    const code = isMessagingError(error) ? codes[error.code] : undefined
    if (code === undefined) throw error
    return { ok: false, code }
  }
}

type Layer = { readonly kind: 'jws'; readonly jws: Jws } | { readonly kind: 'jwe'; readonly jwe: Jwe }

// What jose throws while making, as values: the request came from outside.
const codes: { readonly [code: string]: MakeCode | undefined } = {
  ERR_JOSE_FORM_IMPOSSIBLE: 'form-impossible',
  ERR_JOSE_ALGORITHM_UNKNOWN: 'alg-unknown',
  ERR_JOSE_KEY_UNFIT: 'key-unfit',
  ERR_JOSE_LIMIT_EXCEEDED: 'limit-exceeded',
}

// Any octets may be signed and sealed, but what is an attributes set must be a sound one.
function isPayload(payload: Uint8Array): boolean {
  const parsed = parseJsonObject(payload)
  return !parsed.ok || attributesOf(parsed.value).ok
}

function signLayer(octets: Uint8Array, { signers, nested }: { readonly signers: readonly Key[]; readonly nested: boolean }): Jws {
  const header = { typ: 'JWM', ...(nested ? { cty: 'JWM' } : {}) }
  if (signers.length === 0) return unsecuredJws(octets, { protected: header })
  return signJws(octets, { signers: signers.map((key) => ({ key, protected: header })) })
}

type SealLayerOptions = {
  readonly recipients: readonly Key[]
  readonly nested: boolean
  readonly compact: boolean
  readonly options: MakeOptions
}

function sealLayer(octets: Uint8Array, { recipients, nested, compact, options: { random, enc } }: SealLayerOptions): Jwe {
  return sealJwe(octets, {
    recipients: recipients.map((key) => ({ key })),
    random,
    allProtected: compact,
    protected: { typ: 'JWM', ...(nested ? { cty: 'JWM' } : {}) },
    ...(enc === undefined ? {} : { enc }),
  })
}

function serializeInner(layer: Layer): Uint8Array {
  const single = layer.kind === 'jws' ? layer.jws.signatures.length === 1 : layer.jwe.recipients.length === 1
  const made = serialize(layer, single ? 'compact' : 'general')
  return utf8(typeof made === 'string' ? made : JSON.stringify(made))
}

function serialize(layer: Layer, form: JwmForm): MadeJwm {
  switch (form) {
    case 'general':
      return layer.kind === 'jws' ? toGeneralJws(layer.jws) : toGeneralJwe(layer.jwe)
    case 'flattened':
      return layer.kind === 'jws' ? toFlattenedJws(layer.jws) : toFlattenedJwe(layer.jwe)
    case 'compact':
      return layer.kind === 'jws' ? toCompactJws(layer.jws) : toCompactJwe(layer.jwe)
    case 'urlsafe':
      return toUrlSafe(layer.kind === 'jws' ? toGeneralJws(layer.jws) : toGeneralJwe(layer.jwe))
    case 'binary':
      return binaryOf(layer)
  }
}

function binaryOf(layer: Layer): Uint8Array {
  // The binary serialization stands for a Flattened JWE and nothing else.
  if (layer.kind === 'jws' || layer.jwe.recipients.length !== 1) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the binary form holds an encrypted message for one recipient')
  }
  return writeBinary(layer.jwe)
}
