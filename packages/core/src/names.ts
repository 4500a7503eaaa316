/**
 * The identifiers of Parley as branded strings, and their parsers.
 * An address is `local@domain` (in JWM attributes the URI `im:local@domain`, RFC 3860); a device id is the RFC 7638
 * thumbprint of its signing key; message, thread and stanza ids are `urn:uuid:` version 4 (RFC 9562).
 * @module
 */
import { CoreError } from './errors.ts'

declare const kind: unique symbol
type Brand<Name extends string> = string & { readonly [kind]: Name }

export type Address = Brand<'Address'>
/** The part of an address behind the `@`: whom a relay answers for. May carry a port in development. */
export type Domain = Brand<'Domain'>
export type DeviceId = Brand<'DeviceId'>
export type MessageId = Brand<'MessageId'>
export type ThreadId = Brand<'ThreadId'>
/** The id of one stanza on the hops, kept over retries; never equal to a message id. */
export type StanzaId = Brand<'StanzaId'>
/** The id of a Session Master Key, used as `kid`. */
export type SessionId = Brand<'SessionId'>

const localPart = /^[a-z0-9](?:[a-z0-9._+~-]{0,62}[a-z0-9])?$/
const domainPart =
  /^(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*(?::[1-9][0-9]{0,4})?$/
const thumbprint = /^[A-Za-z0-9_-]{43}$/
const uuidUrn = /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const sessionId = /^[A-Za-z0-9_-]{22}$/

/** `local@domain`, folded to lower case, or `undefined`. */
export function toAddress(text: string): Address | undefined {
  const folded = text.toLowerCase()
  const at = folded.indexOf('@')
  if (at < 0 || !localPart.test(folded.slice(0, at)) || !domainPart.test(folded.slice(at + 1))) return undefined
  // A brand: the checks above are what it stands for.
  return folded as Address
}

/** `local@domain`, folded to lower case; throws `ERR_CORE_ADDRESS_MALFORMED`. */
export function parseAddress(text: string): Address {
  const address = toAddress(text)
  if (address === undefined) throw new CoreError('ERR_CORE_ADDRESS_MALFORMED', 'an address has the form local@domain')
  return address
}

/** The address in `im:local@domain`, or `undefined`. */
export function fromImUri(uri: string): Address | undefined {
  return uri.startsWith('im:') ? toAddress(uri.slice(3)) : undefined
}

/** `im:local@domain` (RFC 3860). */
export function toImUri(address: Address): string {
  return `im:${address}`
}

export function domainOf(address: Address): Domain {
  // A brand: an Address holds a checked domain behind its only `@`.
  return address.slice(address.indexOf('@') + 1) as Domain
}

export function toDomain(text: string): Domain | undefined {
  const folded = text.toLowerCase()
  return domainPart.test(folded) ? (folded as Domain) : undefined
}

export function toDeviceId(text: string): DeviceId | undefined {
  return thumbprint.test(text) ? (text as DeviceId) : undefined
}

export function toMessageId(text: string): MessageId | undefined {
  return uuidUrn.test(text) ? (text as MessageId) : undefined
}

export function toThreadId(text: string): ThreadId | undefined {
  return uuidUrn.test(text) ? (text as ThreadId) : undefined
}

export function toStanzaId(text: string): StanzaId | undefined {
  return uuidUrn.test(text) ? (text as StanzaId) : undefined
}

/** 128 random bits in base64url. */
export function toSessionId(text: string): SessionId | undefined {
  return sessionId.test(text) ? (text as SessionId) : undefined
}

/** `urn:uuid:` version 4 out of 16 random octets (RFC 9562 §5.4). */
export function uuidUrnFrom(random: Uint8Array): string {
  let urn = 'urn:uuid:'
  for (let i = 0; i < 16; i++) {
    // In bounds: random has 16 octets, and every octet has its two digits.
    const octet = random[i] as number
    if (i === 4 || i === 6 || i === 8 || i === 10) urn += '-'
    urn += hexDigits[i === 6 ? (octet & 0x0f) | 0x40 : i === 8 ? (octet & 0x3f) | 0x80 : octet] as string
  }
  return urn
}

const hexDigits = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'))
