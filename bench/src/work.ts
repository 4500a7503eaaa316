/**
 * The work that every contestant does: sign a payload with Ed25519 (compact JWS), encrypt that for n recipients with
 * ECDH-ES+A256KW and A256GCM; open it as the recipient in the middle and verify. Keys are prepared beforehand.
 * @module
 */
import type { Random } from '@parley/core'
import { generateKey, type Jwk } from '@parley/jose'
import { systemRandom } from '@parley/platform/system'

export type Curve = 'X25519' | 'P-256'

export type Work = {
  readonly curve: Curve
  readonly payload: Uint8Array
  readonly signer: Jwk
  /** Private keys; each bears its thumbprint as `kid`. */
  readonly recipients: readonly Jwk[]
  /** The position of the one who opens. */
  readonly reader: number
}

/** Prepared: each call does the whole work once. `open` opens one message that `seal` made before. */
export type Prepared = {
  readonly seal: () => unknown
  /** The payload. */
  readonly open: () => Uint8Array | Promise<Uint8Array>
  /** Octets of the sealed message for all recipients; `undefined` where nothing is put together. */
  readonly bytes?: number
}

export type Contestant = {
  readonly name: string
  /** `undefined` when it cannot do this work. */
  readonly prepare: (work: Work) => Promise<Prepared | undefined>
}

/** The randomness of this process, as agents have it. */
export const random: Random = systemRandom

/** Fresh keys and a payload of letters, so that every contestant can carry it. */
export function makeWork(curve: Curve, options: { readonly recipients: number; readonly payloadBytes: number }): Work {
  const letters = random.bytes(options.payloadBytes).map((octet) => 97 + (octet % 26))
  const recipients = Array.from({ length: options.recipients }, () => generateKey(curve, { random }))
  return {
    curve,
    payload: letters,
    signer: generateKey('Ed25519', { random }),
    recipients,
    reader: Math.floor(options.recipients / 2),
  }
}
