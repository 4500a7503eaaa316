/**
 * A relay's published keys: the document under `/.well-known/parley`, by which devices and other relays know it.
 * @module
 */
import { type Domain, isJsonObject, type Json, parseJsonObject, type Result, toDomain, utf8 } from '@parley/core'
import { type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { publicOkp } from './json.ts'

/** The path of the document on the relay's own port (RFC 8615). */
export const domainKeysPath: string = '/.well-known/parley'

/** What a domain says of its relay. */
export type DomainKeys = {
  readonly domain: Domain
  /** Ed25519 public keys in force, the preferred one first. */
  readonly keys: readonly Jwk[]
  /** `wss://…`: where the domain's relay listens for other relays and devices; absent where that is the domain itself. */
  readonly relay?: string
}

const domainKeysMax = 8
const relayUrl = /^wss:\/\/[a-z0-9.\-[\]:]{1,255}(?:\/[!-~]{0,255})?$/i

/** The octets of the document; of the keys only their public parts, each with its thumbprint as `kid`. */
export function encodeDomainKeys(document: DomainKeys): Uint8Array {
  const keys = document.keys.map((key) => ({ ...publicJwk(key), kid: thumbprint(key) }))
  const { domain, relay } = document
  return utf8(JSON.stringify({ domain, keys, ...(relay === undefined ? {} : { relay }) }))
}

/** Reads a document as it came from the network: at least one key must be of a known kind; nothing is proved by it. */
export function readDomainKeys(octets: Uint8Array): Result<DomainKeys, 'domain-keys-malformed'> {
  const result = parseJsonObject(octets)
  if (!result.ok) return { ok: false, code: 'domain-keys-malformed' }
  const domain = typeof result.value['domain'] === 'string' ? toDomain(result.value['domain']) : undefined
  const list = result.value['keys']
  const { relay } = result.value
  if (relay !== undefined && (typeof relay !== 'string' || !relayUrl.test(relay)))
    return { ok: false, code: 'domain-keys-malformed' }
  if (domain === undefined || !Array.isArray(list) || list.length === 0 || list.length > domainKeysMax) {
    return { ok: false, code: 'domain-keys-malformed' }
  }
  const keys: Jwk[] = []
  for (const entry of list as readonly Json[]) {
    // Keys of kinds that are not known here may stand beside those that are.
    const key = isJsonObject(entry) ? publicOkp(entry, 'Ed25519') : undefined
    if (key !== undefined) keys.push(key)
  }
  if (keys.length === 0) return { ok: false, code: 'domain-keys-malformed' }
  return { ok: true, domain, keys, ...(relay === undefined ? {} : { relay }) }
}
