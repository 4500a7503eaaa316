/**
 * The safety number of two accounts: sixty digits that both people see when each has the other's true account key.
 * Thirty digits per account, the smaller first, so that both sides print the same.
 * @module
 */
import { type Address, concat, fromBase64url, utf8 } from '@parley/core'
import { sha256 } from '@parley/jose'

export type SafetyParty = {
  readonly address: Address
  /** Thumbprint of the account key. */
  readonly account: string
}

// Makes a search for a key with the same thirty digits (about 100 bits) as dear as the last bits it lacks.
const iterations = 5200

/** Twelve groups of five digits. */
export function safetyNumber(a: SafetyParty, b: SafetyParty): string {
  const halves = [digits(a), digits(b)].sort()
  return halves.join('').replace(/(\d{5})(?=\d)/g, '$1 ')
}

function digits(party: SafetyParty): string {
  const thumbprint = fromBase64url(party.account)
  if (thumbprint === undefined || thumbprint.length !== 32) throw new TypeError('account: not a thumbprint')
  const seed = concat(utf8('parley/safety/1'), Uint8Array.of(0), thumbprint, utf8(party.address))
  let hash = sha256(seed)
  for (let i = 1; i < iterations; i++) hash = sha256(concat(hash, thumbprint))
  let text = ''
  for (let i = 0; i < 30; i += 5) {
    let value = 0
    for (let j = 0; j < 5; j++) value = value * 256 + (hash[i + j] as number)
    text += String(value % 100_000).padStart(5, '0')
  }
  return text
}
