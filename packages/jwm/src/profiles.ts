/**
 * Named safe configurations beside free composition: each fixes algorithms and order of layers, what opening demands,
 * and with that what is proved. The same name is given to `makeJwm` and to `openJwm`.
 * @module
 */
import type { JwmPolicy } from './policy.ts'

/** The names of the profiles. */
export type JwmProfileName = 'integrity' | 'confidentiality-integrity' | 'non-repudiation' | 'anonymous'

const signatures: readonly string[] = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']
const macs: readonly string[] = ['HS256', 'HS384', 'HS512']
const enc: readonly string[] = ['A256GCM']

/** What each profile demands, of a message that is made as of one that is opened. */
export const jwmProfiles: { readonly [Name in JwmProfileName]: JwmPolicy } = {
  /** Signed or MACed, readable by all: the content is as somebody with one of the known keys made it. */
  integrity: { require: 'all', origin: 'any', orders: ['sign'], algorithms: { jws: [...signatures, ...macs] } },
  /**
   * Encrypted, and made by somebody who is known to the reader: through a signature or MAC inside, or through the shared
   * key it is under. With a MAC or a shared key it convinces the reader and nobody else.
   */
  'confidentiality-integrity': {
    require: 'all',
    origin: 'any',
    orders: ['encrypt', 'sign-encrypt'],
    requireEncryption: true,
    requireCommitment: true,
    algorithms: { jws: [...signatures, ...macs], jwe: ['ECDH-ES+A256KW', 'A256KW'], enc },
  },
  /** Signed over the content itself with a private key, then encrypted or not: a third party can check who made it. */
  'non-repudiation': {
    require: 'all',
    origin: 'signature',
    orders: ['sign', 'sign-encrypt'],
    requireCommitment: true,
    algorithms: { jws: signatures, jwe: ['ECDH-ES+A256KW', 'A256KW'], enc },
  },
  /** Encrypted to public keys, and nothing in it says by whom: no signature, no shared key, no `from`. */
  anonymous: {
    origin: 'none',
    orders: ['encrypt'],
    requireEncryption: true,
    requireCommitment: true,
    algorithms: { jwe: ['ECDH-ES+A256KW'], enc },
  },
}

/** The demands of the profile with this name; there is no default for an unknown one. */
export function profileNamed(name: JwmProfileName): JwmPolicy {
  if (!Object.hasOwn(jwmProfiles, name)) throw new RangeError('profile must be one of the named ones')
  return jwmProfiles[name]
}
