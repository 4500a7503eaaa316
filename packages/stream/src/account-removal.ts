/**
 * The wish to close an account: signed by the account key, for its own relay only, good for a minute. A device alone cannot say
 * it, and a relay cannot make it up (design §2: one purpose per signature).
 * @module
 */
import { type Address, domainOf, toImUri } from '@parley/core'
import type { Key } from '@parley/jose'
import { readProof, relayUri, signProof, verifyProof } from './proof.ts'

/** The `type` of the JWM that wishes it. */
export const accountRemovalType: string = 'urn:parley:kernel:1:account-removal'

const lifetimeMs = 60_000

/** Signs it with the account key; what a device sends as `proof` of the request `remove-account`. `now` in milliseconds. */
export function signAccountRemoval(address: Address, options: { readonly accountKey: Key; readonly now: number }): string {
  const { accountKey, now } = options
  const body = { account: toImUri(address) }
  return signProof({ type: accountRemovalType, to: relayUri(domainOf(address)), body, signer: accountKey, now, lifetimeMs })
}

/** Whether the holder of this account key wants this account closed, and said so just now. `now` in milliseconds; clocks may differ by a minute. */
export function provesAccountRemoval(
  jws: string,
  options: { readonly address: Address; readonly accountKey: Key; readonly now: number },
): boolean {
  const { address, accountKey, now } = options
  const claimed = readProof(jws)
  if (claimed === undefined || claimed.body['account'] !== toImUri(address)) return false
  return verifyProof(claimed, { type: accountRemovalType, to: relayUri(domainOf(address)), key: accountKey, now, lifetimeMs }).ok
}
