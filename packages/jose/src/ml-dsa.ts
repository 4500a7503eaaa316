/**
 * ML-DSA-44, ML-DSA-65 and ML-DSA-87 (FIPS 204) as JOSE has them (RFC 9964): `importKey(jwk, { extensions: [mlDsa] })`.
 * In an entry of its own, so that only who imports it carries it. The private key is the seed of 32 octets. Signing is
 * the deterministic variant of FIPS 204 §3.4, which RFC 9964 leaves open, with an empty context: no randomness is drawn.
 * @module
 */
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js'
import { base64url, type Random } from '@parley/core'
import type { SignatureScheme } from './backend/backend.ts'
import type { KeyExtension } from './import-key.ts'
import { type Jwk, thumbprint } from './jwk.ts'

/** The three parameter sets of FIPS 204, by their names in JOSE. */
export type MlDsaAlgorithm = 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87'

type Parameters = typeof ml_dsa44

const seedBytes = 32

const parameters: { readonly [alg in MlDsaAlgorithm]: Parameters } = {
  'ML-DSA-44': ml_dsa44,
  'ML-DSA-65': ml_dsa65,
  'ML-DSA-87': ml_dsa87,
}

function schemeOf(dsa: Parameters): SignatureScheme {
  return {
    importPrivate: (seed) => dsa.keygen(seed).secretKey,
    // FIPS 204 §7.2: every text of the right length encodes a public key.
    importPublic: (publicKey) => (publicKey.length === dsa.lengths.publicKey ? publicKey : undefined),
    publicOf: (seed) => (seed.length === seedBytes ? dsa.keygen(seed).publicKey : undefined),
    // Every key here was made by importPrivate or importPublic above.
    sign: (data, key) => dsa.sign(data, key as Uint8Array, { extraEntropy: false }),
    verify: (signature, { data, key }) => dsa.verify(signature, data, key as Uint8Array),
  }
}

/** Lets `importKey` and `readKey` take AKP keys of the three ML-DSA algorithms; the keys then sign and verify by themselves. */
export const mlDsa: KeyExtension = {
  algorithms: Object.fromEntries(Object.entries(parameters).map(([alg, dsa]) => [alg, schemeOf(dsa)])),
}

/** Makes a private key out of `random`, with its thumbprint as `kid`. */
export function generateMlDsaKey(alg: MlDsaAlgorithm, options: { readonly random: Random }): Jwk {
  const seed = options.random.bytes(seedBytes)
  const jwk: Jwk = { kty: 'AKP', alg, pub: base64url(parameters[alg].keygen(seed).publicKey), priv: base64url(seed) }
  return { ...jwk, kid: thumbprint(jwk) }
}
