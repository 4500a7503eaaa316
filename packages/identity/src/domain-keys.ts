/**
 * A relay's published keys: the document under `/.well-known/parley`, by which devices and other relays know it.
 * @module
 */
import { type Domain, isJsonObject, type Json, parseJsonObject, type Result, toDomain, utf8 } from '@parley/core'
import { type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { publicOkp } from './json.ts'

/** The path of the document on the relay's own port (RFC 8615). */
export const domainKeysPath: string = '/.well-known/parley'

export type DomainKeys = {
  readonly domain: Domain
  /** Ed25519 public keys in force, the preferred one first. */
  readonly keys: readonly Jwk[]
}

const domainKeysMax = 8

export function encodeDomainKeys(document: DomainKeys): Uint8Array {
  const keys = document.keys.map((key) => ({ ...publicJwk(key), kid: thumbprint(key) }))
  return utf8(JSON.stringify({ domain: document.domain, keys }))
}

export function readDomainKeys(octets: Uint8Array): Result<DomainKeys, 'domain-keys-malformed'> {
  const result = parseJsonObject(octets)
  if (!result.ok) return { ok: false, code: 'domain-keys-malformed' }
  const domain = typeof result.value['domain'] === 'string' ? toDomain(result.value['domain']) : undefined
  const list = result.value['keys']
  if (domain === undefined || !Array.isArray(list) || list.length === 0 || list.length > domainKeysMax) {
    return { ok: false, code: 'domain-keys-malformed' }
  }
  const keys: Jwk[] = []
  for (const entry of list as readonly Json[]) {
    // Keys of kinds that are not known here may stand beside those that are.
    const key = isJsonObject(entry) ? publicOkp(entry, 'Ed25519') : undefined
    if (key !== undefined) keys.push(key)
  }
  return keys.length === 0 ? { ok: false, code: 'domain-keys-malformed' } : { ok: true, domain, keys }
}
