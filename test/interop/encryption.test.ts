import { type Random, utf8 } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  generateKey,
  importKey,
  type Jwe,
  type Jwk,
  keyManagementAlgorithms,
  backend as node,
  openJwe,
  publicJwk,
  readJose,
  sealJwe,
  toFlattenedJwe,
  toGeneralJwe,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import * as npmJose from 'jose'
import { describe, expect, test } from 'vitest'
import { rsaJwk } from './rsa.ts'

const backends = [node, noble] as const
const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const plaintext = utf8('one row, one test')
const secret = (length: number): Jwk => ({ kty: 'oct', k: node.base64url(random.bytes(length)) })
const rsa = rsaJwk(2048)
const passwordIterations = 1000

const keyFor: { readonly [alg: string]: Jwk } = {
  'ECDH-ES': generateKey('P-521', { random }),
  'ECDH-ES+A128KW': generateKey('P-256', { random }),
  'ECDH-ES+A192KW': generateKey('P-384', { random }),
  'ECDH-ES+A256KW': generateKey('X25519', { random }),
  'RSA-OAEP': rsa,
  'RSA-OAEP-256': rsa,
}
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))

// Every key management algorithm with one content algorithm, and every content algorithm with one of key management.
const rows: (readonly [alg: string, enc: string, jwk: Jwk])[] = []
for (const { alg, kekBytes, mode } of keyManagementAlgorithms.values()) {
  if (mode !== 'direct') rows.push([alg, 'A256CBC-HS512', keyFor[alg] ?? secret(mode === 'password' ? 14 : (kekBytes ?? 0))])
}
for (const { enc, keyBytes } of contentAlgorithms.values()) {
  rows.push(['dir', enc, secret(keyBytes)], ['ECDH-ES', enc, generateKey('P-384', { random })])
}

function seal(backend: Backend, [alg, enc, jwk]: (typeof rows)[number]): Jwe {
  return sealJwe(plaintext, { recipients: [{ key: importKey(shown(jwk), { backend }), alg }], random, enc, passwordIterations })
}

function read(text: string): Jwe {
  const outcome = readJose(text)
  if (!outcome.ok || outcome.kind !== 'jwe') throw new Error('not a JWE')
  return outcome.jwe
}

describe.each(rows)('%s with %s', (...row) => {
  const [alg, enc, jwk] = row
  const able = backends.filter((backend) => backend.rsa !== undefined || jwk.kty !== 'RSA')
  // npm jose has neither the ChaCha20 ciphers nor passwords as keys of octets by default.
  const isForeign = !enc.endsWith('C20P') && !alg.startsWith('PBES2')

  test('is opened by each backend from each other, and by npm jose', async () => {
    for (const sealing of able) {
      const object = toFlattenedJwe(seal(sealing, row))
      for (const opening of able) {
        const opened = openJwe(read(JSON.stringify(object)), { keys: [importKey(jwk, { backend: opening })], algorithms: [alg] })
        expect(opened).toMatchObject({ ok: true, plaintext, committed: alg !== 'dir' && alg !== 'ECDH-ES' })
      }
      if (!isForeign) continue
      const key = await npmJose.importJWK(jwk as npmJose.JWK, alg === 'dir' ? enc : alg)
      const opened = await npmJose.flattenedDecrypt(object as unknown as npmJose.FlattenedJWE, key)
      expect(new Uint8Array(opened.plaintext)).toEqual(plaintext)
    }
  })

  test('what npm jose encrypts is opened', async () => {
    if (!isForeign) return
    const key = await npmJose.importJWK(shown(jwk) as npmJose.JWK, alg === 'dir' ? enc : alg)
    const text = await new npmJose.CompactEncrypt(plaintext).setProtectedHeader({ alg, enc }).encrypt(key)
    for (const backend of able) {
      expect(openJwe(read(text), { keys: [importKey(jwk, { backend })] })).toMatchObject({ ok: true, plaintext })
    }
  })

  test('a changed octet of key, IV, content, tag or header is refused, and looks like any other', () => {
    const jwe = seal(node, row)
    const flip = (octets: Uint8Array): Uint8Array => octets.with(0, (octets[0] ?? 0) ^ 1)
    const [recipient] = jwe.recipients
    if (recipient === undefined) throw new Error('no recipient')
    const changed: Jwe[] = [
      { ...jwe, iv: flip(jwe.iv) },
      { ...jwe, ciphertext: flip(jwe.ciphertext) },
      { ...jwe, tag: flip(jwe.tag) },
      { ...jwe, aad: utf8('more') },
      ...(recipient.encryptedKey.length === 0
        ? []
        : [{ ...jwe, recipients: [{ ...recipient, encryptedKey: flip(recipient.encryptedKey) }] }]),
    ]
    for (const backend of able) {
      for (const other of changed) {
        const opened = openJwe(other, { keys: [importKey(jwk, { backend })], algorithms: [alg] })
        expect(opened).toMatchObject({ ok: false, code: 'decryption-failed' })
      }
    }
  })
})

describe('passwords', () => {
  const alg = 'PBES2-HS256+A128KW'
  const password: Jwk = { kty: 'oct', k: node.base64url(utf8('correct horse')) }
  const made = (iterations: number): Jwe =>
    sealJwe(plaintext, { recipients: [{ key: importKey(password), alg }], random, passwordIterations: iterations })

  test('are taken only by who names their algorithm', () => {
    expect(openJwe(made(1000), { keys: [importKey(password)] })).toMatchObject({ ok: false, code: 'alg-not-allowed' })
    expect(openJwe(made(1000), { keys: [importKey(password)], algorithms: [alg] })).toMatchObject({ ok: true, plaintext })
  })

  test('cost no more iterations than the limit, all recipients together', () => {
    const jwe = made(1000)
    const withCount = (p2c: number): Jwe => ({
      ...jwe,
      recipients: jwe.recipients.map((recipient) => recipient && { ...recipient, header: { ...recipient.header, p2c } }),
    })
    const open = (one: Jwe): unknown => openJwe(one, { keys: [importKey(password)], algorithms: [alg] })
    expect(open(withCount(1_000_001))).toEqual({ ok: false, code: 'limit-exceeded' })
    for (const p2c of [999, 0, -1, 1000.5, Number.MAX_VALUE])
      expect(open(withCount(p2c))).toEqual({ ok: false, code: 'header-malformed' })
    const many = withCount(600_000)
    const wrong = importKey({ kty: 'oct', k: node.base64url(utf8('wrong')) })
    const twice = { ...many, recipients: [...many.recipients, ...many.recipients] }
    expect(openJwe(twice, { keys: [wrong], algorithms: [alg] })).toEqual({ ok: false, code: 'limit-exceeded' })
  })
})

test('one General JWE for GCM key wrap, RSA, agreement on three curves and AES key wrap', () => {
  const jwks = [
    secret(16),
    rsa,
    generateKey('P-384', { random }),
    generateKey('P-521', { random }),
    generateKey('X25519', { random }),
  ]
  const algs = ['A128GCMKW', 'RSA-OAEP-256', undefined, undefined, undefined]
  const recipients = jwks.map((jwk, i) => ({
    key: importKey(shown(jwk)),
    kid: `${i}`,
    ...(algs[i] === undefined ? {} : { alg: algs[i] }),
  }))
  const text = JSON.stringify(toGeneralJwe(sealJwe(plaintext, { recipients, random, enc: 'XC20P' })))
  for (const [i, jwk] of jwks.entries()) {
    expect(openJwe(read(text), { keys: [importKey(jwk, { kid: `${i}` })] })).toMatchObject({ ok: true, plaintext, recipient: i })
  }
})
