/**
 * Accounts and devices from the inside: making an account with its recovery key, making a further device, approving it
 * with the next card, stating agreement keys (design §2).
 * @module
 */
import {
  type Address,
  base64url,
  limits as coreLimits,
  type DeviceId,
  fromImUri,
  type Random,
  toDeviceId,
  toImUri,
} from '@parley/core'
import { type Card, type CardDevice, type ReadCard, type RemovalReason, signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { AgentError } from './errors.ts'
import { agentLimits } from './limits.ts'
import type { ProfileRow } from './rows.ts'
import type { Tx } from './state.ts'

export type NewProfile = {
  readonly address: Address
  readonly relayUrl: string
  /** The token of an invitation, where the relay takes nobody without one. */
  readonly invite?: string
  readonly random: Random
}

/** Makes an account with this device as its first, admin device. The recovery key is in the answer and nowhere else. */
export function createAccount(tx: Tx, options: NewProfile): { readonly recoveryKey: string } {
  const { address, random } = options
  const account = generateKey('Ed25519', { random })
  const recovery = generateKey('Ed25519', { random })
  const profile = createDevice(tx, options)
  const card: Card = {
    address,
    version: 1,
    prev: null,
    accountKey: publicJwk(account),
    next: thumbprint(recovery),
    devices: [{ id: profile.device, signingKey: profile.signingKey, added: seconds(tx.now), admin: true }],
  }
  const signed = signCard(card, { key: importKey(account), now: tx.now })
  tx.put('key', 'account', { jwk: account, created: tx.now })
  tx.put('pin', address, { address, account: signed.account, jws: signed.jws, version: 1 })
  stateKey(tx, { card: signed, random })
  // The private part of an Ed25519 JWK (RFC 8037 §2), which is all that is needed to make the key again.
  return { recoveryKey: recovery.d ?? '' }
}

/** Makes a device of an account that exists elsewhere; it can do nothing until an admin device approves its line. */
export function createLinkedDevice(tx: Tx, options: NewProfile & { readonly account?: string }): { readonly line: string } {
  const profile = createDevice(tx, options)
  if (options.account !== undefined) tx.put('self', 'profile', { ...profile, expectedAccount: options.account })
  return { line: deviceLine(profile) }
}

function createDevice(tx: Tx, { address, relayUrl, invite, random }: NewProfile): ProfileRow {
  if (tx.get('self', 'profile') !== undefined)
    throw new AgentError('ERR_AGENT_PROFILE_EXISTS', 'the store holds a profile already')
  const signing = generateKey('Ed25519', { random })
  const profile: ProfileRow = {
    address,
    // A thumbprint is what DeviceId stands for.
    device: thumbprint(signing) as DeviceId,
    signingKey: publicJwk(signing),
    inc: newInc(random),
    relayUrl,
    registered: false,
    ...(invite === undefined ? {} : { invite }),
  }
  tx.put('key', 'signing', { jwk: signing, created: tx.now })
  tx.put('self', 'profile', profile)
  return profile
}

/** 64 random bits that name this life of the store (design §7). */
export function newInc(random: Random): string {
  return base64url(random.bytes(8))
}

/** Makes a fresh agreement key and states it; the one before is kept until nothing under it can still come. */
export function stateKey(
  tx: Tx,
  options: { readonly card: ReadCard; readonly random: Random; readonly retentionMs?: number },
): void {
  const { card, random } = options
  const profile = tx.get('self', 'profile')
  const signing = tx.get('key', 'signing')
  if (profile === undefined || signing === undefined)
    throw new AgentError('ERR_AGENT_PROFILE_ABSENT', 'the store holds no profile')
  const agreement = generateKey('X25519', { random })
  const kid = thumbprint(agreement)
  const n = (profile.statement?.n ?? 0) + 1
  const issued = seconds(tx.now)
  const expiry = issued + Math.floor(coreLimits.statementLifetimeMs / 1000)
  const jws = signStatement(
    { device: profile.device, account: card.account, agreementKey: publicJwk(agreement), n, issued, expiry, head: card.hash },
    { key: importKey(signing.jwk) },
  )
  const before = profile.statement
  const old = before === undefined ? undefined : tx.get('key', before.kid)
  if (before !== undefined && old !== undefined)
    tx.put('key', before.kid, { ...old, expiry: tx.now + (options.retentionMs ?? agentLimits.agreementRetentionMs) })
  tx.put('key', kid, { jwk: agreement, created: tx.now })
  tx.put('self', 'profile', { ...profile, statement: { n, issued: tx.now, jws, kid, published: false } })
}

/** The line by which a new device asks to be let in: its address and its signing key. */
export function deviceLine(profile: ProfileRow): string {
  return `${toImUri(profile.address)}?device=${profile.signingKey.x ?? ''}`
}

/** Reads such a line; throws `ERR_AGENT_DEVICE_LINE_MALFORMED`. */
export function readDeviceLine(line: string): { readonly address: Address; readonly id: DeviceId; readonly signingKey: Jwk } {
  const [uri = '', query = '', ...rest] = line.trim().split('?')
  const address = fromImUri(uri)
  const x = query.startsWith('device=') ? query.slice(7) : ''
  const signingKey: Jwk = { kty: 'OKP', crv: 'Ed25519', x }
  try {
    importKey(signingKey)
    const id = toDeviceId(thumbprint(signingKey))
    if (address !== undefined && id !== undefined && rest.length === 0) return { address, id, signingKey }
  } catch {
    // Said below, in the same words as for every other malformed line.
  }
  throw new AgentError('ERR_AGENT_DEVICE_LINE_MALFORMED', 'a device line has the form im:local@domain?device=KEY')
}

/** The next card, with changed devices, signed by the account key of this admin device. */
export function signNextCard(tx: Pick<Tx, 'get' | 'now'>, head: ReadCard, devices: readonly CardDevice[]): ReadCard {
  const account = tx.get('key', 'account')
  if (account === undefined) throw new AgentError('ERR_AGENT_NOT_ADMIN', 'this device does not hold the account key')
  const card: Card = { ...head.card, version: head.card.version + 1, prev: head.hash, devices }
  return signCard(card, { key: importKey(account.jwk), now: tx.now })
}

/** The card's devices with one more, or the same when it is there. A device that was removed never comes back. */
export function withDevice(
  card: Card,
  device: { readonly id: DeviceId; readonly signingKey: Jwk },
  now: number,
): readonly CardDevice[] {
  const known = card.devices.find(({ id }) => id === device.id)
  if (known?.removed !== undefined) throw new AgentError('ERR_AGENT_DEVICE_REMOVED', 'a removed device cannot be let in again')
  if (known !== undefined) return card.devices
  return [...card.devices, { ...device, added: seconds(now) }]
}

/** The card's devices with one removed; the same when it is not there or removed already. */
export function withoutDevice(
  card: Card,
  id: DeviceId,
  options: { readonly reason: RemovalReason; readonly now: number },
): readonly CardDevice[] {
  if (!card.devices.some((device) => device.id === id && device.removed === undefined)) return card.devices
  return card.devices.map((device) =>
    device.id === id ? { ...device, removed: seconds(options.now), reason: options.reason } : device,
  )
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}
