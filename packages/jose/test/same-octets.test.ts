import { utf8 } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  generateKey,
  importKey,
  type Jwk,
  type KeyKind,
  keyManagementAlgorithms,
  openJwe,
  publicJwk,
  readJose,
  sealJwe,
  signJws,
  toGeneralJwe,
  toGeneralJws,
} from '@parley/jose'
import { generateMlDsaKey, mlDsa } from '@parley/jose/ml-dsa'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

// The same randomness gives the same octets on both backends wherever the algorithm is deterministic. ECDSA, RSA-PSS and
// RSA-OAEP are not: OpenSSL draws for them itself.

const plaintext = utf8('the same octets')
const kinds = ['Ed25519', 'X25519', 'P-256', 'P-384', 'P-521', 'secp256k1', 'oct-256'] as const
const curves: { readonly [alg: string]: readonly KeyKind[] } = {
  'ECDH-ES': ['P-521', 'X25519'],
  'ECDH-ES+A128KW': ['P-256'],
  'ECDH-ES+A192KW': ['P-384'],
  'ECDH-ES+A256KW': ['X25519'],
}

function eachBackend<T>(make: (backend: Backend) => T): readonly T[] {
  return backends.map(make)
}

test.each(kinds)('a %s key is made of the same octets', (kind) => {
  const [first, second] = eachBackend((backend) => generateKey(kind, { random: seeded(1), backend }))
  expect(first).toEqual(second)
})

const shared = [...keyManagementAlgorithms.values()].filter(({ mode }) => mode !== 'encrypt')
const pairs = shared.flatMap(({ alg }) => [...contentAlgorithms.keys()].map((enc) => [alg, enc] as const))

test.each(pairs)('%s with %s: one text from both, opened by each', (alg, enc) => {
  const random = seeded(2)
  const row = keyManagementAlgorithms.get(alg)
  const bytes = row?.kekBytes ?? contentAlgorithms.get(enc)?.keyBytes ?? 0
  const jwks: readonly Jwk[] = curves[alg]?.map((kind) => generateKey(kind, { random })) ?? [
    { kty: 'oct', k: Buffer.from(random.bytes(bytes)).toString('base64url') },
  ]
  for (const jwk of jwks) {
    const [first, second] = eachBackend((backend) => {
      const recipients = [{ key: importKey(jwk.kty === 'oct' ? jwk : publicJwk(jwk), { backend }), alg }]
      const options = { random: seeded(3), enc, aad: utf8('beside it'), passwordIterations: 1000 }
      return JSON.stringify(toGeneralJwe(sealJwe(plaintext, { recipients, ...options })))
    })
    expect(first).toBe(second)
    const read = mustRead(readJose(first ?? ''))
    for (const backend of backends) {
      const opened = read.kind === 'jwe' && openJwe(read.jwe, { keys: [importKey(jwk, { backend })], algorithms: [alg] })
      expect(opened).toMatchObject({ ok: true, plaintext })
    }
  }
})

describe('signatures', () => {
  const random = seeded(4)
  const oct = { kty: 'oct', k: Buffer.from(random.bytes(64)).toString('base64url') }
  const rows: readonly (readonly [string, Jwk])[] = [
    ['EdDSA', generateKey('Ed25519', { random })],
    ['Ed25519', generateKey('Ed25519', { random })],
    ['HS256', oct],
    ['HS384', oct],
    ['HS512', oct],
    ['ML-DSA-44', generateMlDsaKey('ML-DSA-44', { random })],
    ['ML-DSA-65', generateMlDsaKey('ML-DSA-65', { random })],
    ['ML-DSA-87', generateMlDsaKey('ML-DSA-87', { random })],
  ]

  test.each(rows)('%s: one text from both', (alg, jwk) => {
    const [first, second] = eachBackend((backend) => {
      const key = importKey(jwk, { backend, extensions: [mlDsa] })
      return JSON.stringify(toGeneralJws(signJws(plaintext, { signers: [{ key, alg, protected: { typ: 'JWM' } }] })))
    })
    expect(first).toBe(second)
  })
})
