/**
 * What the fuzzer holds true: a changed object fails with a documented code, or opens to exactly what was made (the same
 * octets, no signer who did not sign them, the protected header that was authenticated). Anything else is a surprise.
 * @module
 */
import { equal, isMessagingError } from '@parley/core'
import type { JweCode, JwsCode, SerializationCode } from '@parley/jose'
import type { BinaryCode, DecryptResult, EnvelopeCode, OpenCode, SignedCode, VerifiedCode } from '@parley/jwm'

/** Who signed, and which protected header that signature covers; a report may leave the header out. */
export type Signature = { readonly who: string; readonly header?: string }

/** One layer as it came out. */
export type Layer =
  | {
      readonly kind: 'jwe'
      /** `kid` and `alg` of the key that opened it. */
      readonly opener: string
      readonly enc: string
      readonly header: string
      readonly aad?: string
      readonly committed?: boolean
    }
  | { readonly kind: 'jws'; readonly signatures: readonly Signature[] }

export type Outcome =
  | {
      readonly ok: true
      readonly payload: Uint8Array
      readonly layers: readonly Layer[]
      /** Whom a report names as authors of the content, and as those who passed it on, by `kid`. */
      readonly authors?: readonly string[]
      readonly carriers?: readonly string[]
    }
  | { readonly ok: false; readonly code: string }

/** One layer as it was made; `content` is what stands inside. */
export type TrueLayer = { readonly content: Uint8Array } & (
  | {
      readonly kind: 'jwe'
      readonly openers: readonly string[]
      readonly enc: string
      readonly header: string
      readonly aad: string
      readonly committed: boolean
    }
  | { readonly kind: 'jws'; readonly signatures: readonly Required<Signature>[] }
)

/** The layers of an object, the outermost first. */
export type Truth = readonly TrueLayer[]

type Code =
  | SerializationCode
  | JweCode
  | JwsCode
  | BinaryCode
  | EnvelopeCode
  | OpenCode
  | SignedCode
  | VerifiedCode
  | Extract<DecryptResult, { readonly ok: false }>['code']

// Of the documented unions those that a reader without further wishes can meet; the compiler knows no others.
const codes: { readonly [code in Code]?: true } = {
  'alg-not-allowed': true,
  'attributes-differ': true,
  'attributes-malformed': true,
  'binary-malformed': true,
  'content-type-conflict': true,
  'crit-unsupported': true,
  'decryption-failed': true,
  'envelope-malformed': true,
  'header-malformed': true,
  'jwe-malformed': true,
  'jws-malformed': true,
  'key-unfit': true,
  'key-unknown': true,
  'limit-exceeded': true,
  'nested-unencoded': true,
  'nesting-too-deep': true,
  'serialization-malformed': true,
  'signature-invalid': true,
  'signature-required': true,
  'zip-unsupported': true,
}

/** What must come of a change, where that is known; otherwise it fails or opens to the same. */
export type Must = 'open' | 'refuse' | undefined

/** What is wrong with the outcome, or `undefined`. `truths` are those of the object and of what was mixed into it. */
export function verdict(outcome: Outcome, truths: readonly Truth[], must: Must): string | undefined {
  if (!outcome.ok) {
    if (!Object.hasOwn(codes, outcome.code)) return `an undocumented code ${outcome.code}`
    return must === 'open' ? `refused with ${outcome.code} what must open` : undefined
  }
  if (must === 'refuse') return 'opened what must be refused'
  const problems = truths.map((truth) => differs(outcome, truth))
  return problems.includes(undefined) ? undefined : problems[0]
}

/** What a throw means: typed ones say so themselves, others come from inside. */
export function thrown(error: unknown): Outcome {
  if (isMessagingError(error)) return { ok: false, code: `thrown ${error.code}` }
  return { ok: false, code: `thrown ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}` }
}

type Open = Extract<Outcome, { readonly ok: true }>

function differs({ payload, layers, authors = [], carriers = [] }: Open, truth: Truth): string | undefined {
  if (layers.length === 0) return 'opened without a layer'
  const innermost = truth[layers.length - 1]
  if (innermost === undefined) return 'more layers than were made'
  if (!equal(payload, innermost.content)) return 'another payload'
  for (const [i, layer] of layers.entries()) {
    const made = truth[i]
    if (made === undefined || made.kind !== layer.kind) return 'another kind of layer'
    const problem = layer.kind === 'jwe' ? differsJwe(layer, made) : differsJws(layer, made)
    if (problem !== undefined) return problem
  }
  if (!authors.every((kid) => signersOf([innermost]).includes(kid))) return 'another author'
  return carriers.every((kid) => signersOf(truth.slice(0, -1)).includes(kid)) ? undefined : 'another carrier'
}

function signersOf(layers: Truth): readonly string[] {
  return layers.flatMap((layer) => (layer.kind === 'jws' ? layer.signatures.map(({ who }) => who.split(' ')[0] ?? '') : []))
}

function differsJwe(layer: Extract<Layer, { kind: 'jwe' }>, made: TrueLayer): string | undefined {
  if (made.kind !== 'jwe') return 'another kind of layer'
  if (layer.header !== made.header) return 'another protected header'
  if (!made.openers.includes(layer.opener)) return `opened by another key or algorithm: ${layer.opener}`
  if (layer.enc !== made.enc) return 'another content algorithm'
  if (layer.aad !== undefined && layer.aad !== made.aad) return 'other application data'
  return layer.committed !== undefined && layer.committed !== made.committed ? 'another word on the commitment' : undefined
}

function differsJws(layer: Extract<Layer, { kind: 'jws' }>, made: TrueLayer): string | undefined {
  if (made.kind !== 'jws') return 'another kind of layer'
  if (layer.signatures.length === 0) return 'opened without a proven signer'
  for (const { who, header } of layer.signatures) {
    const own = made.signatures.filter((signature) => signature.who === who)
    if (own.length === 0) return `another proven signer: ${who}`
    if (header !== undefined && !own.some((signature) => signature.header === header)) return 'another protected header'
  }
  return undefined
}
