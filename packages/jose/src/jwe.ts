/**
 * JSON Web Encryption, making (RFC 7516 §5.1): one ciphertext for any number of recipients, one ephemeral key per
 * curve for all of them, a content-key commitment. Opening is in jwe-open.ts, texts in serialization.ts.
 * @module
 */
import { concat, type Json, type JsonObject, type Random, utf8 } from '@parley/core'
import { type ContentAlgorithm, contentAlgorithms, type KeyManagementAlgorithm, keyManagementAlgorithms } from './algorithms.ts'
import type { Agreement, Backend } from './backend/backend.ts'
import { commitment, commitmentName } from './commitment.ts'
import { available, sealContent } from './content.ts'
import { JoseError } from './errors.ts'
import { joinJweHeader, type ProtectedHeader } from './header.ts'
import { privateOctets, toPublicJwk } from './jwk.ts'
import { concatKdf } from './kdf.ts'
import { fitsEncryption, type Key, materialOf, spendDirectUse } from './key.ts'
import { joseLimits } from './limits.ts'

/** What a JWE holds for one recipient. */
export type JweRecipient = {
  /** The recipient's own header, which nothing vouches for. */
  readonly header: JsonObject | undefined
  readonly encryptedKey: Uint8Array
}

/** A JWE in no particular serialization. */
export type Jwe = {
  readonly protected: ProtectedHeader
  readonly unprotected: JsonObject | undefined
  /** An entry that could not be read is `undefined`; it does not stop the others (RFC 7516 §5.2). */
  readonly recipients: readonly (JweRecipient | undefined)[]
  readonly aad: Uint8Array | undefined
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly tag: Uint8Array
}

/** Whom a message is encrypted to. */
export type Recipient = {
  /** A public key for key agreement, or a symmetric key. */
  readonly key: Key
  /** Written into the recipient's header; by default the key's own. */
  readonly kid?: string
  /** By default ECDH-ES+A256KW, or the AES Key Wrap of the key's length. */
  readonly alg?: string
}

/** What is encrypted for whom, and what stands in the headers. */
export type SealOptions = {
  readonly recipients: readonly Recipient[]
  readonly random: Random
  /** The content algorithm; by default A256GCM. */
  readonly enc?: string
  /** More members for the protected header, such as `typ` and `cty`; written first. */
  readonly protected?: JsonObject
  readonly unprotected?: JsonObject
  /** Data authenticated beside the content. */
  readonly aad?: Uint8Array
  /** Puts everything into the protected header, as the compact serialization needs; one recipient only. */
  readonly allProtected?: boolean
  /**
   * Compresses the content first (RFC 7516 §4.1.3). Off by default: sizes of compressed secrets tell about them
   * (RFC 8725 §3.6), and readers must ask for it. Node alone has it.
   */
  readonly zip?: 'DEF'
  /** PBKDF2 iterations for recipients with a password; by default 600 000. */
  readonly passwordIterations?: number
}

/** Encrypts `plaintext` under a fresh content key for all recipients. */
export function sealJwe(plaintext: Uint8Array, options: SealOptions): Jwe {
  const { recipients, random, enc = 'A256GCM', unprotected, aad, passwordIterations = 600_000 } = options
  const content = contentAlgorithms.get(enc)
  if (content === undefined) throw new JoseError('ERR_JOSE_ALGORITHM_UNKNOWN', 'no such content encryption algorithm')
  if (recipients.length > joseLimits.recipientsMax) throw new JoseError('ERR_JOSE_LIMIT_EXCEEDED', 'too many recipients')
  const [first] = recipients
  if (first === undefined) throw new RangeError('recipients must not be empty')
  const { backend } = materialOf(first.key)
  const rows = recipients.map((recipient) => chooseAlgorithm(recipient, enc))
  const sharedAlg = rows.every((row) => row.alg === rows[0]?.alg) ? rows[0]?.alg : undefined
  if (recipients.length > 1 && rows.some((row) => row.mode === 'direct' || row.mode === 'agree')) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'a direct key has exactly one recipient')
  }

  const ephemerals = makeEphemerals(recipients, { rows, random })
  // Header names are disjoint (RFC 7516 §4), so with two curves each recipient bears the epk of its own.
  const sharedEphemeral = ephemerals.length === 1 ? ephemerals[0] : undefined
  const direct = directKey(first.key, { row: rows[0], content, ephemeral: sharedEphemeral })
  const cek = direct ?? random.bytes(content.keyBytes)
  const allProtected = options.allProtected === true
  // What stands in any of the recipients' headers.
  const names = new Set<string>()
  const wrapped = recipients.map((recipient, i): JweRecipient => {
    // rows has one entry per recipient.
    const row = rows[i] as KeyManagementAlgorithm
    const ephemeral = ephemerals.find(({ agreement }) => agreement === materialOf(recipient.key).agreement)
    const header: { [name: string]: Json } = {}
    const kid = recipient.kid ?? recipient.key.kid
    if (sharedAlg === undefined) header['alg'] = row.alg
    if (kid !== undefined) header['kid'] = kid
    if (row.mode === 'agree-wrap' && ephemeral !== undefined && ephemeral !== sharedEphemeral) header['epk'] = ephemeral.epk
    const made: Wrapped =
      direct === undefined ? wrapFor(recipient.key, { row, cek, ephemeral, random, passwordIterations }) : { encryptedKey: none }
    Object.assign(header, made.members)
    let isEmpty = true
    for (const name in header) {
      names.add(name)
      isEmpty = false
    }
    return { header: isEmpty ? undefined : header, encryptedKey: made.encryptedKey }
  })

  const header: JsonObject = {
    ...options.protected,
    ...(sharedAlg === undefined ? {} : { alg: sharedAlg }),
    enc,
    ...(options.zip === undefined ? {} : { zip: options.zip }),
    ...(allProtected ? wrapped[0]?.header : undefined),
    ...(sharedEphemeral === undefined ? {} : { epk: sharedEphemeral.epk }),
    ...(direct === undefined ? { [commitmentName]: backend.base64url(commitment(cek, { enc, backend })) } : {}),
  }
  const made = allProtected ? wrapped.map(({ encryptedKey }) => ({ header: undefined, encryptedKey })) : wrapped
  if (allProtected && made.length !== 1)
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'only one recipient fits into the protected header')
  const joined = joinJweHeader(header, [unprotected, made[0]?.header], { zip: options.zip !== undefined })
  if (!joined.ok) throw new JoseError('ERR_JOSE_HEADER_INVALID', `the header cannot be written: ${joined.code}`)
  // What the others' headers hold was made here, so that only their names can collide.
  const isTaken = (name: string): boolean =>
    Object.hasOwn(header, name) || (unprotected !== undefined && Object.hasOwn(unprotected, name))
  if (!allProtected && [...names].some(isTaken)) {
    throw new JoseError('ERR_JOSE_HEADER_INVALID', 'the header cannot be written: header-malformed')
  }

  // RFC 7516 §5.1 step 14: the protected header is the AAD, so it is encoded before the content is encrypted.
  const headerText = backend.base64url(utf8(JSON.stringify(header)))
  const iv = random.bytes(content.ivBytes)
  const authenticated = additionalData(headerText, { aad, backend })
  const { ciphertext, tag } = sealContent(content, options.zip === undefined ? plaintext : deflate(backend, plaintext), {
    backend,
    key: cek,
    iv,
    aad: authenticated,
  })
  return { protected: { text: headerText, header }, unprotected, recipients: made, aad, iv, ciphertext, tag }
}

function deflate(backend: Backend, plaintext: Uint8Array): Uint8Array {
  return available(backend.deflate)(plaintext)
}

/** ASCII(protected), and the application's own data behind a period (RFC 7516 §5.1 step 14). */
export function additionalData(
  headerText: string,
  { aad, backend }: { readonly aad: Uint8Array | undefined; readonly backend: Backend },
): Uint8Array {
  return backend.ascii(aad === undefined ? headerText : `${headerText}.${backend.base64url(aad)}`)
}

type Ephemeral = { readonly agreement: Agreement; readonly key: unknown; readonly epk: JsonObject }

/** One fresh key per curve, for all recipients on it. */
function makeEphemerals(
  recipients: readonly Recipient[],
  { rows, random }: { readonly rows: readonly KeyManagementAlgorithm[]; readonly random: Random },
): readonly Ephemeral[] {
  const made: Ephemeral[] = []
  for (const [i, { key }] of recipients.entries()) {
    const mode = rows[i]?.mode
    if (mode !== 'agree' && mode !== 'agree-wrap') continue
    const { agreement, backend } = materialOf(key)
    if (agreement === undefined || made.some((other) => other.agreement === agreement)) continue
    const crv = key.crv ?? ''
    let ephemeral: unknown
    // Out of range has a chance of 2^-32 on P-256 and none on X25519.
    while (ephemeral === undefined) ephemeral = agreement.importPrivate(privateOctets(crv, random))
    made.push({ agreement, key: ephemeral, epk: toPublicJwk(crv, agreement.publicOf(ephemeral), backend) as JsonObject })
  }
  return made
}

const none = new Uint8Array(0)

type WrapOptions = {
  readonly row: KeyManagementAlgorithm
  readonly cek: Uint8Array
  readonly ephemeral: Ephemeral | undefined
  readonly random: Random
  readonly passwordIterations: number
}

type Wrapped = {
  readonly encryptedKey: Uint8Array
  /** What the algorithm needs in the header beside it. */
  readonly members?: JsonObject
}

function wrapFor(key: Key, { row, cek, ephemeral, random, passwordIterations }: WrapOptions): Wrapped {
  const { backend, symmetric, rsaPublic } = materialOf(key)
  switch (row.mode) {
    case 'wrap':
      return { encryptedKey: backend.keyWrap(symmetric, cek) }
    case 'gcm-wrap': {
      const iv = random.bytes(12)
      const { ciphertext, tag } = backend.gcmSeal(symmetric, iv, cek, none)
      return { encryptedKey: ciphertext, members: { iv: backend.base64url(iv), tag: backend.base64url(tag) } }
    }
    case 'encrypt': {
      const encryptedKey = backend.rsa?.encrypt(cek, rsaPublic, row.alg)
      if (encryptedKey === undefined) throw new JoseError('ERR_JOSE_KEY_UNFIT', 'the key cannot encrypt')
      return { encryptedKey }
    }
    case 'password': {
      const salt = random.bytes(16)
      const kek = passwordKey(key, { row, salt, iterations: passwordIterations })
      return { encryptedKey: backend.keyWrap(kek, cek), members: { p2s: backend.base64url(salt), p2c: passwordIterations } }
    }
    default:
      return {
        encryptedKey: backend.keyWrap(deriveFor(key, { ephemeral, algorithm: row.alg, keyBytes: row.kekBytes ?? 0 }), cek),
      }
  }
}

/** The wrapping key that a password gives (RFC 7518 §4.8): the salt is the algorithm's name, a zero octet, and `p2s`. */
export function passwordKey(
  key: Key,
  { row, salt, iterations }: { readonly row: KeyManagementAlgorithm; readonly salt: Uint8Array; readonly iterations: number },
): Uint8Array {
  const { backend, symmetric } = materialOf(key)
  return available(backend.pbkdf2)(backend.secretOctets(symmetric), {
    bits: row.passwordHash ?? 512,
    salt: concat(utf8(`${row.alg}\u0000`), salt),
    iterations,
    keyBytes: row.kekBytes ?? 0,
  })
}

function deriveFor(
  key: Key,
  {
    ephemeral,
    algorithm,
    keyBytes,
  }: { readonly ephemeral: Ephemeral | undefined; readonly algorithm: string; readonly keyBytes: number },
): Uint8Array {
  const { backend, agreement, agreePublic } = materialOf(key)
  const secret = ephemeral === undefined ? undefined : agreement?.agree(ephemeral.key, agreePublic)
  if (secret === undefined) throw new JoseError('ERR_JOSE_KEY_UNFIT', 'no key can be agreed with this public key')
  return concatKdf(secret, { backend, algorithm, keyBytes })
}

type DirectOptions = {
  readonly row: KeyManagementAlgorithm | undefined
  readonly content: ContentAlgorithm
  readonly ephemeral: Ephemeral | undefined
}

// The content key of dir is an opaque prepared key; of ECDH-ES it is what was agreed.
function directKey(key: Key, { row, content, ephemeral }: DirectOptions): Uint8Array | undefined {
  // sealContent takes prepared keys and octets alike, and no other use is made of it.
  if (row?.mode === 'direct') return materialOf(key).symmetric as Uint8Array
  if (row?.mode === 'agree') return deriveFor(key, { ephemeral, algorithm: content.enc, keyBytes: content.keyBytes })
  return undefined
}

function chooseAlgorithm({ key, alg }: Recipient, enc: string): KeyManagementAlgorithm {
  const name = alg ?? defaultAlgorithm(key)
  const row = keyManagementAlgorithms.get(name)
  if (row === undefined) throw new JoseError('ERR_JOSE_ALGORITHM_UNKNOWN', 'no such key management algorithm')
  if (!fitsEncryption(key, row.alg, { enc, operation: 'seal' })) {
    throw new JoseError('ERR_JOSE_KEY_UNFIT', 'the key does not fit the key management algorithm')
  }
  if ((row.mode === 'direct' || row.mode === 'gcm-wrap') && !spendDirectUse(key)) {
    throw new JoseError('ERR_JOSE_LIMIT_EXCEEDED', 'the key has encrypted directly as often as it may')
  }
  return row
}

function defaultAlgorithm(key: Key): string {
  if (key.alg !== undefined)
    return keyManagementAlgorithms.has(key.alg) ? key.alg : contentAlgorithms.has(key.alg) ? 'dir' : key.alg
  if (key.kty === 'RSA') return 'RSA-OAEP-256'
  return key.kty === 'oct' ? `A${8 * (key.secretBytes ?? 0)}KW` : 'ECDH-ES+A256KW'
}
