/**
 * Asking for a session key: the request, whom to ask in which order, and when. The private half of `eph` is the caller's
 * to keep, durable until the request is answered or expired and then erased.
 * @module
 */
import {
  type Address,
  base64url,
  type DeviceId,
  type Json,
  type JsonObject,
  type Random,
  type Result,
  type SessionId,
  toImUri,
} from '@parley/core'
import { type Jwk, thumbprint } from '@parley/jose'
import { type SessionLimits, sessionLimits } from './limits.ts'
import { exactly, readAddress, readDeviceId, readRequestId, readSeconds, readSid, readX25519 } from './members.ts'
import type { Owner } from './smk.ts'

/** Type URIs of dial-back. */
export const keyRequestType: string = 'urn:parley:kernel:1:key-request'
export const keyAnswerType: string = 'urn:parley:kernel:1:key-answer'
export const keyRefusalType: string = 'urn:parley:kernel:1:key-refusal'

/** A key request as its maker remembers it. */
export type KeyRequest = {
  readonly id: string
  readonly sid: SessionId
  readonly owner: Owner
  /** Public X25519 key made for this request alone. */
  readonly eph: Jwk
  /** Milliseconds, whole seconds. */
  readonly expires: number
}

/** A key request as it came; `eph` is `undefined` when the key offered is of no kind that we seal to. */
export type ReceivedRequest = Omit<KeyRequest, 'eph'> & { readonly eph: Jwk | undefined }

/** Makes a request. `eph` is a fresh X25519 key; its private part, if there, is left out. */
export function createRequest(options: {
  readonly sid: SessionId
  readonly owner: Owner
  readonly eph: Jwk
  readonly now: number
  readonly random: Random
  readonly limits?: SessionLimits
}): KeyRequest {
  const { sid, owner, eph, now, random, limits = sessionLimits } = options
  if (eph.kty !== 'OKP' || eph.crv !== 'X25519' || eph.x === undefined) throw new TypeError('eph must be an X25519 key')
  const expires = Math.floor((now + limits.requestLifetimeMs) / 1000) * 1000
  return { id: base64url(random.bytes(16)), sid, owner, eph: { kty: 'OKP', crv: 'X25519', x: eph.x }, expires }
}

/** The members of a request on the wire. */
export function requestBody(request: KeyRequest): JsonObject {
  return {
    id: request.id,
    sid: request.sid,
    owner: { address: toImUri(request.owner.address), device: request.owner.device },
    eph: { kty: 'OKP', crv: 'X25519', x: request.eph.x ?? '' },
    expiry: request.expires / 1000,
  }
}

/** Reads a request. An unusable `eph` is not malformed: it is answered `not-acceptable`. */
export function readRequest(body: Json): Result<{ readonly request: ReceivedRequest }, 'request-malformed'> {
  const members = exactly(body, ['id', 'sid', 'owner', 'eph', 'expiry'])
  const owner = exactly(members?.['owner'], ['address', 'device'])
  const id = readRequestId(members?.['id'])
  const sid = readSid(members?.['sid'])
  const address = readAddress(owner?.['address'])
  const device = readDeviceId(owner?.['device'])
  const expires = readSeconds(members?.['expiry'])
  if (id === undefined || sid === undefined || address === undefined || device === undefined || expires === undefined) {
    return { ok: false, code: 'request-malformed' }
  }
  return { ok: true, request: { id, sid, owner: { address, device }, eph: readX25519(members?.['eph']), expires } }
}

/** Thumbprint of the key of a request, as its answer names it. */
export function ephThumbprint(eph: Jwk): string {
  return thumbprint(eph)
}

/** Devices of one account that are asked together. */
export type RequestTarget = { readonly address: Address; readonly devices: readonly DeviceId[] }

/** Whom to ask, in turn: the own other devices, the device that sent the message, the others of its account. */
export function requestTargets(options: {
  readonly self: { readonly address: Address; readonly device: DeviceId; readonly devices: readonly DeviceId[] }
  readonly owner: Owner
  /** Devices on the owner account's newest card, the removed ones left out; empty when it is not known. */
  readonly ownerDevices: readonly DeviceId[]
}): readonly RequestTarget[] {
  const { self, owner, ownerDevices } = options
  const asked = new Set<DeviceId>([self.device])
  const target = (address: Address, devices: readonly DeviceId[]): RequestTarget => {
    const fresh = devices.filter((device) => !asked.has(device))
    for (const device of fresh) asked.add(device)
    return { address, devices: fresh }
  }
  const targets = [
    target(
      self.address,
      self.devices.filter((device) => device !== owner.device),
    ),
    target(owner.address, ownerDevices.length === 0 || ownerDevices.includes(owner.device) ? [owner.device] : []),
    target(owner.address, ownerDevices),
  ]
  return targets.filter(({ devices }) => devices.length > 0)
}

const delayMinMs = 1000
const delaySpreadMs = 4000
const delaySpreadPerAccountMs = 20
const delaySpreadMsMax = 60_000

/** How long to wait before asking: 1 to 5 seconds, spread wider for a large audience so that its devices don't ask at once. */
export function requestDelayMs(options: { readonly audienceSize: number; readonly random: Random }): number {
  const spread = Math.min(delaySpreadMs + Math.max(0, options.audienceSize - 2) * delaySpreadPerAccountMs, delaySpreadMsMax)
  const [high = 0, low = 0] = options.random.bytes(2)
  return delayMinMs + Math.floor((spread * (high * 256 + low)) / 65_536)
}
