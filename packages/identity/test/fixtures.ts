import { parseAddress, toDeviceId } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { generateKey, importKey, type Jwk, type Key, publicJwk, thumbprint } from '@parley/jose'
import { type Card, type CardDevice, type ReadCard, signCard } from '../src/index.ts'

export const random = createSimRandom('identity')
export const now = 1_767_225_600_000
export const alice = parseAddress('alice@a.example')

export type Pair = { readonly jwk: Jwk; readonly key: Key; readonly id: string }

export function pair(kind: 'Ed25519' | 'X25519' = 'Ed25519'): Pair {
  const jwk = generateKey(kind, { random })
  return { jwk, key: importKey(jwk), id: thumbprint(jwk) }
}

export function device(of: Pair, more: Partial<CardDevice> = {}): CardDevice {
  const id = toDeviceId(of.id)
  if (id === undefined) throw new Error('a thumbprint is a device id')
  return { id, signingKey: publicJwk(of.jwk), added: now / 1000, ...more }
}

export const account = pair()
export const recovery = pair()
export const phone = pair()
export const laptop = pair()

export function sign(card: Card, by: Pair = account): ReadCard {
  return signCard(card, { key: by.key, now })
}

export const first = sign({
  address: alice,
  version: 1,
  prev: null,
  accountKey: publicJwk(account.jwk),
  next: recovery.id,
  devices: [device(phone, { admin: true })],
})

/** The card after `before`, with changes. */
export function after(before: ReadCard, changes: Partial<Card> = {}, by: Pair = account): ReadCard {
  return sign({ ...before.card, version: before.card.version + 1, prev: before.hash, ...changes }, by)
}
