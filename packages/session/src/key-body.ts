/**
 * The body of `urn:parley:kernel:1:key`: a session key that goes ahead of its first message, with what is bound to it
 * (design §3.4), and the part of a key answer that is the same.
 * @module
 */
import { type Address, type DeviceId, fromBase64url, type Json, type JsonObject, type Result, toImUri } from '@parley/core'
import { type SessionLimits, sessionLimits } from './limits.ts'
import { exactly, isCount, readAddress, readDeviceId, readSeconds, readSid, readThumbprint } from './members.ts'
import { type AudienceMember, checkReader, isCurrent, type Reader, type Smk } from './smk.ts'

/** Type URI of a key that goes ahead. */
export const keyType: string = 'urn:parley:kernel:1:key'

export type KeyBodyCode =
  | 'key-malformed'
  /** Signed by another device than the one that owns the session. */
  | 'key-owner-mismatch'
  /** The audience names this account under another account key: somebody may stand in the middle. Show it to the person. */
  | 'session-identity-substituted'
  | 'session-not-audience'
  /** So old that nothing under it can still come, or from days ahead. */
  | 'key-out-of-time'

/** The members of `smk` on the wire. */
export function keyBody(smk: Smk): JsonObject {
  return {
    sid: smk.sid,
    key: { kty: 'oct', kid: smk.sid, alg: 'A256KW', k: smk.key.k ?? '' },
    owner: { address: toImUri(smk.owner.address), device: smk.owner.device },
    audience: smk.audience.map(({ address, account, version }) => ({ address: toImUri(address), account, version })),
    validity: { from: smk.created / 1000, until: smk.notAfter / 1000 },
  }
}

/** The names of the members that `keyBody` gives. */
export const keyMembers: readonly string[] = ['sid', 'key', 'owner', 'audience', 'validity']

/** Reads a key that came ahead, signed by `device` of `from`. */
export function readKeyBody(
  body: Json,
  options: {
    readonly from: Address
    readonly device: DeviceId
    readonly reader: Reader
    readonly now: number
    readonly limits?: SessionLimits
  },
): Result<{ readonly smk: Smk }, KeyBodyCode> {
  const members = exactly(body, keyMembers)
  const smk = members === undefined ? undefined : readSmk(members, options.limits)
  if (smk === undefined) return { ok: false, code: 'key-malformed' }
  if (smk.owner.address !== options.from || smk.owner.device !== options.device) return { ok: false, code: 'key-owner-mismatch' }
  const code = checkReader(smk, options.reader)
  if (code !== undefined) return { ok: false, code }
  if (!isCurrent(smk, options)) return { ok: false, code: 'key-out-of-time' }
  return { ok: true, smk }
}

/** A session key out of the members of a body; other members are for the caller. */
export function readSmk(members: JsonObject, limits: SessionLimits = sessionLimits): Smk | undefined {
  const sid = readSid(members['sid'])
  const key = exactly(members['key'], ['kty', 'kid', 'alg', 'k'])
  const owner = exactly(members['owner'], ['address', 'device'])
  const validity = exactly(members['validity'], ['from', 'until'])
  const audience = readAudience(members['audience'], limits.audienceMax)
  if (sid === undefined || key === undefined || owner === undefined || validity === undefined || audience === undefined)
    return undefined
  const k = key['k']
  if (key['kty'] !== 'oct' || key['kid'] !== sid || key['alg'] !== 'A256KW' || typeof k !== 'string') return undefined
  if (fromBase64url(k)?.length !== 32) return undefined
  const address = readAddress(owner['address'])
  const device = readDeviceId(owner['device'])
  const created = readSeconds(validity['from'])
  const notAfter = readSeconds(validity['until'])
  if (address === undefined || device === undefined || created === undefined || notAfter === undefined) return undefined
  if (notAfter <= created || notAfter - created > limits.smkValidityMsMax) return undefined
  return { sid, key: { kty: 'oct', kid: sid, alg: 'A256KW', k }, owner: { address, device }, audience, created, notAfter }
}

function readAudience(value: Json | undefined, audienceMax: number): readonly AudienceMember[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > audienceMax) return undefined
  const members = new Map<Address, AudienceMember>()
  for (const item of value as readonly Json[]) {
    const member = exactly(item, ['address', 'account', 'version'])
    const address = readAddress(member?.['address'])
    const account = readThumbprint(member?.['account'])
    const version = member?.['version']
    if (address === undefined || account === undefined || !isCount(version) || version < 1 || members.has(address))
      return undefined
    members.set(address, { address, account, version })
  }
  return [...members.values()]
}
