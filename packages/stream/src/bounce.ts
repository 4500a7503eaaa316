/**
 * Bounces that come later than the acknowledgement are signed by the relay that gave up, so that the sender can show who
 * said so (design §5). A signed receipt overrules one.
 * @module
 */
import { type Address, type JsonObject, toImUri } from '@parley/core'
import type { Key } from '@parley/jose'
import type { Bounce } from './frame.ts'
import { readProof, signProof, verifyProof } from './proof.ts'

/** The `type` of the JWM in which a relay says so. */
export const bounceType: string = 'urn:parley:kernel:1:bounce'

// A bounce waits in the mailbox as long as a message would; it is signed when it is delivered, and read at once.
const lifetimeMs = 60_000

function bodyOf({ id, to, code, retryable }: Bounce): JsonObject {
  return { id, code, retryable, ...(to === undefined ? {} : { to }) }
}

/** Signs it for this account, good for a minute. `now` in milliseconds. */
export function signBounce(
  bounce: Bounce,
  options: { readonly signer: Key; readonly address: Address; readonly now: number },
): string {
  const { signer, address, now } = options
  return signProof({ type: bounceType, to: toImUri(address), body: bodyOf(bounce), signer, now, lifetimeMs })
}

/** Whether the relay with this key said so, to this account. `now` is the relay's time as far as it is known. */
export function verifyBounce(
  bounce: Bounce & { readonly jws: string },
  options: { readonly key: Key; readonly address: Address; readonly now: number },
): boolean {
  const { key, address, now } = options
  const claimed = readProof(bounce.jws)
  if (claimed === undefined) return false
  const { id, code, retryable, to } = claimed.body
  const named = Array.isArray(to) ? to.join(' ') : undefined
  if (id !== bounce.id || code !== bounce.code || retryable !== bounce.retryable || named !== bounce.to?.join(' ')) return false
  return verifyProof(claimed, { type: bounceType, to: toImUri(address), key, now, lifetimeMs }).ok
}
