/**
 * What the relay itself keeps in its store: the schema version, its domain, and its key, made at the first start and changed when
 * its operator wishes; and how earlier keys led to it.
 * @module
 */
import { type Domain, fromUtf8, type JsonObject, parseJsonObject, type Random, type Store, utf8 } from '@parley/core'
import { generateKey, type Jwk, type Key, readKey } from '@parley/jose'
import { readSuccessions, type Succession, signSuccession, successionsMax } from '@parley/stream'
import { RelayError } from './errors.ts'

/** The version of the relay's own records. A store with a higher one is refused untouched. */
export const schemaVersion = 1
const metaKey = 'relay/meta'
const keyKey = 'relay/key'
const chainKey = 'relay/key-chain'

/** The relay's key, with the chain that leads to it from those before. */
export type RelayKey = { readonly signer: Key; readonly chain: readonly Succession[] }

/** Opens the relay's part of the store and answers its signing key. */
export async function openRelayKey(options: {
  readonly store: Store
  readonly domain: Domain
  readonly random: Random
}): Promise<RelayKey> {
  const { store, domain, random } = options
  const [metaValue, keyValue, chainValue] = await store.getMany([metaKey, keyKey, chainKey])
  if (metaValue === undefined && keyValue === undefined) {
    const jwk = generateKey('Ed25519', { random })
    await store.batch(
      [
        { type: 'put', key: metaKey, value: utf8(JSON.stringify({ schema: schemaVersion, domain })) },
        { type: 'put', key: keyKey, value: utf8(JSON.stringify(jwk)) },
      ],
      { durable: true },
    )
    return { signer: prepared(jwk), chain: [] }
  }
  const meta = metaValue === undefined ? undefined : parse(metaValue)
  if (typeof meta?.['schema'] !== 'number') throw corrupt()
  if (meta['schema'] > schemaVersion) {
    throw new RelayError(
      'ERR_RELAY_STORE_NEWER',
      'the store was written by a newer version; run that version, nothing was changed',
    )
  }
  if (meta['domain'] !== domain) throw new RelayError('ERR_RELAY_DOMAIN_MISMATCH', 'the store belongs to another domain')
  const jwk = keyValue === undefined ? undefined : parse(keyValue)
  if (jwk === undefined) throw corrupt()
  const chain = chainValue === undefined ? [] : readSuccessions(parse(chainValue)?.['chain'])
  if (chain === undefined) throw corrupt()
  return { signer: prepared(jwk), chain }
}

/** Makes a new key, lets the old one sign it, and keeps both in one batch. */
export async function changeRelayKey(
  { signer, chain }: RelayKey,
  options: { readonly store: Store; readonly domain: Domain; readonly random: Random; readonly now: number },
): Promise<RelayKey> {
  const { store, domain, random, now } = options
  const jwk: Jwk = generateKey('Ed25519', { random })
  const next = prepared(jwk)
  const longer = [...chain, signSuccession(domain, { signer, next, now })].slice(-successionsMax)
  await store.batch(
    [
      { type: 'put', key: keyKey, value: utf8(JSON.stringify(jwk)) },
      { type: 'put', key: chainKey, value: utf8(JSON.stringify({ chain: longer })) },
    ],
    { durable: true },
  )
  return { signer: next, chain: longer }
}

function prepared(jwk: unknown): Key {
  const result = readKey(jwk)
  if (!result.ok || !result.key.secret || result.key.crv !== 'Ed25519') throw corrupt()
  return result.key
}

function parse(value: Uint8Array): JsonObject | undefined {
  const result = parseJsonObject(fromUtf8(value) ?? '')
  return result.ok ? result.value : undefined
}

function corrupt(): RelayError {
  return new RelayError('ERR_RELAY_STORE_CORRUPT', 'the relay’s own records in the store are damaged')
}
