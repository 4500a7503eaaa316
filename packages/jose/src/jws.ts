/**
 * JSON Web Signatures (RFC 7515): signing and verifying, any number of signatures over one payload.
 * Which signatures must hold is the caller's explicit policy. Reading and writing texts is in serialization.ts.
 * @module
 */
import { base64urlLength, type JsonObject, type Result, utf8, writeAscii } from '@parley/core'
import { backend as defaultBackend } from '#backend'
import { signatureAlgorithms } from './algorithms.ts'
import { JoseError } from './errors.ts'
import { type HeaderCode, isUnencoded, joinJwsHeader, type ProtectedHeader, text } from './header.ts'
import { fitsSignature, type Key, materialOf, signatureAlgorithmOf } from './key.ts'
import { type JoseLimits, joseLimits } from './limits.ts'
import { run, runAsync, type Steps } from './steps.ts'

/** One signature with its headers. */
export type JwsSignature = {
  readonly protected: ProtectedHeader
  /** The unprotected header, which nothing vouches for. */
  readonly unprotected: JsonObject | undefined
  readonly signature: Uint8Array
  /** What was signed, where it came in one piece with these two: saves putting it together again. */
  readonly covers?: { readonly protected: ProtectedHeader; readonly payload: Uint8Array; readonly octets: Uint8Array }
}

/** A JWS in no particular serialization. Nothing in it is verified. */
export type Jws = {
  readonly payload: Uint8Array
  /** True when the payload travels apart (RFC 7515 Appendix F): `verifyJws` needs it then. */
  readonly detached?: boolean
  readonly signatures: readonly JwsSignature[]
}

/** Who signs, and what stands in that signature's headers. */
export type Signer = {
  readonly key: Key
  /** By default the first algorithm that fits the key: EdDSA or ES256. */
  readonly alg?: string
  /** More members for the protected header, such as `typ` and `cty`. */
  readonly protected?: JsonObject
  readonly unprotected?: JsonObject
}

/** Who signs, and how the payload is signed. */
export type SignOptions = {
  readonly signers: readonly Signer[]
  /** Signs the payload as it is, without base64url (RFC 7797); `b64` and `crit` are written. */
  readonly unencoded?: boolean
}

/** Signs `payload` once per signer. `kid` is written when the key has one. */
export function signJws(payload: Uint8Array, options: SignOptions): Jws {
  return run(signSteps(payload, options))
}

/** The same with keys that may answer later. */
export function signJwsAsync(payload: Uint8Array, options: SignOptions): Promise<Jws> {
  return runAsync(signSteps(payload, options))
}

function* signSteps(payload: Uint8Array, { signers, unencoded = false }: SignOptions): Steps<Jws> {
  if (signers.length === 0) throw new RangeError('signers must not be empty')
  const signatures: JwsSignature[] = []
  for (const signer of signers) signatures.push(yield* signOne(payload, { signer, unencoded }))
  return { payload, signatures }
}

/** The same signatures without the payload, which travels apart (RFC 7515 Appendix F). */
export function detachPayload(jws: Jws): Jws {
  return { ...jws, detached: true }
}

/** Adds a signature beside those that are there, as a gateway does; they are not touched. */
export function addSignature(jws: Jws, signer: Signer): Jws {
  return run(addSteps(jws, signer))
}

/** The same with a key that may answer later. */
export function addSignatureAsync(jws: Jws, signer: Signer): Promise<Jws> {
  return runAsync(addSteps(jws, signer))
}

function* addSteps(jws: Jws, signer: Signer): Steps<Jws> {
  // RFC 7797 §3: one value for all.
  const unencoded = jws.signatures.some(({ protected: shared }) => isUnencoded(shared.header))
  return { ...jws, signatures: [...jws.signatures, yield* signOne(jws.payload, { signer, unencoded })] }
}

/** Who signs, and what stands in the header. */
export type SignCompactOptions = {
  readonly key: Key
  readonly alg?: string
  readonly typ?: string
  readonly cty?: string
  /** More protected header members. */
  readonly header?: JsonObject
}

/** Signs `payload` in the compact serialization. */
export function signCompact(payload: Uint8Array, options: SignCompactOptions): string {
  return textOf(run(compactSteps(payload, options)), options)
}

/** The same with a key that may answer later. */
export async function signCompactAsync(payload: Uint8Array, options: SignCompactOptions): Promise<string> {
  return textOf(await runAsync(compactSteps(payload, options)), options)
}

/** The compact serialization as ASCII octets, for a content that is encrypted next: a long one never becomes a text. */
export function signCompactOctets(payload: Uint8Array, options: SignCompactOptions): Uint8Array {
  return run(compactSteps(payload, options))
}

/** The same with a key that may answer later. */
export function signCompactOctetsAsync(payload: Uint8Array, options: SignCompactOptions): Promise<Uint8Array> {
  return runAsync(compactSteps(payload, options))
}

function* compactSteps(payload: Uint8Array, options: SignCompactOptions): Steps<Uint8Array> {
  const { key } = options
  const { alg, headerText } = compactHeader(options)
  const input = signingInput(headerText, payload, false)
  const signature = `.${materialOf(key).backend.base64url(made(yield { kind: 'sign', key, alg, octets: input }))}`
  const octets = new Uint8Array(input.length + signature.length)
  octets.set(input)
  writeAscii(signature, octets, input.length)
  return octets
}

function textOf(octets: Uint8Array, { key }: SignCompactOptions): string {
  // It is ASCII.
  return materialOf(key).backend.asciiText(octets) ?? ''
}

// From here on writing octets is faster than joining texts.
const longPayload = 2048

function compactHeader({ key, alg, typ, cty, header: more }: SignCompactOptions): {
  readonly alg: string
  readonly headerText: string
} {
  const row = chooseAlgorithm(key, alg)
  const header: JsonObject = {
    ...(key.kid === undefined ? { alg: row.alg } : { alg: row.alg, kid: key.kid }),
    ...(typ === undefined ? {} : { typ }),
    ...(cty === undefined ? {} : { cty }),
    ...more,
  }
  if (isUnencoded(header)) throw new JoseError('ERR_JOSE_HEADER_INVALID', 'b64 is written by `unencoded` of signJws alone')
  if (more !== undefined) requireJoinable(header, undefined)
  return { alg: row.alg, headerText: defaultBackend.base64url(utf8(JSON.stringify(header))) }
}

function made(signature: Uint8Array | undefined): Uint8Array {
  if (signature === undefined) throw new JoseError('ERR_JOSE_KEY_UNFIT', 'the key cannot sign')
  return signature
}

/** An Unsecured JWS (RFC 7515 A.5): nothing protects it. Readers take it only by naming "none" among their algorithms. */
export function unsecuredJws(payload: Uint8Array, options: { readonly protected?: JsonObject } = {}): Jws {
  const header: JsonObject = { alg: 'none', ...options.protected }
  const headerText = defaultBackend.base64url(utf8(JSON.stringify(header)))
  return {
    payload,
    signatures: [{ protected: { text: headerText, header }, unprotected: undefined, signature: new Uint8Array(0) }],
  }
}

/** Why a JWS does not verify. */
export type JwsCode = HeaderCode | 'jws-malformed' | 'alg-not-allowed' | 'key-unknown' | 'key-unfit' | 'signature-invalid'

/** What became of one signature. */
export type SignatureReport = {
  readonly alg: string
  /** Of the key that verified; otherwise what the protected header claims. */
  readonly kid: string | undefined
  readonly verified: boolean
  /** The key that verified. */
  readonly key: Key | undefined
  readonly protectedHeader: JsonObject
}

/** What there is to verify with, and which signatures must hold. */
export type VerifyOptions = {
  readonly keys: readonly Key[]
  /** Every signature must hold (the default), or at least one. */
  readonly require?: 'all' | 'any'
  /** The algorithms that are taken; by default all of the table. "none" counts only when it is named here. */
  readonly algorithms?: readonly string[]
  /** The payload of a JWS that came without it. */
  readonly payload?: Uint8Array
  readonly limits?: JoseLimits
}

/** Verifies; the payload comes out only when the policy holds. */
export function verifyJws(
  received: Jws,
  { keys, require = 'all', algorithms, payload, limits = joseLimits }: VerifyOptions,
): Result<{ readonly payload: Uint8Array; readonly signatures: readonly SignatureReport[] }, JwsCode> {
  const jws = payload === undefined ? received : attachPayload(received, payload)
  if (jws === undefined || jws.detached === true || jws.signatures.length === 0) return { ok: false, code: 'jws-malformed' }
  // RFC 7797 §3: one value for all signatures.
  const [first, ...others] = jws.signatures.map(({ protected: shared }) => isUnencoded(shared.header))
  if (others.some((other) => other !== first)) return { ok: false, code: 'header-malformed' }
  if (jws.signatures.length > limits.signaturesMax) return { ok: false, code: 'limit-exceeded' }
  const budget = { left: limits.verificationsMax }
  const reports: SignatureReport[] = []
  let firstProblem: JwsCode | undefined
  for (const signature of jws.signatures) {
    const outcome = verifyOne(jws, signature, { keys, algorithms, alone: jws.signatures.length === 1, budget })
    if (outcome.report !== undefined) reports.push(outcome.report)
    // A malformed header spoils the whole object, under either policy.
    if (outcome.report === undefined) return { ok: false, code: outcome.code }
    if (outcome.code !== undefined && (firstProblem === undefined || outcome.code === 'signature-invalid'))
      firstProblem = outcome.code
  }
  if (firstProblem !== undefined && (require === 'all' || !reports.some((report) => report.verified)))
    return { ok: false, code: firstProblem }
  return { ok: true, payload: jws.payload, signatures: reports }
}

// A payload is taken from aside only where none is: two could differ.
function attachPayload(jws: Jws, payload: Uint8Array): Jws | undefined {
  if (jws.payload.length > 0) return undefined
  return { ...jws, payload, detached: false }
}

/** What a signature covers (RFC 7515 §5.1 step 5, RFC 7797 §3). */
function signingInput(headerText: string, payload: Uint8Array, unencoded: boolean): Uint8Array {
  if (!unencoded) {
    if (payload.length >= longPayload) return writeInput(headerText, payload)
    return defaultBackend.ascii(`${headerText}.${defaultBackend.base64url(payload)}`)
  }
  const octets = new Uint8Array(headerText.length + 1 + payload.length)
  octets.set(payload, writeAscii(`${headerText}.`, octets, 0))
  return octets
}

function writeInput(headerText: string, payload: Uint8Array): Uint8Array {
  const octets = new Uint8Array(headerText.length + 1 + base64urlLength(payload.length))
  defaultBackend.writeBase64url(payload, octets, writeAscii(`${headerText}.`, octets, 0))
  return octets
}

type VerifyOneOptions = {
  readonly keys: readonly Key[]
  readonly algorithms: readonly string[] | undefined
  readonly alone: boolean
  readonly budget: { left: number }
}

type Outcome =
  | { readonly report: SignatureReport; readonly code: JwsCode | undefined }
  | { readonly report: undefined; readonly code: JwsCode }

function verifyOne(jws: Jws, signature: JwsSignature, { keys, algorithms, alone, budget }: VerifyOneOptions): Outcome {
  const joined = joinJwsHeader(signature.protected.header, signature.unprotected)
  if (!joined.ok) return { report: undefined, code: joined.code }
  const alg = text(joined.header, 'alg')
  if (alg === undefined) return { report: undefined, code: 'header-malformed' }
  const protectedHeader = signature.protected.header
  const report = (key: Key | undefined): SignatureReport => ({
    alg,
    kid: key?.kid ?? text(protectedHeader, 'kid') ?? key?.thumbprint,
    verified: key !== undefined,
    key,
    protectedHeader,
  })
  if (alg === 'none') {
    // It never counts as a signature, and stands beside none.
    if (!alone || algorithms?.includes('none') !== true) return { report: report(undefined), code: 'alg-not-allowed' }
    return { report: report(undefined), code: signature.signature.length === 0 ? undefined : 'signature-invalid' }
  }
  const row = signatureAlgorithms.get(alg)
  if (row === undefined || algorithms?.includes(alg) === false) return { report: report(undefined), code: 'alg-not-allowed' }
  const kid = text(joined.header, 'kid')
  const named = keys.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid)
  const fitting = named.filter((key) => fitsSignature(key, row, 'verify') && materialOf(key).verifying !== undefined)
  if (fitting.length === 0)
    return { report: report(undefined), code: kid !== undefined && named.length > 0 ? 'key-unfit' : 'key-unknown' }
  if (row.signatureBytes !== undefined && signature.signature.length !== row.signatureBytes)
    return { report: report(undefined), code: 'signature-invalid' }
  const { covers } = signature
  const input =
    covers?.payload === jws.payload && covers.protected === signature.protected
      ? covers.octets
      : signingInput(signature.protected.text, jws.payload, isUnencoded(protectedHeader))
  for (const key of fitting) {
    if (budget.left-- <= 0) return { report: report(undefined), code: 'limit-exceeded' }
    const { scheme, verifying } = materialOf(key)
    if (scheme?.verify(signature.signature, { data: input, key: verifying, alg })) return { report: report(key), code: undefined }
  }
  return { report: report(undefined), code: 'signature-invalid' }
}

type SignOneOptions = { readonly signer: Signer; readonly unencoded: boolean }

function* signOne(payload: Uint8Array, { signer, unencoded }: SignOneOptions): Steps<JwsSignature> {
  const { key, alg, protected: more = {}, unprotected } = signer
  const row = chooseAlgorithm(key, alg)
  const header: JsonObject = {
    alg: row.alg,
    ...(key.kid === undefined || unprotected?.['kid'] !== undefined ? {} : { kid: key.kid }),
    ...more,
    ...(unencoded ? { b64: false, crit: ['b64'] } : {}),
  }
  if (isUnencoded(header) !== unencoded) throw new JoseError('ERR_JOSE_HEADER_INVALID', 'b64 is written by `unencoded` alone')
  requireJoinable(header, unprotected)
  const headerText = defaultBackend.base64url(utf8(JSON.stringify(header)))
  const octets = signingInput(headerText, payload, unencoded)
  const signature = made(yield { kind: 'sign', key, alg: row.alg, octets })
  return { protected: { text: headerText, header }, unprotected, signature }
}

function chooseAlgorithm(key: Key, alg: string | undefined): { readonly alg: string } {
  const row = alg === undefined ? signatureAlgorithmOf(key) : signatureAlgorithms.get(alg)
  if (alg !== undefined && row === undefined) throw new JoseError('ERR_JOSE_ALGORITHM_UNKNOWN', 'no such signature algorithm')
  if (row === undefined || !fitsSignature(key, row, 'sign'))
    throw new JoseError('ERR_JOSE_KEY_UNFIT', 'the key does not fit the signature algorithm')
  return row
}

function requireJoinable(header: JsonObject, unprotected: JsonObject | undefined): void {
  const joined = joinJwsHeader(header, unprotected)
  if (!joined.ok) throw new JoseError('ERR_JOSE_HEADER_INVALID', `the header cannot be written: ${joined.code}`)
}
