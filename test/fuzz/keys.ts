/**
 * The keys of the fuzzer: one per kind, made from a seed, prepared once for each backend. Beside each true key stands an
 * impostor, another key under the same `kid`.
 * @module
 */
import { readFileSync } from 'node:fs'
import { createSimRandom } from '@parley/core/sim'
import { type Backend, generateKey, importKey, type Jwk, type Key, type KeyKind, backend as node, publicJwk } from '@parley/jose'
import { generateMlDsaKey, mlDsa } from '@parley/jose/ml-dsa'

/** Never exported from anywhere else: RSA keys cannot be made from a seed. */
const rsa = JSON.parse(readFileSync(new URL('rsa-for-testing.json', import.meta.url), 'utf8')) as Jwk

const pairs: readonly KeyKind[] = ['Ed25519', 'P-256', 'P-384', 'P-521', 'secp256k1']
const agreements: readonly KeyKind[] = ['X25519', 'P-256', 'P-384', 'P-521']
const lattices = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const
const secretBytes: readonly number[] = [16, 24, 32, 48, 64]

export type Ring = {
  readonly backend: Backend
  /** The private and symmetric keys, by `kid`. */
  readonly keys: ReadonlyMap<string, Key>
  /** What a reader holds: everything to decrypt with, and everything to verify with. */
  readonly open: readonly Key[]
  readonly verify: readonly Key[]
  /** The same names, other keys. */
  readonly impostors: { readonly open: readonly Key[]; readonly verify: readonly Key[] }
  /** The private and symmetric JWKs, for who wants to make something else of them. */
  readonly jwks: ReadonlyMap<string, Jwk>
}

/** The keys of one backend; the same seed gives the same keys on each. */
export function makeRing(seed: number | string, backend: Backend): Ring {
  const mine = jwksOf(`${seed}/keys`)
  // RSA keys are not made here, so that the impostor of one is a key of another kind.
  const theirs = jwksOf(`${seed}/impostors`).map((jwk) => (jwk.kty === 'RSA' ? { ...extra(seed), kid: jwk.kid ?? '' } : jwk))
  const has = (jwk: Jwk): boolean => jwk.kty !== 'RSA' || backend.rsa !== undefined
  const prepare = (jwk: Jwk): Key => importKey(jwk, { backend, extensions: [mlDsa] })
  const held = mine.filter(has).map((jwk) => [jwk.kid ?? '', prepare(jwk)] as const)
  return {
    backend,
    keys: new Map(held),
    open: mine.filter((jwk) => has(jwk) && !jwk.kid?.startsWith('sig-')).map(prepare),
    verify: mine.filter((jwk) => has(jwk) && !jwk.kid?.startsWith('enc-')).map((jwk) => prepare(seen(jwk))),
    impostors: {
      open: theirs.filter((jwk) => !jwk.kid?.startsWith('sig-')).map(prepare),
      verify: theirs.filter((jwk) => !jwk.kid?.startsWith('enc-')).map((jwk) => prepare(seen(jwk))),
    },
    jwks: new Map(mine.map((jwk) => [jwk.kid ?? '', jwk])),
  }
}

function jwksOf(seed: string): readonly Jwk[] {
  const random = createSimRandom(seed)
  const named = (jwk: Jwk, kid: string): Jwk => ({ ...jwk, kid })
  return [
    ...pairs.map((kind) => named(generateKey(kind, { random, backend: node }), `sig-${kind}`)),
    ...lattices.map((alg) => named(generateMlDsaKey(alg, { random }), `sig-${alg}`)),
    ...agreements.map((kind) => named(generateKey(kind, { random, backend: node }), `enc-${kind}`)),
    ...secretBytes.map((bytes) => named(secret(random.bytes(bytes)), `enc-oct-${bytes}`)),
    named(secret(random.bytes(18)), 'enc-password'),
    named(secret(random.bytes(64)), 'sig-oct'),
    named(rsa, 'rsa'),
  ]
}

function extra(seed: number | string): Jwk {
  return generateKey('P-256', { random: createSimRandom(`${seed}/extra`), backend: node })
}

const secret = (octets: Uint8Array): Jwk => ({ kty: 'oct', k: node.base64url(octets) })
const seen = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))
