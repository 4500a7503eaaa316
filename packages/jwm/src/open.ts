/**
 * Free composition, opening (draft-looker-jwm-01 §6.2): walks the layers of a message in any serialization and reports
 * what was proved. Any failing step, and any demand of the policy that does not hold, refuses the whole; nothing of the
 * content comes out then.
 * @module
 */
import type { JsonObject, Result } from '@parley/core'
import {
  type DecryptionCause,
  type JoseObject,
  type Jwe,
  type JweCode,
  type Jws,
  type JwsCode,
  type Key,
  type OpenResult,
  openJwe,
  openJweAsync,
  readJose,
  type SerializationCode,
  verifyJws,
} from '@parley/jose'
import { type BinaryCode, isBinary, readBinary } from './binary.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'
import { objectOf } from './payload.ts'
import {
  type AllowList,
  allowedAt,
  type Evidence,
  type JwmPolicy,
  judge,
  needsEvery,
  type PolicyCode,
  type Proved,
  prove,
} from './policy.ts'
import { type JwmProfileName, profileNamed } from './profiles.ts'
import { areReplicas } from './replicate.ts'
import { call, run, runAsync, type Steps } from './steps.ts'

/** What there is to open with, and what is demanded beside the named profile. */
export type OpenJwmOptions = JwmPolicy & {
  /** Private and symmetric keys to decrypt with. */
  readonly keys?: readonly Key[]
  /** Public and symmetric keys to verify with. */
  readonly verifyKeys?: readonly Key[]
  /** A named configuration, whose demands hold beside the others given here. */
  readonly profile?: JwmProfileName
  /** The payload of an outermost signature that came without it. */
  readonly payload?: Uint8Array
  /** Takes compressed content, within `limits.jose.inflatedBytesMax`; never with a profile. */
  readonly zip?: boolean
  readonly limits?: JwmLimits
}

/** One signature of a layer; `kid` is that of the key that verified it, else what the header claims. */
export type SignatureLayer = { readonly alg: string; readonly kid: string | undefined; readonly verified: boolean }

/** A layer, and of its headers only what was protected. */
export type Layer =
  | {
      readonly kind: 'jwe'
      readonly alg: string
      readonly enc: string
      readonly kid: string | undefined
      readonly header: JsonObject
      /** The position of the recipient that was opened. */
      readonly recipient: number
      /** The maker's data that was authenticated beside the content. */
      readonly aad: Uint8Array | undefined
    }
  | { readonly kind: 'jws'; readonly signatures: readonly SignatureLayer[] }

/** What a message held, and what was proved. */
export type OpenedJwm = {
  readonly payload: Uint8Array
  /** The payload as a JSON object by its names on the wire, when it is one; its attributes are sound then. */
  readonly object: JsonObject | undefined
  /** True when there is encryption and every layer of it committed to its content key. */
  readonly committed: boolean
  /** The outermost first. An outer signature does not make its signer the author of what is encrypted inside. */
  readonly layers: readonly Layer[]
  readonly proved: Proved
}

/** Why a message is not taken, in the words of whichever step refused it. */
export type OpenCode =
  | SerializationCode
  | BinaryCode
  | JweCode
  | JwsCode
  | PolicyCode
  | 'content-type-conflict'
  | 'nesting-too-deep'
  | 'nested-unencoded'
  | 'attributes-malformed'
  | 'attributes-differ'

/** Why a message was not taken. */
export type OpenFailure = {
  readonly ok: false
  /** For this end alone: what differs with the keys tells a stranger about them. */
  readonly code: OpenCode
  /** Why a decryption failed, where that is known. */
  readonly cause?: DecryptionCause
  /** For the other end: the same whatever happened. */
  readonly opaque: 'not-accepted'
}

/** Opens a message in any serialization. */
export function openJwm(
  input: string | Uint8Array | JsonObject,
  options: OpenJwmOptions = {},
): ({ readonly ok: true } & OpenedJwm) | OpenFailure {
  return answer(run(openSteps(input, options)))
}

/** The same with keys that answer later. */
export async function openJwmAsync(
  input: string | Uint8Array | JsonObject,
  options: OpenJwmOptions = {},
): Promise<({ readonly ok: true } & OpenedJwm) | OpenFailure> {
  return answer(await runAsync(openSteps(input, options)))
}

function answer(opened: ({ readonly ok: true } & OpenedJwm) | Refusal): ({ readonly ok: true } & OpenedJwm) | OpenFailure {
  return opened.ok ? opened : { ...opened, opaque: 'not-accepted' }
}

type Refusal = { readonly ok: false; readonly code: OpenCode; readonly cause?: DecryptionCause }

function* openSteps(
  input: string | Uint8Array | JsonObject,
  options: OpenJwmOptions,
): Steps<({ readonly ok: true } & OpenedJwm) | Refusal> {
  const limits = options.limits ?? jwmLimits
  const named = options.profile === undefined ? undefined : profileNamed(options.profile)
  const policies: readonly JwmPolicy[] = named === undefined ? [options] : [named, options]
  const layersMax = Math.min(limits.layersMax, options.layersMax ?? limits.layersMax)
  const everySignature = needsEvery(options, named)
  const steps: Step[] = []
  let current = input
  let inside: Step | undefined
  do {
    if (steps.length >= layersMax) return { ok: false, code: 'nesting-too-deep' }
    const read = readJwm(current, limits)
    if (!read.ok) return read
    const allowed = allowedAt(steps.length, policies)
    const aside = steps.length === 0 ? options.payload : undefined
    if (aside !== undefined && read.kind === 'jwe') return { ok: false, code: 'serialization-malformed' }
    const step: ({ readonly ok: true } & Step) | Refusal =
      read.kind === 'jwe'
        ? yield* openLayer(read.jwe, {
            keys: options.keys ?? [],
            allowed,
            limits,
            zip: options.zip === true && named === undefined,
          })
        : verifyLayer(read.jws, { keys: options.verifyKeys ?? [], allowed, limits, everySignature, aside })
    if (!step.ok) return step
    // RFC 7797 §7: unencoded payloads are not for nesting, neither as the outer layer nor as the inner one.
    if (step.unencoded && (step.nested || steps.length > 0)) return { ok: false, code: 'nested-unencoded' }
    steps.push(step)
    current = step.content
    inside = step
  } while (inside.nested)
  return settle(inside.content, { steps, policies, limits })
}

type SettleOptions = { readonly steps: readonly Step[]; readonly policies: readonly JwmPolicy[]; readonly limits: JwmLimits }

/** Reads the attributes and judges the whole. */
function settle(payload: Uint8Array, { steps, policies, limits }: SettleOptions): ({ readonly ok: true } & OpenedJwm) | Refusal {
  const read = objectOf(payload, limits)
  if (!read.ok) return read
  const { object } = read
  const headers = steps.flatMap((step) => step.headers)
  if (object !== undefined && !headers.every((header) => areReplicas(header, object)))
    return { ok: false, code: 'attributes-differ' }
  const proved = prove(steps, object, policies)
  for (const policy of policies) {
    const code = judge(policy, proved, { evidence: steps, object })
    if (code !== undefined) return { ok: false, code }
  }
  return { ok: true, payload, object, committed: proved.committed, layers: steps.map(({ layer }) => layer), proved }
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

type Step = Evidence & {
  readonly layer: Layer
  readonly content: Uint8Array
  readonly nested: boolean
  readonly unencoded: boolean
  /** Where attributes may be replicated. */
  readonly headers: readonly JsonObject[]
}

type LayerOptions = { readonly keys: readonly Key[]; readonly allowed: AllowList; readonly limits: JwmLimits }

function* openLayer(
  jwe: Jwe,
  { keys, allowed, limits, zip }: LayerOptions & { readonly zip: boolean },
): Steps<({ readonly ok: true } & Step) | Refusal> {
  const settings = {
    keys,
    zip,
    limits: limits.jose,
    ...(allowed.jwe === undefined ? {} : { algorithms: allowed.jwe }),
    ...(allowed.enc === undefined ? {} : { contentAlgorithms: allowed.enc }),
  }
  const opened = yield* call<OpenResult>(
    () => openJwe(jwe, settings),
    () => openJweAsync(jwe, settings),
  )
  if (!opened.ok) return opened
  const { alg, enc, key, protectedHeader, plaintext, committed, recipient, aad } = opened
  const others = [jwe.unprotected, jwe.recipients[recipient]?.header].filter((header) => header !== undefined)
  return {
    ok: true,
    kind: 'jwe',
    keys: [key],
    unsecured: false,
    committed,
    types: [protectedHeader['typ']],
    // What an entry's header claims is not authenticated: the report names the key that was used.
    layer: { kind: 'jwe', alg, enc, kid: key.kid ?? key.thumbprint, header: protectedHeader, recipient, aad },
    content: plaintext,
    nested: isJwm(protectedHeader['cty']),
    unencoded: false,
    headers: [protectedHeader, ...others],
  }
}

type VerifyLayerOptions = LayerOptions & { readonly everySignature: boolean; readonly aside: Uint8Array | undefined }

function verifyLayer(
  jws: Jws,
  { keys, allowed, limits, everySignature, aside }: VerifyLayerOptions,
): ({ readonly ok: true } & Step) | Refusal {
  const verified = verifyJws(jws, {
    keys,
    require: everySignature ? 'all' : 'any',
    limits: limits.jose,
    ...(aside === undefined ? {} : { payload: aside }),
    ...(allowed.jws === undefined ? {} : { algorithms: allowed.jws }),
  })
  if (!verified.ok) return verified
  const { signatures, payload } = verified
  const nested = signatures.map(({ protectedHeader }) => isJwm(protectedHeader['cty']))
  // draft-looker-jwm-01 §6.2 speaks of one header; several must agree on what they cover.
  if (new Set(nested).size > 1) return { ok: false, code: 'content-type-conflict' }
  return {
    ok: true,
    kind: 'jws',
    keys: signatures.flatMap(({ key }) => (key === undefined ? [] : [key])),
    unsecured: signatures.every(({ alg }) => alg === 'none'),
    committed: true,
    types: signatures.map(({ protectedHeader }) => protectedHeader['typ']),
    layer: { kind: 'jws', signatures: signatures.map(({ alg, kid, verified: held }) => ({ alg, kid, verified: held })) },
    content: payload,
    nested: nested[0] === true,
    unencoded: signatures.some(({ protectedHeader }) => protectedHeader['b64'] === false),
    headers: [],
  }
}
