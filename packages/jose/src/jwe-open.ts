/**
 * JSON Web Encryption, opening (RFC 7516 §5.2). Algorithms are checked before any private-key work; a broken entry of
 * one recipient does not stop another; whatever goes wrong with secrets looks the same from outside (§11.5).
 * @module
 */
import { concat, equal, isJsonObject, type JsonObject, type Result } from '@parley/core'
import {
  type ContentAlgorithm,
  contentAlgorithms,
  curves,
  type KeyManagementAlgorithm,
  keyManagementAlgorithms,
} from './algorithms.ts'
import { commitment, commitmentName } from './commitment.ts'
import { hasContent, openContent } from './content.ts'
import { type HeaderCode, type HeaderLookup, joinJweHeader, joinOwnHeader, text, textOf } from './header.ts'
import { additionalData, type Jwe, type JweRecipient, passwordKey } from './jwe.ts'
import { concatKdf } from './kdf.ts'
import { fitsEncryption, type Key, materialOf } from './key.ts'
import { type JoseLimits, joseLimits } from './limits.ts'
import { run, runAsync, type Steps } from './steps.ts'

/** Why a JWE is not opened. */
export type JweCode = HeaderCode | 'jwe-malformed' | 'alg-not-allowed' | 'key-unknown' | 'key-unfit' | 'decryption-failed'

/** Why a decryption failed: for local diagnostics, never for the peer. */
export type DecryptionCause = 'agreement' | 'unwrap' | 'commitment' | 'content'

/** What there is to open with, and what is taken. */
export type OpenOptions = {
  readonly keys: readonly Key[]
  /** The `alg` values that are taken; by default all of the table but those with passwords. */
  readonly algorithms?: readonly string[]
  /** The `enc` values that are taken; by default all of the table. */
  readonly contentAlgorithms?: readonly string[]
  /** Takes compressed content (`zip` DEF), within `inflatedBytesMax`; by default it is refused. */
  readonly zip?: boolean
  /** Try the keys whatever `kid` says: the caller has found them by it. */
  readonly anyKid?: boolean
  readonly limits?: JoseLimits
}

/** What an opened JWE held, and what is known of it. */
export type OpenedJwe = {
  readonly plaintext: Uint8Array
  /** The key that opened it. */
  readonly key: Key
  readonly alg: string
  readonly enc: string
  /** The position of the recipient that was opened. */
  readonly recipient: number
  /** True when the sender committed to the content key. */
  readonly committed: boolean
  readonly protectedHeader: JsonObject
  readonly aad: Uint8Array | undefined
}

/** An opened JWE, or why it was not opened; `cause` never leaves this end. */
export type OpenResult =
  | ({ readonly ok: true } & OpenedJwe)
  | { readonly ok: false; readonly code: JweCode; readonly cause?: DecryptionCause }

/** Decrypts with the first of `keys` that fits a recipient and succeeds. */
export function openJwe(jwe: Jwe, options: OpenOptions): OpenResult {
  return run(openSteps(jwe, options))
}

/** The same with keys that may answer later. */
export function openJweAsync(jwe: Jwe, options: OpenOptions): Promise<OpenResult> {
  return runAsync(openSteps(jwe, options))
}

function* openSteps(jwe: Jwe, options: OpenOptions): Steps<OpenResult> {
  const limits = options.limits ?? joseLimits
  if (jwe.recipients.length > limits.recipientsMax) return { ok: false, code: 'limit-exceeded' }
  let worst: Problem = { code: 'jwe-malformed', weight: 0 }
  const budget: Budget = {
    unwraps: limits.unwrapsMax,
    decryptions: limits.decryptionsMax,
    iterations: limits.passwordIterationsMax,
  }
  const shared = joinJweHeader(jwe.protected.header, [jwe.unprotected], { zip: options.zip ?? false })
  for (const [i, recipient] of jwe.recipients.entries()) {
    if (recipient === undefined) continue
    const outcome = yield* openOne(jwe, recipient, { shared, options, budget })
    if (outcome.opened !== undefined) return { ok: true, ...outcome.opened, recipient: i }
    if (outcome.problem.weight > worst.weight) worst = outcome.problem
  }
  return worst.cause === undefined ? { ok: false, code: worst.code } : { ok: false, code: worst.code, cause: worst.cause }
}

type Budget = { unwraps: number; decryptions: number; iterations: number }
// What concerns an entry we have a key for outweighs what concerns the others' entries.
type Problem = { readonly code: JweCode; readonly weight: number; readonly cause?: DecryptionCause }
type Outcome =
  | { readonly opened: Omit<OpenedJwe, 'recipient'>; readonly problem?: undefined }
  | { readonly opened?: undefined; readonly problem: Problem }
type Shared = Result<{ readonly header: JsonObject }, HeaderCode>
type OneOptions = { readonly shared: Shared; readonly options: OpenOptions; readonly budget: Budget }

function* openOne(jwe: Jwe, recipient: JweRecipient, { shared, options, budget }: OneOptions): Steps<Outcome> {
  const { keys, anyKid = false } = options
  const alone = jwe.recipients.length === 1
  const kid = recipient.header?.['kid'] ?? jwe.protected.header['kid'] ?? jwe.unprotected?.['kid']
  const named = anyKid ? keys : keys.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid)
  // Others' entries are passed over without a look at the rest of their headers.
  if (named.length === 0 && !alone) return { problem: { code: 'key-unknown', weight: 2 } }
  const ours = named.length > 0
  const checked = checkHeader(jwe, recipient, { shared, options })
  if (!checked.ok) return { problem: { code: checked.code, weight: ours ? 4 : 1 } }
  if (!ours) return { problem: { code: 'key-unknown', weight: 2 } }
  const { header, row, content } = checked
  const fitting = named.filter((key) => {
    const { backend } = materialOf(key)
    if (!hasContent(backend, content) || (row.mode === 'password' && backend.pbkdf2 === undefined)) return false
    return fitsEncryption(key, row.alg, { enc: content.enc, operation: 'open' })
  })
  if (fitting.length === 0)
    return { problem: kid === undefined ? { code: 'key-unknown', weight: 2 } : { code: 'key-unfit', weight: 5 } }
  let problem: Problem = { code: 'decryption-failed', weight: 6 }
  for (const key of fitting) {
    if (budget.unwraps-- <= 0 || budget.decryptions <= 0) return { problem: { code: 'limit-exceeded', weight: 7 } }
    if (row.mode === 'password') {
      budget.iterations -= iterationsOf(header)
      if (budget.iterations < 0) return { problem: { code: 'limit-exceeded', weight: 7 } }
    }
    const result = yield* decryptWith(key, { jwe, recipient, header, row, content })
    if (result.triedContent) budget.decryptions--
    if (result.plaintext !== undefined) {
      const { committed } = result
      const inflated = inflate(jwe, result.plaintext, { key, limits: options.limits ?? joseLimits })
      if (!inflated.ok) return { problem: { code: inflated.code, weight: 8 } }
      const opened = {
        plaintext: inflated.plaintext,
        key,
        alg: row.alg,
        enc: content.enc,
        committed,
        protectedHeader: jwe.protected.header,
        aad: jwe.aad,
      }
      return { opened }
    }
    problem = { ...problem, cause: result.cause }
  }
  return { problem }
}

type Checked = { readonly header: HeaderLookup; readonly row: KeyManagementAlgorithm; readonly content: ContentAlgorithm }

function checkHeader(
  jwe: Jwe,
  recipient: JweRecipient,
  { shared, options }: { readonly shared: Shared; readonly options: OpenOptions },
): Result<Checked, JweCode> {
  const { algorithms, contentAlgorithms: allowed } = options
  const joined = shared.ok ? joinOwnHeader(shared.header, recipient.header) : shared
  if (!joined.ok) return joined
  const { header } = joined
  const alg = textOf(header('alg'))
  const enc = textOf(header('enc'))
  if (alg === undefined || enc === undefined) return { ok: false, code: 'header-malformed' }
  const row = keyManagementAlgorithms.get(alg)
  const content = contentAlgorithms.get(enc)
  if (row === undefined || content === undefined) return { ok: false, code: 'alg-not-allowed' }
  if (row.mode === 'password' && algorithms === undefined) return { ok: false, code: 'alg-not-allowed' }
  if (algorithms?.includes(alg) === false || allowed?.includes(enc) === false) return { ok: false, code: 'alg-not-allowed' }
  if (jwe.iv.length !== content.ivBytes || jwe.tag.length !== content.tagBytes) return { ok: false, code: 'jwe-malformed' }
  if (!isKeyLength(recipient.encryptedKey.length, { row, content })) return { ok: false, code: 'jwe-malformed' }
  if (row.mode === 'password' && iterationsOf(header) === 0) return { ok: false, code: 'header-malformed' }
  return { ok: true, header, row, content }
}

function isKeyLength(length: number, { row, content }: Pick<Checked, 'row' | 'content'>): boolean {
  // RFC 7516 §5.2 step 10: nothing in the direct modes.
  if (row.mode === 'direct' || row.mode === 'agree') return length === 0
  if (row.mode === 'encrypt') return length >= 256
  // AES Key Wrap adds eight octets (RFC 3394), AES-GCM none.
  return length === content.keyBytes + (row.mode === 'gcm-wrap' ? 0 : 8)
}

// RFC 7518 §4.8.1.2: a positive integer, and at least 1000; 0 says that it is none.
function iterationsOf(header: HeaderLookup): number {
  const count = header('p2c')
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 1000 ? count : 0
}

type DecryptOptions = Checked & { readonly jwe: Jwe; readonly recipient: JweRecipient }
type Decrypted = {
  readonly triedContent: boolean
} & (
  | { readonly plaintext: Uint8Array; readonly committed: boolean }
  | { readonly plaintext?: undefined; readonly cause: DecryptionCause }
)

function* decryptWith(key: Key, { jwe, recipient, header, row, content }: DecryptOptions): Steps<Decrypted> {
  const { backend } = materialOf(key)
  const found = yield* contentKey(key, { recipient, header, row, content })
  const claimed = jwe.protected.header[commitmentName]
  const cek = found.cek
  // A content key that was there before the message is not committed to, and a claim that it is is false.
  const committed =
    claimed !== undefined &&
    row.mode !== 'direct' &&
    cek instanceof Uint8Array &&
    isCommitted(cek, { claimed, enc: content.enc, key })
  const usable = cek !== undefined && (claimed === undefined || committed)
  // RFC 7516 §11.5: a failed unwrap or commitment costs the same decryption as a good one. Its outcome is thrown away
  // unless the key was sound, so a fixed key is as good as a random one.
  const plaintext = openContent(
    content,
    { ciphertext: jwe.ciphertext, tag: jwe.tag },
    {
      backend,
      key: usable ? cek : new Uint8Array(content.keyBytes),
      iv: jwe.iv,
      aad: additionalData(jwe.protected.text, { aad: jwe.aad, backend }),
    },
  )
  if (!usable) return { triedContent: true, cause: cek === undefined ? (found.cause ?? 'unwrap') : 'commitment' }
  return plaintext === undefined ? { triedContent: true, cause: 'content' } : { triedContent: true, plaintext, committed }
}

// Only what was decrypted soundly comes here, so that no stranger makes it work.
function inflate(
  { protected: { header } }: Jwe,
  plaintext: Uint8Array,
  { key, limits }: { readonly key: Key; readonly limits: JoseLimits },
): Result<{ readonly plaintext: Uint8Array }, JweCode> {
  if (header['zip'] === undefined) return { ok: true, plaintext }
  const inflated = materialOf(key).backend.inflate
  if (inflated === undefined) return { ok: false, code: 'zip-unsupported' }
  const content = inflated(plaintext, limits.inflatedBytesMax)
  if (content === 'too-long') return { ok: false, code: 'limit-exceeded' }
  return content === undefined ? { ok: false, code: 'jwe-malformed' } : { ok: true, plaintext: content }
}

function isCommitted(
  cek: Uint8Array,
  { claimed, enc, key }: { readonly claimed: unknown; readonly enc: string; readonly key: Key },
): boolean {
  const { backend } = materialOf(key)
  const octets = typeof claimed === 'string' ? backend.fromBase64url(claimed) : undefined
  return octets !== undefined && equal(octets, commitment(cek, { enc, backend }))
}

type ContentKeyOptions = { readonly recipient: JweRecipient } & Checked
type ContentKey = { readonly cek: unknown; readonly cause?: DecryptionCause }

function* contentKey(key: Key, { recipient, header, row, content }: ContentKeyOptions): Steps<ContentKey> {
  const { backend, symmetric, rsaPrivate } = materialOf(key)
  if (row.mode === 'direct') return { cek: symmetric }
  if (row.mode === 'wrap') return { cek: backend.keyUnwrap(symmetric, recipient.encryptedKey) }
  if (row.mode === 'gcm-wrap') return { cek: gcmUnwrap(key, header, recipient.encryptedKey) }
  if (row.mode === 'encrypt') {
    const cek = backend.rsa?.decrypt(recipient.encryptedKey, rsaPrivate, row.alg)
    return { cek: cek?.length === content.keyBytes ? cek : undefined }
  }
  if (row.mode === 'password') {
    const salt = backend.fromBase64url(textOf(header('p2s')) ?? '!')
    // RFC 7518 §4.8.1.1: eight octets or more.
    if (salt === undefined || salt.length < 8) return { cek: undefined }
    const kek = passwordKey(key, { row, salt, iterations: iterationsOf(header) })
    return { cek: backend.keyUnwrap(kek, recipient.encryptedKey) }
  }
  const isDirect = row.mode === 'agree'
  const derived = yield* agreed(key, header, {
    algorithm: isDirect ? content.enc : row.alg,
    keyBytes: isDirect ? content.keyBytes : (row.kekBytes ?? 0),
  })
  if (derived === undefined) return { cek: undefined, cause: 'agreement' }
  return { cek: isDirect ? derived : backend.keyUnwrap(derived, recipient.encryptedKey) }
}

function gcmUnwrap(key: Key, header: HeaderLookup, ciphertext: Uint8Array): Uint8Array | undefined {
  const { backend, symmetric } = materialOf(key)
  const iv = backend.fromBase64url(textOf(header('iv')) ?? '!')
  const tag = backend.fromBase64url(textOf(header('tag')) ?? '!')
  // RFC 7518 §4.7.1: 96 bits of IV, 128 bits of tag.
  if (iv?.length !== 12 || tag?.length !== 16) return undefined
  return backend.gcmOpen(symmetric, iv, { ciphertext, tag }, new Uint8Array(0))
}

/** The key agreed with `epk`, or `undefined` when that is no sound public key on our curve (RFC 7518 §4.6.1). */
function* agreed(
  key: Key,
  header: HeaderLookup,
  options: { readonly algorithm: string; readonly keyBytes: number },
): Steps<Uint8Array | undefined> {
  const { backend, agreement } = materialOf(key)
  const epk = header('epk')
  if (!isJsonObject(epk) || agreement === undefined || epk['kty'] !== key.kty || epk['crv'] !== key.crv) return undefined
  if (epk['d'] !== undefined) return undefined
  const publicKey = coordinates(epk, key)
  const info = partyInfo(header, key)
  if (publicKey === undefined || info === undefined) return undefined
  const secret = yield { kind: 'agree', key, publicKey }
  return secret === undefined ? undefined : concatKdf(secret, { backend, ...options, ...info })
}

function coordinates(epk: JsonObject, key: Key): Uint8Array | undefined {
  const { backend } = materialOf(key)
  const bytes = curves.get(key.crv ?? '')?.coordinateBytes
  const x = backend.fromBase64url(text(epk, 'x') ?? '')
  if (x === undefined || x.length !== bytes) return undefined
  if (key.kty === 'OKP') return x
  const y = backend.fromBase64url(text(epk, 'y') ?? '')
  return y === undefined || y.length !== bytes ? undefined : concat(x, y)
}

function partyInfo(header: HeaderLookup, key: Key): { readonly apu?: Uint8Array; readonly apv?: Uint8Array } | undefined {
  const { backend } = materialOf(key)
  const info: { apu?: Uint8Array; apv?: Uint8Array } = {}
  for (const name of ['apu', 'apv'] as const) {
    const value = header(name)
    if (value === undefined) continue
    const octets = backend.fromBase64url(textOf(value) ?? '!')
    if (octets === undefined) return undefined
    info[name] = octets
  }
  return info
}
