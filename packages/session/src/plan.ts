/**
 * Sending under a session key: go on with the present one or make a new one, and which devices it must go ahead to.
 * @module
 */
import type { Address, DeviceId, Random } from '@parley/core'
import type { Jwk } from '@parley/jose'
import { type SessionLimits, sessionLimits } from './limits.ts'
import { type AudienceMember, createSmk, erasureDue, type Owner, type Smk } from './smk.ts'

/** A device of an account in the audience: neither removed nor this one. */
export type AudienceDevice = {
  readonly address: Address
  readonly id: DeviceId
  /** The agreement key of its statement in force; a device without one gets no key ahead and dials back. */
  readonly agreement?: Jwk | undefined
}

/** A session key of this device. Plain JSON with a secret in it. */
export type OwnSession = {
  readonly smk: Smk
  readonly conversation: string
  /** Messages wrapped under it. */
  readonly uses: number
  /** All devices that could read when it was made, sorted. */
  readonly devices: readonly string[]
  /** Those that the key went ahead to. */
  readonly given: readonly string[]
  /** When it was renewed; it wraps nothing since. */
  readonly retired?: number
}

/** Why a new key was made. */
export type RenewalReason = 'first' | 'age' | 'uses' | 'audience' | 'device-added' | 'device-removed' | 'retired'

export type SendPlan = {
  /** To store, and to wrap this message under: its use is counted. */
  readonly session: OwnSession
  readonly renewed?: RenewalReason
  /** The key before, to store until its erasure. */
  readonly retired?: OwnSession
  /** Send the key to these before the message, in the same batch. */
  readonly ahead: readonly AudienceDevice[]
  /** They have no valid statement and will dial back. */
  readonly lacking: readonly AudienceDevice[]
}

/** Plans one message of `owner` to `audience`, the owner's own account included. */
export function planSend(options: {
  readonly current: OwnSession | undefined
  readonly conversation: string
  readonly owner: Owner
  readonly audience: readonly AudienceMember[]
  readonly devices: readonly AudienceDevice[]
  readonly now: number
  readonly random: Random
  readonly limits?: SessionLimits
}): SendPlan {
  const { current, owner, audience, devices, now, limits = sessionLimits } = options
  const names = [...new Set(devices.map(deviceName))].sort()
  const renewed = renewalReason(current, { names, owner, audience, now, limits })
  const session: OwnSession =
    current === undefined || renewed !== undefined
      ? {
          smk: createSmk({ owner, audience, now, random: options.random, limits }),
          conversation: options.conversation,
          uses: 0,
          devices: names,
          given: [],
        }
      : current
  const waiting = devices.filter((device) => !session.given.includes(deviceName(device)))
  const ahead = waiting.filter((device) => device.agreement !== undefined)
  return {
    session: { ...session, uses: session.uses + 1, given: [...session.given, ...ahead.map(deviceName)] },
    ...(renewed === undefined ? {} : { renewed }),
    ...(renewed === undefined || current === undefined ? {} : { retired: retire(current, now) }),
    ahead,
    lacking: waiting.filter((device) => device.agreement === undefined),
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
    readonly names: readonly string[]
    readonly owner: Owner
    readonly audience: readonly AudienceMember[]
    readonly now: number
    readonly limits: SessionLimits
  },
): RenewalReason | undefined {
  if (current === undefined) return 'first'
  if (current.retired !== undefined || current.smk.owner.device !== to.owner.device) return 'retired'
  // A removed device must stop reading, and a new one must not read what was written before it came: both renew.
  if (current.devices.some((name) => !to.names.includes(name))) return 'device-removed'
  if (to.names.some((name) => !current.devices.includes(name))) return 'device-added'
  if (!sameAccounts(current.smk.audience, to.audience)) return 'audience'
  // A clock that was set back makes the key look unborn: better a new one than one whose times lie.
  if (to.now >= current.smk.notAfter || to.now < current.smk.created) return 'age'
  return current.uses >= to.limits.smkUsesMax ? 'uses' : undefined
}

// The card version is not compared: a newer card with the same devices changes nothing for the key.
function sameAccounts(a: readonly AudienceMember[], b: readonly AudienceMember[]): boolean {
  return (
    a.length === b.length &&
    a.every((member) => b.some((other) => other.address === member.address && other.account === member.account))
  )
}

function deviceName(device: AudienceDevice): string {
  return `${device.address}/${device.id}`
}
