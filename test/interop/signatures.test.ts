import { type Random, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  type Jwk,
  backend as node,
  publicJwk,
  readCompactJws,
  readKey,
  signCompact,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import * as npmJose from 'jose'
import { describe, expect, test } from 'vitest'
import { rsaJwk } from './rsa.ts'

const backends = [node, noble] as const
const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const payload = utf8('one row, one test')
const secret = (length: number): Jwk => ({ kty: 'oct', k: node.base64url(random.bytes(length)) })
const rsa = rsaJwk(2048)

const rows: readonly (readonly [string, Jwk])[] = [
  ['ES384', generateKey('P-384', { random })],
  ['ES512', generateKey('P-521', { random })],
  ['ES256K', generateKey('secp256k1', { random })],
  ['HS256', secret(32)],
  ['HS384', secret(48)],
  ['HS512', secret(64)],
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa] as const),
]

function shown(jwk: Jwk): Jwk {
  return jwk.kty === 'oct' ? jwk : publicJwk(jwk)
}

function verify(text: string, jwk: Jwk, backend = node): unknown {
  const read = readCompactJws(text)
  return read.ok && verifyJws(read.jws, { keys: [importKey(jwk, { backend })] })
}

describe.each(rows)('%s', (alg, jwk) => {
  const able = backends.filter((backend) => backend.rsa !== undefined || jwk.kty !== 'RSA')

  test('is signed and verified by each backend for each other, and by npm jose', async () => {
    for (const signing of able) {
      const text = signCompact(payload, { key: importKey(jwk, { backend: signing }), alg })
      for (const verifying of able) expect(verify(text, shown(jwk), verifying)).toMatchObject({ ok: true, payload })
      if (alg !== 'ES256K') {
        const key = await npmJose.importJWK(shown(jwk) as npmJose.JWK, alg)
        expect((await npmJose.compactVerify(text, key)).protectedHeader.alg).toBe(alg)
      }
    }
  })

  test('what npm jose signs verifies', async () => {
    if (alg === 'ES256K') return
    const key = await npmJose.importJWK(jwk as npmJose.JWK, alg)
    const text = await new npmJose.CompactSign(payload).setProtectedHeader({ alg }).sign(key)
    for (const backend of able) expect(verify(text, shown(jwk), backend)).toMatchObject({ ok: true, payload })
  })

  test('no changed, shorter or longer signature verifies', () => {
    const text = signCompact(payload, { key: importKey(jwk), alg })
    const cut = text.lastIndexOf('.') + 1
    const signature = node.fromBase64url(text.slice(cut)) ?? new Uint8Array(0)
    const changed = [0, signature.length >> 1, signature.length - 1].map((at) => signature.with(at, (signature[at] ?? 0) ^ 1))
    for (const other of [...changed, signature.subarray(1), Uint8Array.of(...signature, 0), signature.map(() => 0)]) {
      for (const backend of able) {
        expect(verify(text.slice(0, cut) + node.base64url(other), shown(jwk), backend)).toEqual({
          ok: false,
          code: 'signature-invalid',
        })
      }
    }
  })

  test('a key that names another algorithm does not verify it', () => {
    const text = signCompact(payload, { key: importKey(jwk), alg })
    expect(verify(text, { ...shown(jwk), alg: alg === 'PS256' ? 'RS256' : 'PS256' })).toMatchObject({ ok: false })
  })
})

test('RSA keys are not available on noble, and it says so', () => {
  expect(readKey(publicJwk(rsa), { backend: noble })).toEqual({ ok: false, code: 'key-unavailable' })
  expect(() => importKey(rsa, { backend: noble })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNAVAILABLE' }))
})

test('RSA keys that are short, incomplete or put together of two are refused', () => {
  const { p: _, ...incomplete } = rsa
  const other = rsaJwk(2048)
  for (const jwk of [
    rsaJwk(1024),
    incomplete,
    { ...rsa, n: other.n ?? '' },
    { ...rsa, e: 'AQ' },
    { ...rsa, e: 'Ag' },
    { kty: 'RSA', n: rsa.n ?? '' },
  ]) {
    expect(readKey(jwk)).toEqual({ ok: false, code: 'key-malformed' })
  }
})

test('a MAC key is as long as its hash, and a public key is never one', () => {
  expect(readKey({ ...secret(31), alg: 'HS256' })).toEqual({ ok: false, code: 'key-malformed' })
  expect(() => signCompact(payload, { key: importKey(secret(32)), alg: 'HS384' })).toThrow(
    expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }),
  )
  // RFC 8725 §2.1: the public key's octets as the secret of a MAC.
  const { x = '', ...ed } = generateKey('Ed25519', { random })
  const forged = signCompact(payload, { key: importKey({ kty: 'oct', k: x }), alg: 'HS256' })
  expect(verify(forged, publicJwk({ ...ed, x }))).toEqual({ ok: false, code: 'key-unknown' })
})

test('an RSA key of more than two primes is not used (RFC 7518 §6.3.2.7)', () => {
  expect(readKey({ ...rsa, oth: [{ r: 'AQAB', d: 'AQAB', t: 'AQAB' }] })).toEqual({ ok: false, code: 'key-unsupported' })
})

test('private members never show in a public key', () => {
  expect(Object.keys(publicJwk(rsa)).sort()).toEqual(['e', 'kty', 'n'])
  expect(publicJwk({ ...rsa, oth: [{ r: 'AQAB', d: 'AQAB', t: 'AQAB' }] } as Jwk)).not.toHaveProperty('oth')
})
