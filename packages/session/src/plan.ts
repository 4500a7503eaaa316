/**
 * Sending under a session key: go on with the present one or make a new one, and which devices it must go ahead to.
 * @module
 */
import { type Address, base64url, type DeviceId, type Random, utf8 } from '@parley/core'
import { type Jwk, sha256 } from '@parley/jose'
import { type SessionLimits, sessionLimits } from './limits.ts'
import { type AudienceMember, createSmk, erasureDue, type Owner, type Smk } from './smk.ts'

/** A device of an account in the audience: neither removed nor this one. */
export type AudienceDevice = {
  readonly address: Address
  readonly id: DeviceId
  /** The agreement key of its statement in force; a device without one gets no key ahead and dials back. */
  readonly agreement?: Jwk | undefined
}

/** Whom messages of a conversation go to, put in order once: it stays the same until a card or a statement changes. */
export type Audience = {
  readonly members: readonly AudienceMember[]
  readonly devices: readonly AudienceDevice[]
  /** Of the devices, sorted. */
  readonly names: readonly string[]
  /** Names accounts, account keys and devices; not the versions of cards, which change nothing by themselves. */
  readonly digest: string
  /** The devices that are not among those a key went ahead to, worked out once for each such list. */
  waiting(given: readonly string[]): Waiting
}

/** Devices that the key goes ahead to now, and those without a valid statement, which will dial back. */
export type Waiting = { readonly ahead: readonly AudienceDevice[]; readonly lacking: readonly AudienceDevice[] }

/** A session key of this device. Plain JSON with a secret in it; it changes only when it goes ahead to somebody or is retired. */
export type OwnSession = {
  readonly smk: Smk
  readonly conversation: string
  /** The audience that it was made for. */
  readonly digest?: string
  /** All devices that could read when it was made, sorted. */
  readonly devices: readonly string[]
  /** Those that the key went ahead to. */
  readonly given: readonly string[]
  /** When it was renewed; it wraps nothing since. */
  readonly retired?: number
}

/** Why a new key was made. */
export type RenewalReason = 'first' | 'age' | 'uses' | 'audience' | 'device-added' | 'device-removed' | 'retired'

export type SendPlan = Waiting & {
  /** To wrap this message under, and to store when it is not the one that was given. */
  readonly session: OwnSession
  /** Messages wrapped under it, this one included: to store. */
  readonly uses: number
  readonly renewed?: RenewalReason
  /** The key before, to store until its erasure. */
  readonly retired?: OwnSession
}

/** Puts an audience in order; the owner's own account is a member too. */
export function prepareAudience(of: Pick<Audience, 'members' | 'devices'>): Audience {
  const { members, devices } = of
  const names = [...new Set(devices.map(deviceName))].sort()
  const accounts = members.map(({ address, account }) => `${address} ${account}`).sort()
  let last: { readonly given: readonly string[]; readonly waiting: Waiting } | undefined
  return {
    members,
    devices,
    names,
    digest: base64url(sha256(utf8(JSON.stringify([accounts, names])))),
    waiting(given) {
      if (last?.given === given) return last.waiting
      const have = new Set(given)
      const lacks = devices.filter((device) => !have.has(deviceName(device)))
      const waiting: Waiting = {
        ahead: lacks.filter(({ agreement }) => agreement !== undefined),
        lacking: lacks.filter(({ agreement }) => agreement === undefined),
      }
      last = { given, waiting }
      return waiting
    },
  }
}

/** Plans one message of `owner`. A message under a key that runs costs the same for two devices and for a thousand. */
export function planSend(options: {
  readonly current: OwnSession | undefined
  /** Messages wrapped under it so far. */
  readonly uses: number
  readonly conversation: string
  readonly owner: Owner
  readonly audience: Audience
  readonly now: number
  readonly random: Random
  readonly limits?: SessionLimits
}): SendPlan {
  const { current, owner, audience, now, limits = sessionLimits } = options
  const renewed = renewalReason(current, { uses: options.uses, audience, owner, now, limits })
  if (current !== undefined && renewed === undefined) {
    const { ahead, lacking } = audience.waiting(current.given)
    const isSame = ahead.length === 0 && current.digest === audience.digest
    const given = ahead.length === 0 ? current.given : [...current.given, ...ahead.map(deviceName)]
    const session = isSame ? current : { ...current, digest: audience.digest, given }
    return { session, uses: options.uses + 1, ahead, lacking }
  }
  const { ahead, lacking } = audience.waiting([])
  return {
    session: {
      smk: createSmk({ owner, audience: audience.members, now, random: options.random, limits }),
      conversation: options.conversation,
      digest: audience.digest,
      devices: audience.names,
      given: ahead.map(deviceName),
    },
    uses: 1,
    ...(renewed === undefined ? {} : { renewed }),
    ...(current === undefined ? {} : { retired: retire(current, now) }),
    ahead,
    lacking,
  }
}

/** Takes a key out of use, as when the peer is blocked or a member leaves; the next message makes a new one. */
export function retire(session: OwnSession, now: number): OwnSession {
  return session.retired === undefined ? { ...session, retired: now } : session
}

/** When an own key is erased; one still in use is counted from the end of its validity. */
export function ownErasureDue(session: OwnSession, limits: SessionLimits = sessionLimits): number {
  return erasureDue(session.smk, { retired: session.retired, limits })
}

function renewalReason(
  current: OwnSession | undefined,
  to: {
    readonly uses: number
    readonly audience: Audience
    readonly owner: Owner
    readonly now: number
    readonly limits: SessionLimits
  },
): RenewalReason | undefined {
  if (current === undefined) return 'first'
  if (current.retired !== undefined || current.smk.owner.device !== to.owner.device) return 'retired'
  if (current.digest !== to.audience.digest) {
    const changed = audienceChange(current, to.audience)
    if (changed !== undefined) return changed
  }
  // A clock that was set back makes the key look unborn: better a new one than one whose times lie.
  if (to.now >= current.smk.notAfter || to.now < current.smk.created) return 'age'
  return to.uses >= to.limits.smkUsesMax ? 'uses' : undefined
}

// A removed device must stop reading, and a new one must not read what was written before it came: both renew.
function audienceChange(current: OwnSession, { names, members }: Audience): RenewalReason | undefined {
  const now = new Set(names)
  if (current.devices.some((name) => !now.has(name))) return 'device-removed'
  const before = new Set(current.devices)
  if (names.some((name) => !before.has(name))) return 'device-added'
  // The card version is not compared: a newer card with the same devices changes nothing for the key.
  const accounts = new Map(members.map(({ address, account }) => [address, account]))
  const { audience } = current.smk
  const isSame = audience.length === members.length && audience.every(({ address, account }) => accounts.get(address) === account)
  return isSame ? undefined : 'audience'
}

function deviceName(device: AudienceDevice): string {
  return `${device.address}/${device.id}`
}
