/**
 * How a relay changes its key: the old key signs the new one, once. A device that pinned the old one follows the chain of such
 * words to the key that welcomes it, and pins that one. A relay that lost its old key cannot make the chain (design §5).
 * @module
 */
import { type Domain, isJsonObject, type Json, type JsonObject } from '@parley/core'
import { type Jwk, type Key, thumbprint } from '@parley/jose'
import { signMessage, verifySigned } from '@parley/jwm'
import { readProof, readRelayKey, relayKeyJson, relayUri } from './proof.ts'

/** The `type` of the JWM in which a key names its successor. */
export const relayKeyType: string = 'urn:parley:kernel:1:relay-key'

/** One change: the key that was in force, and its word on the one that followed. */
export type Succession = { readonly key: JsonObject; readonly jws: string }

/** A chain longer than this is cut at its old end: who was away for so many changes pins anew. */
export const successionsMax: number = 4

/** The old key's word that `next` follows it at this domain; it does not expire. `now` in milliseconds. */
export function signSuccession(
  domain: Domain,
  options: { readonly signer: Key; readonly next: Key; readonly now: number },
): Succession {
  const { signer, next, now } = options
  const attributes = { type: relayKeyType, to: [relayUri(domain)], timeStamp: now / 1000, body: { key: relayKeyJson(next) } }
  return { key: relayKeyJson(signer), jws: signMessage(attributes, { signer }) }
}

/** Reads a chain as it came on the wire; `undefined` when it is none. */
export function readSuccessions(value: Json | undefined): readonly Succession[] | undefined {
  if (!Array.isArray(value) || value.length > successionsMax) return undefined
  const chain: Succession[] = []
  for (const link of value as readonly Json[]) {
    if (!isJsonObject(link) || !isJsonObject(link['key']) || typeof link['jws'] !== 'string') return undefined
    chain.push({ key: link['key'], jws: link['jws'] })
  }
  return chain
}

/** Whether the chain leads from the key with this thumbprint to the other one, each by the word of the one before. */
export function followsTo(
  chain: readonly Succession[],
  way: { readonly domain: Domain; readonly from: string; readonly to: string },
): boolean {
  let at = way.from
  for (const { key, jws } of chain) {
    const old = readRelayKey(key)
    if (old === undefined || old.thumbprint !== at) continue
    const claimed = readProof(jws)
    const verified = claimed === undefined || claimed.signed.kid !== at ? undefined : verifySigned(claimed.signed, old)
    const { type, to, body } = verified?.ok === true ? verified.attributes : {}
    const isFor = type === relayKeyType && to?.length === 1 && to[0] === relayUri(way.domain)
    const next = isFor && isJsonObject(body as Json | undefined) ? readRelayKey((body as JsonObject)['key']) : undefined
    if (next?.publicJwk === undefined) return false
    at = thumbprint(next.publicJwk as Jwk)
    if (at === way.to) return true
  }
  return false
}
