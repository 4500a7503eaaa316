import { type JsonObject, utf8 } from '@parley/core'
import {
  importPassword,
  type Jwk,
  backend as node,
  openJwe,
  openJwk,
  publicJwk,
  readJose,
  readJwkSet,
  readKey,
  readThumbprintUri,
  thumbprint,
  thumbprintUri,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

type Fixture = {
  readonly 'A.1': JsonObject
  readonly 'A.2': JsonObject
  readonly 'A.3': JsonObject
  readonly B: Jwk & { readonly x5c: readonly string[] }
  readonly C: { readonly password: string; readonly jwk: Jwk; readonly jwe: string }
}
const rfc7517 = fixture<Fixture>('rfc7517.json')
const rfc7638 = fixture<{ readonly jwk: Jwk; readonly thumbprint: string }>('rfc7638.json')

describe.each([
  ['A.1', ['1', '2011-04-29'], false],
  ['A.2', ['1', '2011-04-29'], true],
  ['A.3', [undefined, 'HMAC key used in JWS A.1 example'], true],
] as const)('RFC 7517 %s', (name, kids, secret) => {
  test('is read, all of it on Node', () => {
    const read = readJwkSet(rfc7517[name], { backend: node })
    expect(read).toMatchObject({ ok: true, ignored: [], keys: kids.map((kid) => ({ kid, secret })) })
  })

  test('is read on noble but for RSA', () => {
    const read = readJwkSet(rfc7517[name], { backend: noble })
    const ignored = name === 'A.3' ? [] : [{ position: 1, code: 'key-unavailable' }]
    expect(read).toMatchObject({ ok: true, ignored, keys: name === 'A.3' ? kids.map((kid) => ({ kid })) : [{ kid: '1' }] })
  })
})

test('RFC 7517 B: a key with a certificate chain is a key, and the chain is left to the application', () => {
  expect(readKey(rfc7517.B)).toMatchObject({ ok: true, key: { kid: '1b94c', use: 'sig', kty: 'RSA' } })
  expect(publicJwk(rfc7517.B)).toEqual(rfc7517.B)
})

describe('RFC 7517 C, a private key under a password', () => {
  const { password, jwk, jwe } = rfc7517.C
  const algorithms = ['PBES2-HS256+A128KW']
  const read = readJose(jwe)
  if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')

  for (const backend of [node, noble]) {
    const keys = [importPassword(password, { alg: 'PBES2-HS256+A128KW', backend })]

    test(`is decrypted with the ${backend.name} backend`, () => {
      expect(openJwe(read.jwe, { keys, algorithms })).toMatchObject({ ok: true, plaintext: utf8(JSON.stringify(jwk)) })
    })

    test(`is a key with the ${backend.name} backend, if that has RSA`, () => {
      const opened = openJwk(read.jwe, { keys, algorithms, import: { backend } })
      expect(opened).toMatchObject(
        backend.rsa === undefined
          ? { ok: false, code: 'key-unavailable' }
          : { ok: true, jwk, key: { kid: 'juliet@capulet.lit', use: 'enc', secret: true } },
      )
    })
  }
})

test('RFC 7638 §3.1: the thumbprint, and its URI (RFC 9278)', () => {
  expect(thumbprint(rfc7638.jwk)).toBe(rfc7638.thumbprint)
  expect(thumbprintUri(rfc7638.jwk)).toBe(`urn:ietf:params:oauth:jwk-thumbprint:sha-256:${rfc7638.thumbprint}`)
  expect(readThumbprintUri(thumbprintUri(rfc7638.jwk))).toBe(rfc7638.thumbprint)
})
