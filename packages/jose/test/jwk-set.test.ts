import { utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  type Jwk,
  joseLimits,
  publicJwk,
  readJwkSet,
  readThumbprintUri,
  thumbprint,
  thumbprintUri,
} from '@parley/jose'
import { generateMlDsaKey, mlDsa } from '@parley/jose/ml-dsa'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

const random = seeded(7517)
const signing = generateKey('Ed25519', { random })
const agreeing = generateKey('X25519', { random })

describe.each(backends.map((backend) => [backend.name, backend] as const))('JWK Sets with the %s backend', (_, backend) => {
  test('keys come out in their order, with all that the set says of them', () => {
    const set = { keys: [publicJwk(signing), { ...publicJwk(agreeing), use: 'enc', alg: 'ECDH-ES' }], note: 'passed over' }
    for (const input of [set, JSON.stringify(set), utf8(JSON.stringify(set))]) {
      const read = mustRead(readJwkSet(input, { backend }))
      expect(read.keys.map(({ kid }) => kid)).toEqual([signing.kid, agreeing.kid])
      expect(read.keys[1]).toMatchObject({ crv: 'X25519', use: 'enc', alg: 'ECDH-ES', secret: false })
      expect(read.ignored).toEqual([])
    }
  })

  test('what is not understood or not sound is ignored and named; two keys may share a kid', () => {
    const twin = { ...publicJwk(generateKey('P-256', { random })), kid: signing.kid }
    const keys = [
      { kty: 'XYZ', kid: 'unknown type' },
      publicJwk(signing),
      { kty: 'OKP', crv: 'X448', x: 'AAAA' },
      { ...publicJwk(twin as Jwk), y: publicJwk(twin as Jwk).x },
      'no key',
      { kty: 'OKP', crv: 'Ed25519' },
      { ...publicJwk(signing), key_ops: ['verify', 'verify'] },
      generateMlDsaKey('ML-DSA-44', { random }),
      twin,
    ]
    const read = mustRead(readJwkSet({ keys } as Parameters<typeof readJwkSet>[0], { backend }))
    expect(read.keys.map(({ kid, crv }) => [kid, crv])).toEqual([
      [signing.kid, 'Ed25519'],
      [signing.kid, 'P-256'],
    ])
    expect(read.ignored).toEqual([
      { position: 0, code: 'key-unsupported' },
      { position: 2, code: 'key-unsupported' },
      { position: 3, code: 'key-malformed' },
      { position: 4, code: 'key-malformed' },
      { position: 5, code: 'key-malformed' },
      { position: 6, code: 'key-malformed' },
      { position: 7, code: 'key-unavailable' },
    ])
    expect(mustRead(readJwkSet({ keys: keys.slice(7) } as never, { backend, extensions: [mlDsa] })).keys).toHaveLength(2)
  })
})

test.each<[string, string]>([
  ['no object', '[]'],
  ['no keys', '{}'],
  ['keys that are no array', '{"keys":{}}'],
  ['keys twice', '{"keys":[],"keys":[]}'],
  ['a BOM', '\ufeff{"keys":[]}'],
  ['something behind', '{"keys":[]}x'],
  ['too deep a member', `{"keys":[],"x":${'['.repeat(40)}${']'.repeat(40)}}`],
])('refuses a set with %s', (_, text) => {
  expect(readJwkSet(text)).toEqual({ ok: false, code: 'jwk-set-malformed' })
  expect(readJwkSet(utf8(text))).toEqual({ ok: false, code: 'jwk-set-malformed' })
})

test('count and size are bounded', () => {
  const keys = Array.from({ length: 257 }, () => publicJwk(signing))
  expect(readJwkSet({ keys } as never)).toEqual({ ok: false, code: 'limit-exceeded' })
  expect(mustRead(readJwkSet({ keys: keys.slice(1) } as never)).keys).toHaveLength(256)
  expect(readJwkSet(`{"keys":[]}${' '.repeat(joseLimits.keysBytesMax)}`)).toEqual({ ok: false, code: 'limit-exceeded' })
})

describe('thumbprint URIs (RFC 9278)', () => {
  test('name a key and are read back', () => {
    const uri = thumbprintUri(signing)
    expect(uri).toBe(`urn:ietf:params:oauth:jwk-thumbprint:sha-256:${thumbprint(signing)}`)
    expect(readThumbprintUri(uri)).toBe(importKey(signing).thumbprint)
  })

  test.each([
    '',
    'urn:ietf:params:oauth:jwk-thumbprint:sha-256:',
    `urn:ietf:params:oauth:jwk-thumbprint:sha-512:${signing.kid}`,
    `urn:ietf:params:oauth:jwk-thumbprint:sha-256:${signing.kid}=`,
    `urn:ietf:params:oauth:jwk-thumbprint:sha-256:${signing.kid?.slice(1)}`,
    `${signing.kid}`,
  ])('%s is none', (uri) => {
    expect(readThumbprintUri(uri)).toBeUndefined()
  })
})
