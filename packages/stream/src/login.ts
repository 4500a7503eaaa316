/**
 * Login and welcome (design §5): the device signs the relay's nonce, its own, the domain it dialled and how far it has
 * handled its mailbox; the relay signs both nonces back. Resuming is a part of this; there are no bearer tokens.
 * @module
 */
import { type Address, type DeviceId, type Domain, type JsonObject, toAddress, toDeviceId, toDomain, toImUri } from '@parley/core'
import type { Key } from '@parley/jose'
import { type Claimed, isNonce, readProof, relayUri, signProof, verifyProof } from './proof.ts'

export const loginType: string = 'urn:parley:kernel:1:login'
export const welcomeType: string = 'urn:parley:kernel:1:welcome'

/** A position in a device's mailbox: everything up to `n` was handled, under this epoch. */
export type MailboxMark = { readonly epoch: string; readonly n: number }

export type Login = {
  readonly nonce: string
  readonly ownNonce: string
  readonly domain: Domain
  readonly address: Address
  readonly device: DeviceId
  /** The incarnation of the device's store: 64 random bits (design §7). */
  readonly inc: string
  readonly position: MailboxMark | undefined
}

export type Welcome = {
  /** The epoch of the mailbox's positions. */
  readonly epoch: string
  /** Milliseconds, by the relay's clock. */
  readonly time: number
  /** Where this stream begins: everything up to here was handled. */
  readonly start: number
  /** What the relay saw this device acknowledge before this login. Above the device's own mark: its store is an old one. */
  readonly position: number
  readonly account: 'known' | 'registered'
  /** Another incarnation of this device was connected until now. */
  readonly cloned: boolean
  readonly windowStanzas: number
  readonly windowBytes: number
}

type Time = { readonly now: number; readonly lifetimeMs: number }

export function signLogin(login: Login, options: Time & { readonly signer: Key }): string {
  const body: JsonObject = {
    nonce: login.nonce,
    own_nonce: login.ownNonce,
    domain: login.domain,
    address: login.address,
    device: login.device,
    inc: login.inc,
    position: login.position === undefined ? null : { epoch: login.position.epoch, n: login.position.n },
  }
  return signProof({ type: loginType, to: relayUri(login.domain), body, ...options })
}

/** What a login claims; nothing of it is proved. */
export function readLogin(jws: string): { readonly login: Login; readonly claimed: Claimed } | undefined {
  const claimed = readProof(jws)
  if (claimed === undefined || claimed.type !== loginType) return undefined
  const { nonce, own_nonce: ownNonce, inc, position: mark } = claimed.body
  const domain = toDomain(text(claimed.body['domain']))
  const address = toAddress(text(claimed.body['address']))
  const device = toDeviceId(text(claimed.body['device']))
  const position = readMark(mark)
  if (!isNonce(nonce) || !isNonce(ownNonce) || !isEpoch(inc) || position === false) return undefined
  if (domain === undefined || address === undefined || device === undefined) return undefined
  return { login: { nonce, ownNonce, domain, address, device, inc, position }, claimed }
}

/** Whether the device with this signing key made the login, for this relay, just now. */
export function verifyLogin(claimed: Claimed, options: Time & { readonly domain: Domain; readonly key: Key }): boolean {
  const { domain, ...rest } = options
  return verifyProof(claimed, { type: loginType, to: relayUri(domain), ...rest }).ok
}

type Nonces = { readonly nonce: string; readonly ownNonce: string; readonly address: Address }

export function signWelcome(welcome: Welcome, options: Nonces & Time & { readonly signer: Key }): string {
  const { nonce, ownNonce, address, ...rest } = options
  const body: JsonObject = {
    nonce,
    own_nonce: ownNonce,
    epoch: welcome.epoch,
    time: welcome.time,
    start: welcome.start,
    position: welcome.position,
    account: welcome.account,
    cloned: welcome.cloned,
    window_stanzas: welcome.windowStanzas,
    window_bytes: welcome.windowBytes,
  }
  return signProof({ type: welcomeType, to: toImUri(address), body, ...rest })
}

/** Reads a welcome and checks it with the relay's key, which must be the pinned one where one is pinned. */
export function readWelcome(jws: string, options: Nonces & Time & { readonly key: Key }): Welcome | undefined {
  const { nonce, ownNonce, address, key, lifetimeMs } = options
  const claimed = readProof(jws)
  if (claimed === undefined) return undefined
  const { epoch, time, start, position, account, cloned, window_stanzas: stanzas, window_bytes: bytes } = claimed.body
  if (claimed.body['nonce'] !== nonce || claimed.body['own_nonce'] !== ownNonce) return undefined
  if (!isEpoch(epoch) || !isCount(time) || !isCount(start) || !isCount(position) || typeof cloned !== 'boolean') return undefined
  if ((account !== 'known' && account !== 'registered') || !isCount(stanzas) || !isCount(bytes) || stanzas < 1) return undefined
  // Both nonces are fresh, so the relay's own clock is as good as the device's, which may be wrong.
  const checked = verifyProof(claimed, { type: welcomeType, to: toImUri(address), key, now: time, lifetimeMs })
  if (!checked.ok) return undefined
  return { epoch, time, start, position, account, cloned, windowStanzas: stanzas, windowBytes: bytes }
}

function readMark(value: unknown): MailboxMark | undefined | false {
  if (value === null || value === undefined) return undefined
  const { epoch, n } = value as { readonly epoch?: unknown; readonly n?: unknown }
  return isEpoch(epoch) && isCount(n) ? { epoch, n } : false
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** 64 random bits in base64url. */
export function isEpoch(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{11}$/.test(value)
}

/** A number of things, or a time. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
