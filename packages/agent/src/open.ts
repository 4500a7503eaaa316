/**
 * Opening a stanza: the pure steps of design §3.5 over what the agent knows. A lock is an answer, not a wait: it names what
 * is missing and whose it is. Nothing of the content is used before the signature holds and its signer is the sender's.
 * @module
 */
import { type Address, type DeviceId, limits } from '@parley/core'
import { decryptEnvelope, readEnvelope, readSigned, verifySigned } from '@parley/jwm'
import { checkReader, checkUnder, sessionKey } from '@parley/session'
import { type Content, readContent } from './content.ts'
import type { Keyring } from './keyring.ts'
import type { LockCause } from './rows.ts'
import type { Self } from './self.ts'
import type { State, Tx } from './state.ts'

/** A stanza as it came: who the relay says it is from, and this device's octets of it. */
export type Sealed = {
  readonly from: Address
  readonly device: DeviceId
  readonly entry: Uint8Array
  readonly body: Uint8Array
}

export type Opening =
  | {
      readonly outcome: 'opened'
      readonly content: Content
      /** The device that signed. */
      readonly device: DeviceId
      readonly payloadHash: string
      /** By a device that was removed as compromised: the person decides whether it counts. */
      readonly compromised?: true
      /** The session it was under, if any: (owner, SID). */
      readonly under?: { readonly owner: Address; readonly sid: string }
    }
  | {
      readonly outcome: 'locked'
      readonly cause: LockCause
      /** Whose key or card is missing. */
      readonly owner: Address
      readonly sid?: string
      /** What the person must be told besides. */
      readonly code?: 'identity-substituted'
    }
  | { readonly outcome: 'refused'; readonly code: string }

export type OpenParts = { readonly self: Self; readonly keyring: Keyring; readonly state: Pick<State | Tx, 'get'> }

/** Opens `sealed`, or says what it waits for, or why it is refused. */
export function openStanza(sealed: Sealed, parts: OpenParts): Opening {
  const { self, keyring, state } = parts
  const read = readEnvelope(sealed.entry, sealed.body)
  if (!read.ok) return refused(read.code)
  const { envelope } = read
  const isSession = envelope.alg === 'A256KW'
  const held = isSession ? state.get('held', sessionKey(sealed.from, envelope.kid)) : undefined
  const jwk = isSession ? held?.smk.key : state.get('key', envelope.kid)?.jwk
  if (jwk === undefined) {
    // A key that is gone cannot be asked for again; a session key can.
    return isSession
      ? { outcome: 'locked', cause: 'key-unknown', owner: sealed.from, sid: envelope.kid }
      : refused('agreement-key-unknown')
  }
  const decrypted = decryptEnvelope(envelope, keyring.key(jwk))
  if (!decrypted.ok) {
    // A candidate may be the wrong key for this SID; the message goes on waiting for the right one.
    if (held?.status === 'candidate') return { outcome: 'locked', cause: 'key-unknown', owner: sealed.from, sid: envelope.kid }
    return refused(decrypted.code)
  }
  const form = readSigned(decrypted.message)
  if (!form.ok) return refused(form.code)
  const pin = state.get('pin', sealed.from)
  if (pin === undefined) return { outcome: 'locked', cause: 'card-unknown', owner: sealed.from }
  if (pin.held !== undefined) return { outcome: 'locked', cause: 'trust-held', owner: sealed.from }
  const signer = form.signed.kid === undefined ? undefined : keyring.device(pin, form.signed.kid)
  if (signer === undefined) return { outcome: 'locked', cause: 'card-outdated', owner: sealed.from }
  const verified = verifySigned(form.signed, keyring.key(signer.device.signingKey))
  if (!verified.ok) return refused(verified.code)
  const content = readContent(verified.attributes)
  if (!content.ok) return refused(content.code)
  const { removed } = signer.device
  // A retired device is heard on what it sent before; it names that time itself, so age alone ends it (design §2).
  const compromised = signer.status === 'compromised'
  if (!compromised && removed !== undefined && content.content.sent > removed * 1000 + limits.clockToleranceMs)
    return refused('signer-removed')
  const problem = boundTo(content.content, { sealed, device: signer.device.id, envelope, held: held?.smk, self })
  if (problem === 'identity-substituted') return { outcome: 'locked', cause: 'trust-held', owner: sealed.from, code: problem }
  if (problem !== undefined) return refused(problem)
  return {
    outcome: 'opened',
    content: content.content,
    device: signer.device.id,
    payloadHash: verified.payloadHash,
    ...(compromised ? { compromised } : {}),
    ...(isSession ? { under: { owner: sealed.from, sid: envelope.kid } } : {}),
  }
}

type Bound = {
  readonly sealed: Sealed
  readonly device: DeviceId
  readonly envelope: { readonly kid: string }
  readonly held: Parameters<typeof checkUnder>[0] | undefined
  readonly self: Self
}

// Sender, reader and key must be those that the signed content names: otherwise a message could be sealed anew for others.
function boundTo(content: Content, { sealed, device, envelope, held, self }: Bound): string | undefined {
  if (content.from !== sealed.from) return 'sender-mismatch'
  const isCopy = content.from === self.address
  if (!isCopy && !content.to.includes(self.address)) return 'not-addressed'
  const account = self.account()
  if (account === undefined) return 'not-addressed'
  const reader = { address: self.address, account }
  if (held !== undefined) {
    if (content.numbers.sid !== envelope.kid) return 'session-mismatch'
    const code = checkUnder(held, { from: content.from, device, sent: content.sent, reader })
    return code === 'session-identity-substituted' ? 'identity-substituted' : code
  }
  const audience = content.numbers.audience
  if (audience === undefined) return 'audience-missing'
  const code = checkReader({ audience }, reader)
  return code === 'session-identity-substituted' ? 'identity-substituted' : code
}

function refused(code: string): Opening {
  return { outcome: 'refused', code }
}
