/**
 * What an application demands of a message, and what opening it proved. A policy is plain data; a demand that does not
 * hold refuses the whole message. Who signed what is encrypted is never taken for its author (draft-looker-jwm-01 §10.2).
 * @module
 */
import type { JsonObject } from '@parley/core'
import type { Key } from '@parley/jose'
import { isExpired } from './attributes.ts'
import { isJwm } from './content-type.ts'

/** The algorithms that are taken, per kind; an absent list takes all of the tables but "none" and those with passwords. */
export type AllowList = {
  readonly jws?: readonly string[]
  readonly jwe?: readonly string[]
  readonly enc?: readonly string[]
}

/** The kinds of the layers from the content outwards, joined: `sign`, `encrypt`, `sign-encrypt`, `encrypt-sign`, … */
export type JwmOrder = string

/**
 * How it is known who made the content: by a signature on it, by a MAC on it, or by a shared key that it is encrypted
 * under (which says: somebody who could read messages under that key).
 */
export type JwmOrigin = 'signature' | 'mac' | 'shared-key'

/** What is demanded of a message: each member that is there narrows what is taken. */
export type JwmPolicy = {
  /** Every signature of a layer must hold (the default), or one, or one for each of these `kid`s (others need not). */
  readonly require?: 'all' | 'any' | readonly string[]
  /** Refuses a message without any signature or MAC that held; outside of an encryption is enough. See `origin`. */
  readonly requireSignature?: boolean
  /** `signature`: one that others can check, on the content itself; `any`: of any kind; `none`: nothing may name a maker. */
  readonly origin?: 'signature' | 'any' | 'none'
  readonly requireEncryption?: boolean
  /** Refuses an encryption whose content key the maker did not commit to. */
  readonly requireCommitment?: boolean
  /** The orders of layers that are taken; by default all. */
  readonly orders?: readonly JwmOrder[]
  /** One list for all layers, or one for each from the outside in; a layer without a list is refused then. */
  readonly algorithms?: AllowList | readonly AllowList[]
  /** The attribute `to` must name one of these. */
  readonly audience?: string | readonly string[]
  /**
   * Whom a key belongs to: a table from `kid` (the thumbprint where a key has none), or a question. The attribute `from`
   * must be the holder of a key that signed the content itself.
   */
  readonly holders?: { readonly [kid: string]: string } | ((key: Key) => string | undefined)
  /** `ignored` (the default); `checked`: JWM or absent; `required`: JWM, in every layer. */
  readonly typ?: 'ignored' | 'checked' | 'required'
  /** Names on the wire of attributes that must be there. */
  readonly requiredAttributes?: readonly string[]
  /** The time, in milliseconds since 1970: a message whose `expiry` has come is refused. */
  readonly nowMs?: number
  /** What the clocks may differ by; by default 0. */
  readonly skewMs?: number
  /** Fewer layers than the limits allow. */
  readonly layersMax?: number
}

/** The demand that did not hold. */
export type PolicyCode =
  | 'signature-required'
  | 'signer-missing'
  | 'origin-unproved'
  | 'origin-named'
  | 'encryption-required'
  | 'commitment-required'
  | 'order-refused'
  | 'audience-mismatch'
  | 'from-unproved'
  | 'typ-conflict'
  | 'attribute-missing'
  | 'expired'

/** What opening a message proved. */
export type Proved = {
  /** The keys whose signatures or MACs on the content itself held, by `kid` or thumbprint: its authors. */
  readonly signedBy: readonly string[]
  /** Those of signatures further out, over ciphertext or over a signed message: who passed it on, never its authors. */
  readonly passedOnBy: readonly string[]
  /** The keys that decrypted it, the outermost first. */
  readonly encryptedTo: readonly string[]
  /** True when there is encryption and every layer of it committed to its content key. */
  readonly committed: boolean
  readonly order: JwmOrder
  readonly origin: JwmOrigin | undefined
  /** True when it is encrypted and neither a proof nor an attribute says by whom. */
  readonly anonymous: boolean
  /** The attribute `from`, when the policy knows that its holder signed the content. */
  readonly from: string | undefined
  /** The names in `to` that the policy asked for. */
  readonly audience: readonly string[]
}

/** What one layer gave, for the judgement of all. */
export type Evidence = {
  readonly kind: 'jws' | 'jwe'
  /** The keys that held or opened. */
  readonly keys: readonly Key[]
  readonly unsecured: boolean
  readonly committed: boolean
  /** The `typ` of every protected header. */
  readonly types: readonly unknown[]
}

/** What `evidence`, the outermost first, proves of a message with these attributes. */
export function prove(evidence: readonly Evidence[], object: JsonObject | undefined, policies: readonly JwmPolicy[]): Proved {
  const last = evidence.at(-1)
  const signers = last?.kind === 'jws' ? last.keys : []
  const outer = evidence.slice(0, last?.kind === 'jws' ? -1 : undefined).filter(({ kind }) => kind === 'jws')
  const encrypted = evidence.filter(({ kind }) => kind === 'jwe')
  const origin = originOf(signers, encrypted)
  const { from, to } = object ?? {}
  const names = Array.isArray(to) ? (to as readonly string[]) : []
  const asked = new Set(policies.flatMap(({ audience = [] }) => audience))
  return {
    signedBy: signers.map(nameOf),
    passedOnBy: outer.flatMap(({ keys }) => keys.map(nameOf)),
    encryptedTo: encrypted.flatMap(({ keys }) => keys.map(nameOf)),
    committed: encrypted.length > 0 && encrypted.every(({ committed }) => committed),
    order: evidence.map(stepOf).reverse().join('-'),
    origin,
    anonymous: encrypted.length > 0 && origin === undefined && outer.length === 0 && from === undefined,
    from: policies.some(({ holders }) => isHeld(from, { holders, signers })) ? (from as string) : undefined,
    audience: names.filter((name) => asked.has(name)),
  }
}

/** The first demand of `policy` that does not hold. */
export function judge(
  policy: JwmPolicy,
  proved: Proved,
  { evidence, object = {} }: { readonly evidence: readonly Evidence[]; readonly object: JsonObject | undefined },
): PolicyCode | undefined {
  const { require, requireSignature, origin, orders, audience, holders, requiredAttributes = [], nowMs, skewMs = 0 } = policy
  const held = [...proved.signedBy, ...proved.passedOnBy]
  if (requireSignature === true && held.length === 0) return 'signature-required'
  if (typeof require === 'object' && !require.every((kid) => held.includes(kid))) return 'signer-missing'
  if (policy.requireEncryption === true && proved.encryptedTo.length === 0) return 'encryption-required'
  if (policy.requireCommitment === true && proved.encryptedTo.length > 0 && !proved.committed) return 'commitment-required'
  if (orders?.includes(proved.order) === false) return 'order-refused'
  if (origin === 'signature' && proved.origin !== 'signature') return 'origin-unproved'
  if (origin === 'any' && proved.origin === undefined) return 'origin-unproved'
  if (origin === 'none' && !proved.anonymous) return 'origin-named'
  if (!evidence.every(({ types }) => types.every((typ) => isTypTaken(typ, policy.typ)))) return 'typ-conflict'
  if (!requiredAttributes.every((name) => Object.hasOwn(object, name))) return 'attribute-missing'
  if (audience !== undefined && ![audience].flat().some((name) => proved.audience.includes(name))) return 'audience-mismatch'
  const signers = evidence.at(-1)?.kind === 'jws' ? (evidence.at(-1)?.keys ?? []) : []
  if (holders !== undefined && !isHeld(object['from'], { holders, signers })) return 'from-unproved'
  const { expiry } = object
  if (nowMs !== undefined && typeof expiry === 'number' && isExpired({ expiry }, { nowMs, skewMs })) return 'expired'
  return undefined
}

/** The allow list that all `policies` together give for the layer at `position`, the outermost being 0. */
export function allowedAt(position: number, policies: readonly JwmPolicy[]): AllowList {
  const lists = policies.flatMap(({ algorithms }) =>
    algorithms === undefined ? [] : isList(algorithms) ? [algorithms[position] ?? { jws: [], jwe: [], enc: [] }] : [algorithms],
  )
  const all: { -readonly [Kind in keyof AllowList]: AllowList[Kind] } = {}
  for (const list of lists) {
    for (const kind of ['jws', 'jwe', 'enc'] as const) {
      const names = list[kind]
      if (names !== undefined) all[kind] = all[kind]?.filter((name) => names.includes(name)) ?? names
    }
  }
  return all
}

/** Whether every signature of a layer must hold: when one policy says so, or the application's own says nothing. */
export function needsEvery(own: JwmPolicy, named: JwmPolicy | undefined): boolean {
  return own.require === undefined || own.require === 'all' || named?.require === 'all'
}

// Array.isArray does not narrow readonly arrays.
function isList(algorithms: AllowList | readonly AllowList[]): algorithms is readonly AllowList[] {
  return Array.isArray(algorithms)
}

function nameOf(key: Key): string {
  return key.kid ?? key.thumbprint ?? ''
}

function stepOf({ kind, unsecured }: Evidence): string {
  return kind === 'jwe' ? 'encrypt' : unsecured ? 'unsecured' : 'sign'
}

function originOf(signers: readonly Key[], encrypted: readonly Evidence[]): JwmOrigin | undefined {
  if (signers.length > 0) return signers.some(({ kty }) => kty !== 'oct') ? 'signature' : 'mac'
  return encrypted.some(({ keys }) => keys.some(({ kty }) => kty === 'oct')) ? 'shared-key' : undefined
}

function isHeld(
  from: unknown,
  { holders, signers }: { readonly holders: JwmPolicy['holders']; readonly signers: readonly Key[] },
): boolean {
  if (holders === undefined || typeof from !== 'string') return false
  return signers.some((key) => {
    if (typeof holders === 'function') return holders(key) === from
    const name = nameOf(key)
    return Object.hasOwn(holders, name) && holders[name] === from
  })
}

function isTypTaken(typ: unknown, demand: JwmPolicy['typ'] = 'ignored'): boolean {
  return demand === 'ignored' || isJwm(typ) || (demand === 'checked' && typ === undefined)
}
