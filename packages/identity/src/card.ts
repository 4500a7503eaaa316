/**
 * Cards: what an account says about itself (design §2). A card is a JWM signed by the account key, carried as a compact
 * JWS; it names the account's devices by their signing keys and holds no agreement keys. Cards of one account form a
 * hash chain; see chain.ts for the rules between two of them.
 * @module
 */
import {
  type Address,
  base64url,
  type DeviceId,
  fromImUri,
  isJsonObject,
  type Json,
  type JsonObject,
  limits,
  type Result,
  toDeviceId,
  toImUri,
  utf8,
} from '@parley/core'
import { type Jwk, type Key, publicJwk, sha256, thumbprint } from '@parley/jose'
import { readSigned, signMessage, verifySigned } from '@parley/jwm'
import { IdentityError } from './errors.ts'
import { isCount, isThumbprint, parseObject, preparedKey, publicOkp } from './json.ts'

/** The purpose of the signature, as JWM `type`. */
export const cardType: string = 'urn:parley:kernel:1:card'

/** Octets of the largest card that is read. */
export const cardBytesMax: number = 32 * 1024

/** Why a device is off the card: its user put it away, or somebody else may hold its keys. */
export type RemovalReason = 'retired' | 'compromised'

export type CardDevice = {
  readonly id: DeviceId
  /** Ed25519 public key; `id` is its RFC 7638 thumbprint. */
  readonly signingKey: Jwk
  /** NumericDate, seconds. */
  readonly added: number
  /** The device holds the account key and may approve others. */
  readonly admin?: true
  readonly removed?: number
  readonly reason?: RemovalReason
}

export type Card = {
  readonly address: Address
  /** 1, 2, 3… */
  readonly version: number
  /** Hash of the card before, `null` on the first. */
  readonly prev: string | null
  /** Ed25519 public key. */
  readonly accountKey: Jwk
  /** Thumbprint of the key that may replace the account key: the recovery key. */
  readonly next: string
  readonly devices: readonly CardDevice[]
}

/** A card whose own signature and form are right. Whether it is the account's card is for the chain to say. */
export type ReadCard = {
  readonly card: Card
  /** base64url(SHA-256(the compact JWS)). */
  readonly hash: string
  readonly jws: string
  /** Thumbprint of the account key. */
  readonly account: string
}

export type CardCode = 'card-malformed' | 'card-too-large' | 'card-signature-invalid'

/** Signs a card with the account's private key; throws when the card itself is wrong. */
export function signCard(card: Card, options: { readonly key: Key; readonly now: number }): ReadCard {
  const body = {
    address: card.address,
    version: card.version,
    prev: card.prev,
    account_key: publicJwk(card.accountKey) as unknown as JsonObject,
    next: card.next,
    devices: card.devices.map((device) => ({
      id: device.id,
      signing_key: publicJwk(device.signingKey) as unknown as JsonObject,
      added: device.added,
      ...(device.admin === true ? { admin: true } : {}),
      ...(device.removed === undefined ? {} : { removed: device.removed }),
      ...(device.reason === undefined ? {} : { reason: device.reason }),
    })),
  }
  const jws = signMessage(
    { type: cardType, from: toImUri(card.address), timeStamp: options.now / 1000, body },
    { signer: options.key },
  )
  const result = readCard(jws)
  if (!result.ok) throw new IdentityError('ERR_IDENTITY_CARD_INVALID', `the card to be signed is not valid: ${result.code}`)
  return result
}

/** Reads a card and checks its form and its signature by the account key inside it. */
export function readCard(jws: string): Result<ReadCard, CardCode> {
  if (jws.length > cardBytesMax) return { ok: false, code: 'card-too-large' }
  const read = readSigned(jws)
  if (!read.ok) return { ok: false, code: 'card-malformed' }
  const keyText = accountKeyOf(read.signed.payload)
  if (keyText === undefined) return { ok: false, code: 'card-malformed' }
  const key = preparedKey(keyText)
  if (key === undefined) return { ok: false, code: 'card-malformed' }
  const account = thumbprint(keyText)
  if (read.signed.kid !== account) return { ok: false, code: 'card-signature-invalid' }
  const verified = verifySigned(read.signed, key)
  if (!verified.ok)
    return { ok: false, code: verified.code === 'signature-invalid' ? 'card-signature-invalid' : 'card-malformed' }
  const { attributes } = verified
  const card = attributes.type === cardType && attributes.body !== undefined ? parseCard(attributes.body) : undefined
  if (card === undefined || attributes.from === undefined || fromImUri(attributes.from) !== card.address) {
    return { ok: false, code: 'card-malformed' }
  }
  return { ok: true, card, hash: base64url(sha256(utf8(jws))), jws, account }
}

/** The device with this id on the card, and whether it may still speak for the account. */
export function deviceOn(
  card: Card,
  id: DeviceId,
): { readonly device: CardDevice; readonly status: 'active' | RemovalReason } | undefined {
  const device = card.devices.find((candidate) => candidate.id === id)
  if (device === undefined) return undefined
  return { device, status: device.removed === undefined ? 'active' : (device.reason ?? 'retired') }
}

/** The devices that are on the card and not removed, in the card's order. */
export function activeDevices(card: Card): readonly CardDevice[] {
  return card.devices.filter((device) => device.removed === undefined)
}

// The key must be known before the signature can be checked; everything else is read after it.
function accountKeyOf(payload: Uint8Array): Jwk | undefined {
  const result = parseObject(payload)
  const body = result?.['body']
  return isJsonObject(body) ? publicOkp(body['account_key'], 'Ed25519') : undefined
}

function parseCard(body: JsonObject): Card | undefined {
  const { address: addressText, version, prev, account_key, next, devices: list } = body
  const address = typeof addressText === 'string' ? fromImUri(`im:${addressText}`) : undefined
  const accountKey = publicOkp(account_key, 'Ed25519')
  if (address === undefined || address !== addressText || accountKey === undefined) return undefined
  if (!isCount(version) || version < 1 || !isThumbprint(next)) return undefined
  if (version === 1 ? prev !== null : !isThumbprint(prev)) return undefined
  if (!Array.isArray(list) || list.length === 0 || list.length > limits.cardDevicesMax) return undefined
  const devices: CardDevice[] = []
  for (const entry of list as readonly Json[]) {
    const device = parseDevice(entry)
    if (device === undefined || devices.some(({ id }) => id === device.id)) return undefined
    devices.push(device)
  }
  return { address, version, prev: version === 1 ? null : (prev as string), accountKey, next, devices }
}

function parseDevice(entry: Json): CardDevice | undefined {
  if (!isJsonObject(entry)) return undefined
  const { id: idText, added, admin, removed, reason } = entry
  const signingKey = publicOkp(entry['signing_key'], 'Ed25519')
  const id = typeof idText === 'string' ? toDeviceId(idText) : undefined
  if (signingKey === undefined || id === undefined || thumbprint(signingKey) !== id) return undefined
  if (typeof added !== 'number' || (admin !== undefined && admin !== true)) return undefined
  if ((removed === undefined) !== (reason === undefined)) return undefined
  if (removed !== undefined && typeof removed !== 'number') return undefined
  if (reason !== undefined && reason !== 'retired' && reason !== 'compromised') return undefined
  return {
    id,
    signingKey,
    added,
    ...(admin === true ? { admin } : {}),
    ...(removed === undefined || reason === undefined ? {} : { removed, reason }),
  }
}
