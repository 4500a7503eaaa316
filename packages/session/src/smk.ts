/**
 * Session Master Keys (RFC 7165 §5.4, design §4): what one is, its names and its times. A key wraps content keys and
 * never encrypts content; it gives secrecy only, authorship comes from signatures.
 * @module
 */
import { type Address, base64url, type DeviceId, limits, type Random, type SessionId, toSessionId } from '@parley/core'
import type { Jwk } from '@parley/jose'
import { type SessionLimits, sessionLimits } from './limits.ts'

/** The device that made a session key and wraps its messages under it. */
export type Owner = { readonly address: Address; readonly device: DeviceId }

/** An account that may read a session: bound by its account key, so that nobody can be slipped in for it (design §3.4). */
export type AudienceMember = {
  readonly address: Address
  /** Thumbprint of the account key. */
  readonly account: string
  /** Version of the card that the owner knew. */
  readonly version: number
}

/** A session key and what is bound to it. Plain JSON with a secret in it: store it sealed, print it nowhere. */
export type Smk = {
  readonly sid: SessionId
  /** `kty` oct, `kid` the SID; 256 bits for A256KW. */
  readonly key: Jwk
  readonly owner: Owner
  /** Whom it may be answered to; the owner's account among them. */
  readonly audience: readonly AudienceMember[]
  /** Milliseconds, whole seconds. */
  readonly created: number
  /** The owner uses it for no message after this time. */
  readonly notAfter: number
}

/** The key of the index of session keys: a SID alone is no name, anybody can use anybody's (design §3.5). */
export function sessionKey(owner: Address, sid: string): string {
  return `${owner} ${sid}`
}

/** Makes a session key out of `random`. */
export function createSmk(options: {
  readonly owner: Owner
  readonly audience: readonly AudienceMember[]
  readonly now: number
  readonly random: Random
  readonly limits?: SessionLimits
}): Smk {
  const { owner, audience, random, limits: bounds = sessionLimits } = options
  if (audience.length === 0 || audience.length > bounds.audienceMax)
    throw new RangeError('audience must have 1 to audienceMax accounts')
  if (new Set(audience.map((member) => member.address)).size !== audience.length)
    throw new RangeError('audience names an account twice')
  const sid = toSessionId(base64url(random.bytes(16)))
  const created = Math.floor(options.now / 1000) * 1000
  if (sid === undefined) throw new TypeError('random must give as many octets as it is asked for')
  return {
    sid,
    key: { kty: 'oct', kid: sid, alg: 'A256KW', k: base64url(random.bytes(32)) },
    owner,
    audience,
    created,
    notAfter: created + Math.ceil(bounds.smkAgeMsMax / 1000) * 1000,
  }
}

/** Whether a message that says it was sent at `sent` may be under this key. */
export function coversTime(smk: Smk, sent: number): boolean {
  return sent >= smk.created - limits.clockToleranceMs && sent <= smk.notAfter + limits.clockToleranceMs
}

/** Why a message under `smk` is refused although it opened: who may write under a key and for whom is bound to the key. */
export type UnderCode = 'session-owner-mismatch' | 'session-identity-substituted' | 'session-not-audience' | 'session-out-of-time'

/** Checks a message that opened under `smk` (design §3.4): its signer, its reader, its time. */
export function checkUnder(
  smk: Smk,
  message: { readonly from: Address; readonly device: DeviceId; readonly sent: number; readonly reader: Reader },
): UnderCode | undefined {
  if (smk.owner.address !== message.from || smk.owner.device !== message.device) return 'session-owner-mismatch'
  return checkReader(smk, message.reader) ?? (coversTime(smk, message.sent) ? undefined : 'session-out-of-time')
}

/** This account, as its devices know it. */
export type Reader = { readonly address: Address; readonly account: string }

/** Whether `reader` is in the audience under its own account key. A wrong key there means somebody stands in the middle. */
export function checkReader(
  smk: Pick<Smk, 'audience'>,
  reader: Reader,
): 'session-identity-substituted' | 'session-not-audience' | undefined {
  const member = smk.audience.find((candidate) => candidate.address === reader.address)
  if (member === undefined) return 'session-not-audience'
  return member.account === reader.account ? undefined : 'session-identity-substituted'
}

/** When the key is erased: after the last message under it can have come. `retired` is when its owner stopped using it. */
export function erasureDue(
  smk: Smk,
  options: { readonly retired?: number | undefined; readonly limits?: SessionLimits } = {},
): number {
  const { retired = smk.notAfter, limits: bounds = sessionLimits } = options
  return Math.min(retired, smk.notAfter) + bounds.retentionMs
}

/** Whether a key that comes now is of any use: not from ahead of our time and not past its erasure. */
export function isCurrent(smk: Smk, options: { readonly now: number; readonly limits?: SessionLimits | undefined }): boolean {
  const { now, limits: bounds = sessionLimits } = options
  return smk.created <= now + limits.clockToleranceMs && erasureDue(smk, { limits: bounds }) > now
}
