/**
 * Free composition, opening (draft-looker-jwm-01 §6.2): walks the layers of a message in any serialization and reports
 * what was proved: who encrypted to which key, which signatures held, whether the content key was committed to.
 * Any failing step refuses the whole; nothing of the content comes out then.
 * @module
 */
import { type JsonErrorCode, type JsonObject, parseJsonObject, type Result } from '@parley/core'
import {
  type JoseObject,
  type JweCode,
  type JwsCode,
  type Key,
  openJwe,
  readJose,
  type SerializationCode,
  verifyJws,
} from '@parley/jose'
import { attributesOf } from './attributes.ts'
import { type BinaryCode, isBinary, readBinary } from './binary.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'

/** The algorithms that are taken, per kind; an absent list takes all of the tables but "none". */
export type AllowList = {
  readonly jws?: readonly string[]
  readonly jwe?: readonly string[]
  readonly enc?: readonly string[]
}

export type OpenJwmOptions = {
  /** Private and symmetric keys to decrypt with. */
  readonly keys?: readonly Key[]
  /** Public keys to verify with. */
  readonly verifyKeys?: readonly Key[]
  /** Every signature of a layer must hold (the default), or one. */
  readonly require?: 'all' | 'any'
  /** Refuse a message that bears no signature that held. */
  readonly requireSignature?: boolean
  readonly algorithms?: AllowList
  readonly limits?: JwmLimits
}

export type SignatureLayer = { readonly alg: string; readonly kid: string | undefined; readonly verified: boolean }

/** A layer, and of its headers only what was protected. */
export type Layer =
  | {
      readonly kind: 'jwe'
      readonly alg: string
      readonly enc: string
      readonly kid: string | undefined
      readonly header: JsonObject
    }
  | { readonly kind: 'jws'; readonly signatures: readonly SignatureLayer[] }

export type OpenedJwm = {
  readonly payload: Uint8Array
  /** The payload as a JSON object by its names on the wire, when it is one; its attributes are sound then. */
  readonly object: JsonObject | undefined
  /** True when there is encryption and every layer of it committed to its content key. */
  readonly committed: boolean
  /** The outermost first. An outer signature does not make its signer the author of what is encrypted inside. */
  readonly layers: readonly Layer[]
}

export type OpenCode =
  | SerializationCode
  | BinaryCode
  | JweCode
  | JwsCode
  | 'content-type-conflict'
  | 'nesting-too-deep'
  | 'signature-required'
  | 'attributes-malformed'

/** Opens a message in any serialization. */
export function openJwm(input: string | Uint8Array | JsonObject, options: OpenJwmOptions = {}): Result<OpenedJwm, OpenCode> {
  const limits = options.limits ?? jwmLimits
  const layers: Layer[] = []
  let current = input
  let committed = true
  for (;;) {
    if (layers.length >= limits.layersMax) return { ok: false, code: 'nesting-too-deep' }
    const read = readJwm(current, limits)
    if (!read.ok) return read
    const step = read.kind === 'jwe' ? openLayer(read.jwe, options) : verifyLayer(read.jws, options)
    if (!step.ok) return step
    layers.push(step.layer)
    committed &&= step.committed
    if (step.nested) {
      current = step.content
      continue
    }
    const isSigned = layers.some((layer) => layer.kind === 'jws' && layer.signatures.some(({ verified }) => verified))
    if (options.requireSignature === true && !isSigned) return { ok: false, code: 'signature-required' }
    const object = objectOf(step.content, limits)
    if (!object.ok) return object
    const isEncrypted = layers.some(({ kind }) => kind === 'jwe')
    return { ok: true, payload: step.content, object: object.object, committed: isEncrypted && committed, layers }
  }
}

/** Reads one layer in whatever serialization it is. */
export function readJwm(
  input: string | Uint8Array | JsonObject,
  limits: JwmLimits,
): Result<JoseObject, SerializationCode | BinaryCode> {
  if (!(input instanceof Uint8Array && isBinary(input))) return readJose(input, limits.jose)
  const read = readBinary(input, limits.jose)
  return read.ok ? { ok: true, kind: 'jwe', jwe: read.jwe } : read
}

type Step = { readonly layer: Layer; readonly content: Uint8Array; readonly nested: boolean; readonly committed: boolean }
type JweOf = Extract<JoseObject, { readonly kind: 'jwe' }>['jwe']
type JwsOf = Extract<JoseObject, { readonly kind: 'jws' }>['jws']

function openLayer(jwe: JweOf, { keys = [], algorithms, limits = jwmLimits }: OpenJwmOptions): Result<Step, OpenCode> {
  const opened = openJwe(jwe, { keys, limits: limits.jose, ...allowFor(algorithms) })
  // The cause stays inside: whatever went wrong with a secret looks the same from outside.
  if (!opened.ok) return { ok: false, code: opened.code }
  const { alg, enc, key, protectedHeader, plaintext, committed } = opened
  // What an entry's header claims is not authenticated: the report names the key that was used.
  const layer: Layer = { kind: 'jwe', alg, enc, kid: key.kid ?? key.thumbprint, header: protectedHeader }
  return { ok: true, layer, content: plaintext, nested: isJwm(protectedHeader['cty']), committed }
}

function verifyLayer(
  jws: JwsOf,
  { verifyKeys = [], require = 'all', algorithms, limits = jwmLimits }: OpenJwmOptions,
): Result<Step, OpenCode> {
  const allowed = algorithms?.jws === undefined ? {} : { algorithms: algorithms.jws }
  const verified = verifyJws(jws, { keys: verifyKeys, require, limits: limits.jose, ...allowed })
  if (!verified.ok) return verified
  const signatures = verified.signatures.map(({ alg, kid, verified }) => ({ alg, kid, verified }))
  const nested = verified.signatures.map(({ protectedHeader }) => isJwm(protectedHeader['cty']))
  // draft-looker-jwm-01 §6.2 speaks of one header; several must agree on what they cover.
  if (new Set(nested).size > 1) return { ok: false, code: 'content-type-conflict' }
  return { ok: true, layer: { kind: 'jws', signatures }, content: verified.payload, nested: nested[0] === true, committed: true }
}

function allowFor(algorithms: AllowList | undefined): {
  readonly algorithms?: readonly string[]
  readonly contentAlgorithms?: readonly string[]
} {
  return {
    ...(algorithms?.jwe === undefined ? {} : { algorithms: algorithms.jwe }),
    ...(algorithms?.enc === undefined ? {} : { contentAlgorithms: algorithms.enc }),
  }
}

// These say that a JSON object was meant, and that it is not a sound one.
const unsound: readonly (JsonErrorCode | 'json-not-object')[] = ['json-duplicate-name', 'json-too-deep']

function objectOf(
  payload: Uint8Array,
  limits: JwmLimits,
): Result<{ readonly object: JsonObject | undefined }, 'attributes-malformed'> {
  const parsed = parseJsonObject(payload, limits.attributes)
  if (!parsed.ok)
    return unsound.includes(parsed.code) ? { ok: false, code: 'attributes-malformed' } : { ok: true, object: undefined }
  const attributes = attributesOf(parsed.value)
  return attributes.ok ? { ok: true, object: parsed.value } : attributes
}
