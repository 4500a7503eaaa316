/**
 * The envelope of the message profile (design §3.3 to §3.6): a signed message inside a JWE for any number of readers,
 * cut into one entry per reader and a body for all. Opening is a row of pure steps: what is missing in between
 * (a key, a card) is the caller's to find.
 * @module
 */
import type { Random, Result } from '@parley/core'
import {
  backend,
  type DecryptionCause,
  type Jwe,
  type Key,
  type OpenOptions,
  type OpenResult,
  openJwe,
  openJweAsync,
  sealJwe,
} from '@parley/jose'
import type { Attributes } from './attributes.ts'
import { type BinaryCode, readCut, writeCut } from './binary.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'
import { signMessageOctets } from './signed.ts'

/** A reader of a message. */
export type MessageRecipient = {
  /** Names the key to its holder: the thumbprint of an agreement key, or a session id. */
  readonly kid: string
  /** An agreement key (public) or a Session Master Key. */
  readonly key: Key
}

/** A message as it travels: one body, and an entry for each reader. */
export type SealedMessage = {
  /** What all recipients share. */
  readonly body: Uint8Array
  /** What each recipient gets of its own, in the order of the recipients. */
  readonly entries: readonly { readonly kid: string; readonly entry: Uint8Array }[]
}

/** Who signs, and who can read. */
export type SealMessageOptions = {
  /** The device's signing key; its `kid` is the device id. */
  readonly signer: Key
  readonly recipients: readonly MessageRecipient[]
  readonly random: Random
  /** By default A256GCM. */
  readonly enc?: string
}

/** Signs, then encrypts for all recipients under one fresh content key. `payloadHash` is what `verifySigned` will tell its readers. */
export function sealMessage(
  attributes: Attributes,
  { signer, recipients, random, enc }: SealMessageOptions,
): SealedMessage & { readonly payloadHash: string } {
  const { signed, payloadHash } = signMessageOctets(attributes, { signer })
  const sealed = sealSigned(signed, { recipients, random, ...(enc === undefined ? {} : { enc }) })
  return { ...sealed, payloadHash }
}

/** Encrypts a message that is signed already: a compact JWS, or its octets. */
export function sealSigned(
  signed: string | Uint8Array,
  { recipients, random, enc }: Omit<SealMessageOptions, 'signer'>,
): SealedMessage {
  // A compact JWS is ASCII.
  const jwe = sealJwe(typeof signed === 'string' ? backend.ascii(signed) : signed, {
    recipients,
    random,
    protected: { typ: 'JWM', cty: 'JWM' },
    ...(enc === undefined ? {} : { enc }),
  })
  const { body, entries } = writeCut(jwe)
  // writeCut keeps the order, so both have the same length.
  return { body, entries: recipients.map(({ kid }, i) => ({ kid, entry: entries[i] as Uint8Array })) }
}

/** An envelope whose form fits the message profile. */
export type Envelope = {
  /** Of the key that opens it. */
  readonly kid: string
  readonly alg: string
  readonly enc: string
  readonly jwe: Jwe
}

/** Why an entry and a body are no envelope of the message profile. */
export type EnvelopeCode = BinaryCode | 'envelope-malformed' | 'alg-not-allowed'

/** What is taken as an envelope. */
export type EnvelopeOptions = {
  readonly limits?: JwmLimits
  /** `alg` and `enc` that are taken. */
  readonly algorithms?: readonly string[]
}

const allowed: readonly string[] = ['ECDH-ES+A256KW', 'A256KW', 'A256GCM']
const entryMembers: readonly string[] = ['alg', 'kid', 'epk']

/** Reads an entry and its body, and checks them against the message profile. No key is touched. */
export function readEnvelope(
  entry: Uint8Array,
  body: Uint8Array,
  { limits = jwmLimits, algorithms = allowed }: EnvelopeOptions = {},
): Result<{ readonly envelope: Envelope }, EnvelopeCode> {
  const malformed = { ok: false, code: 'envelope-malformed' } as const
  const read = readCut(entry, body, limits.jose)
  if (!read.ok) return read
  const { jwe } = read
  const own = jwe.recipients[0]?.header ?? {}
  const { typ, cty, enc, ckc, crit, zip, kid: sharedKid, alg: sharedAlg, epk: sharedEpk } = jwe.protected.header
  // Nothing vouches for the entry's header, so it says only what is needed to open it.
  if (Object.keys(own).some((name) => !entryMembers.includes(name))) return malformed
  if ((sharedAlg !== undefined && own['alg'] !== undefined) || (sharedEpk !== undefined && own['epk'] !== undefined))
    return malformed
  const alg = sharedAlg ?? own['alg']
  const { kid } = own
  if (typeof kid !== 'string' || sharedKid !== undefined || typeof alg !== 'string' || typeof enc !== 'string') return malformed
  if (jwe.unprotected !== undefined || jwe.aad !== undefined || crit !== undefined || zip !== undefined) return malformed
  if (!isJwm(cty) || (typ !== undefined && !isJwm(typ)) || typeof ckc !== 'string') return malformed
  if (!algorithms.includes(alg) || !algorithms.includes(enc)) return { ok: false, code: 'alg-not-allowed' }
  return { ok: true, envelope: { kid, alg, enc, jwe } }
}

/** A failed decryption has one code; `cause` is for local diagnostics and never leaves. */
export type DecryptResult =
  | { readonly ok: true; readonly message: Uint8Array }
  | { readonly ok: false; readonly code: 'decryption-failed'; readonly cause?: DecryptionCause | 'key-unfit' }

/** Decrypts with the key that the caller found for `envelope.kid`: unwrap, commitment, content. */
export function decryptEnvelope(envelope: Envelope, key: Key, limits: JwmLimits = jwmLimits): DecryptResult {
  return decrypted(openJwe(envelope.jwe, decryptOptions(envelope, key, limits)))
}

/** The same with a key that answers later. */
export async function decryptEnvelopeAsync(envelope: Envelope, key: Key, limits: JwmLimits = jwmLimits): Promise<DecryptResult> {
  return decrypted(await openJweAsync(envelope.jwe, decryptOptions(envelope, key, limits)))
}

function decryptOptions({ alg, enc }: Envelope, key: Key, { jose }: JwmLimits): OpenOptions {
  return { keys: [key], anyKid: true, algorithms: [alg], contentAlgorithms: [enc], limits: jose }
}

function decrypted(opened: OpenResult): DecryptResult {
  if (opened.ok) return { ok: true, message: opened.plaintext }
  return { ok: false, code: 'decryption-failed', cause: opened.cause ?? 'key-unfit' }
}
