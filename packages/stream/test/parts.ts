import { type Address, type DeviceId, type Domain, parseAddress, type StanzaId, toDomain, utf8, uuidUrnFrom } from '@parley/core'
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import { generateKey, importKey, type Key, thumbprint } from '@parley/jose'
import type { OutgoingStanza } from '../src/index.ts'

export const random: SimRandom = createSimRandom(7)
export const now = 1_767_225_600_000
export const alice: Address = parseAddress('alice@a.example')
export const bob: Address = parseAddress('bob@b.example')

export function domain(name: string): Domain {
  const made = toDomain(name)
  if (made === undefined) throw new Error(name)
  return made
}

export function signingKey(): Key {
  return importKey(generateKey('Ed25519', { random }))
}

export function deviceOf(key: Key): DeviceId {
  // A thumbprint is what a device id is.
  return thumbprint(key.publicJwk ?? { kty: 'OKP' }) as DeviceId
}

export function stanzaId(): StanzaId {
  return uuidUrnFrom(random.bytes(16)) as StanzaId
}

export function stanza(text: string, more: Partial<OutgoingStanza> = {}): OutgoingStanza {
  return {
    id: stanzaId(),
    to: [bob],
    class: 'durable',
    sent: now,
    expiry: now + 1000,
    entries: [{ device: '*', octets: utf8('entry') }],
    body: utf8(text),
    ...more,
  }
}
