import { base64url, type JsonObject, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  importPassword,
  type Jwe,
  type Jwk,
  opaqueKey,
  openJwe,
  openJwk,
  openJwkAsync,
  openJwkSet,
  openJwkSetAsync,
  publicJwk,
  readJose,
  sealJwe,
  sealJwk,
  sealJwkSet,
  signJws,
  toCompactJwe,
  toGeneralJwe,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

const random = seeded(17)
const kek: Jwk = { ...generateKey('oct-256', { random }), kid: 'kek' }
const reader = generateKey('X25519', { random })

function reread(input: string | JsonObject): Jwe {
  const read = mustRead(readJose(input))
  if (read.kind !== 'jwe') throw new Error('not a JWE')
  return read.jwe
}

describe.each(backends.map((backend) => [backend.name, backend] as const))('encrypted keys with the %s backend', (_, backend) => {
  const options = { backend }
  const recipients = [{ key: importKey(kek, options) }, { key: importKey(publicJwk(reader), options) }]
  const keys = [importKey(reader, options)]

  test.each(['Ed25519', 'P-384', 'oct-256'] as const)('a %s key comes out as it went in, for each recipient', (kind) => {
    const jwk: Jwk = { ...generateKey(kind, { random }), kid: 'mine' }
    const jwe = reread(toGeneralJwe(sealJwk(jwk, { recipients, random })))
    expect(jwe.protected.header).toMatchObject({ cty: 'jwk+json' })
    for (const key of [importKey(kek, options), importKey(reader, options)]) {
      const opened = openJwk(jwe, { keys: [key], import: options })
      expect(opened).toMatchObject({ ok: true, jwk, key: { kid: 'mine', secret: true }, opened: { key, committed: true } })
    }
    expect(openJwk(jwe, { keys: [importKey(generateKey('X25519', { random }), options)] })).toEqual({
      ok: false,
      code: 'key-unknown',
    })
  })

  test('under a password, in the compact form', () => {
    const jwk = generateKey('Ed25519', { random })
    const password = importPassword('Thus from my lips, by yours, my sin is purged.', options)
    const sealed = sealJwk(jwk, { recipients: [{ key: password }], random, allProtected: true, passwordIterations: 1000 })
    const jwe = reread(toCompactJwe(sealed))
    const algorithms = ['PBES2-HS512+A256KW']
    expect(openJwk(jwe, { keys: [password], algorithms })).toMatchObject({ ok: true, jwk })
    // Whoever does not name the algorithm spends nothing on it.
    expect(openJwk(jwe, { keys: [password] })).toEqual({ ok: false, code: 'alg-not-allowed' })
    const wrong = importPassword(utf8('Thus from my lips'), options)
    expect(openJwk(jwe, { keys: [wrong], algorithms })).toEqual({ ok: false, code: 'decryption-failed' })
    const bomb = { ...jwe.protected.header, p2c: 2_000_000_000 }
    const forged = { ...jwe, protected: { text: base64url(utf8(JSON.stringify(bomb))), header: bomb } }
    expect(openJwk(forged, { keys: [password], algorithms })).toEqual({ ok: false, code: 'limit-exceeded' })
  })

  test('a password is a key for nothing else', () => {
    const password = importPassword('sixteen octets!!', options)
    expect(() => signJws(utf8('x'), { signers: [{ key: password, alg: 'HS256' }] })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }),
    )
    expect(() => sealJwe(utf8('x'), { recipients: [{ key: password, alg: 'A128KW' }], random })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }),
    )
    expect(() => importPassword('', options)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_MALFORMED' }))
  })

  test('the unwrapped key does what its use, key_ops and alg say, and no more', () => {
    const unwrap = (jwk: Jwk) => mustRead(openJwk(sealJwk(jwk, { recipients, random }), { keys, import: options })).key
    const unfit = expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' })
    const p256 = generateKey('P-256', { random })
    const message = sealJwe(utf8('x'), { recipients: [{ key: importKey(publicJwk(p256), options) }], random })
    for (const limited of [{ use: 'sig' }, { key_ops: ['sign'] }, { alg: 'ES256' }]) {
      const signer = unwrap({ ...p256, ...limited })
      expect(signJws(utf8('x'), { signers: [{ key: signer }] }).signatures).toHaveLength(1)
      expect(openJwe(message, { keys: [signer] })).toEqual({ ok: false, code: 'key-unfit' })
    }
    for (const limited of [{ use: 'enc' }, { key_ops: ['deriveKey'] }, { alg: 'ECDH-ES+A256KW' }]) {
      const agreeing = unwrap({ ...p256, ...limited })
      expect(openJwe(message, { keys: [agreeing] })).toMatchObject({ ok: true })
      expect(() => signJws(utf8('x'), { signers: [{ key: agreeing }] })).toThrow(unfit)
    }
    const secret = generateKey('oct-256', { random })
    const wrapOnly = unwrap({ ...secret, key_ops: ['wrapKey'] })
    const wrapped = sealJwe(utf8('x'), { recipients: [{ key: wrapOnly }], random })
    expect(openJwe(wrapped, { keys: [wrapOnly] })).toMatchObject({ ok: false })
    expect(openJwe(wrapped, { keys: [unwrap(secret)] })).toMatchObject({ ok: true })
    expect(() => sealJwe(utf8('x'), { recipients: [{ key: wrapOnly, alg: 'dir' }], random })).toThrow(unfit)
    expect(() => signJws(utf8('x'), { signers: [{ key: wrapOnly, alg: 'HS256' }] })).toThrow(unfit)
  })

  test('attributes are shown when asked for, bound to the key, and never another key’s', () => {
    const jwk: Jwk = { ...generateKey('oct-256', { random }), kid: 'sid', alg: 'A256KW', key_ops: ['unwrapKey'] }
    const jwe = sealJwk(jwk, { recipients, random, shown: ['kid', 'alg', 'use', 'key_ops'] })
    expect(jwe.protected.header['wrapped']).toEqual({ kid: 'sid', alg: 'A256KW', key_ops: ['unwrapKey'] })
    expect(openJwk(jwe, { keys, import: options })).toMatchObject({ ok: true, jwk })
    const changed = { ...jwe.protected.header, wrapped: { kid: 'another' } }
    const forged = { ...jwe, protected: { text: base64url(utf8(JSON.stringify(changed))), header: changed } }
    expect(openJwk(forged, { keys })).toEqual({ ok: false, code: 'decryption-failed' })
    for (const wrapped of [{ kid: 'another' }, { use: 'sig' }, { key_ops: ['wrapKey'] }, 'sid']) {
      const lying = sealJwe(utf8(JSON.stringify(jwk)), { recipients, random, protected: { cty: 'jwk+json', wrapped } })
      expect(openJwk(lying, { keys })).toEqual({ ok: false, code: 'content-mismatch' })
    }
  })

  test('content that is no key, another type or not called a key is refused', () => {
    const seal = (text: string, cty?: string): Jwe =>
      sealJwe(utf8(text), { recipients, random, protected: cty === undefined ? {} : { cty } })
    const jwk = JSON.stringify(kek)
    for (const cty of ['JWK+JSON', 'application/jwk+json']) expect(openJwk(seal(jwk, cty), { keys })).toMatchObject({ ok: true })
    for (const cty of [undefined, 'jwk-set+json', 'JWM', 'application/application/jwk+json'])
      expect(openJwk(seal(jwk, cty), { keys })).toEqual({ ok: false, code: 'content-mismatch' })
    const unprotected = { ...seal(jwk), unprotected: { cty: 'jwk+json' } }
    expect(openJwk(unprotected, { keys })).toEqual({ ok: false, code: 'content-mismatch' })
    for (const text of ['', '[]', '{', '{"kty":"oct","k":"AA","k":"AA"}', '{"kty":"oct"}', '{"kty":7}'])
      expect(openJwk(seal(text, 'jwk+json'), { keys })).toEqual({ ok: false, code: 'key-malformed' })
    expect(openJwk(seal('{"kty":"XYZ"}', 'jwk+json'), { keys })).toEqual({ ok: false, code: 'key-unsupported' })
    expect(openJwk(seal(jwk, 'jwk+json'), { keys, kty: ['OKP', 'EC'] })).toEqual({ ok: false, code: 'kty-not-allowed' })
    expect(openJwk(seal(jwk, 'jwk+json'), { keys, kty: ['oct'] })).toMatchObject({ ok: true })
    expect(openJwk(seal(`${jwk}${' '.repeat(70_000)}`, 'jwk+json'), { keys })).toEqual({ ok: false, code: 'limit-exceeded' })
  })

  test('keys held elsewhere unwrap too, when they answer', async () => {
    const { agreements } = backend
    const agreement = agreements['X25519']
    const mine = agreement?.importPrivate(backend.fromBase64url(reader.d ?? '') ?? new Uint8Array(0))
    const held = opaqueKey(publicJwk(reader), {
      agree: async ({ x }) => agreement?.agree(mine, agreement.importPublic(backend.fromBase64url(x ?? '') ?? new Uint8Array(0))),
    })
    const jwk = generateKey('Ed25519', { random })
    const one = sealJwk(jwk, { recipients, random })
    expect(await openJwkAsync(one, { keys: [held], import: options })).toMatchObject({ ok: true, jwk, key: { kid: jwk.kid } })
    const set = sealJwkSet([jwk, kek], { recipients, random })
    expect(await openJwkSetAsync(set, { keys: [held], import: options })).toMatchObject({
      ok: true,
      keys: [{ kid: jwk.kid }, { kid: 'kek' }],
    })
    expect(await openJwkAsync(set, { keys: [held] })).toEqual({ ok: false, code: 'content-mismatch' })
    expect(await openJwkSetAsync(one, { keys: [held] })).toEqual({ ok: false, code: 'content-mismatch' })
  })

  test('a whole set, of which broken members are ignored', () => {
    const jwks: readonly Jwk[] = [generateKey('Ed25519', { random }), { kty: 'XYZ' }, kek]
    const jwe = reread(toGeneralJwe(sealJwkSet(jwks, { recipients, random })))
    expect(openJwkSet(jwe, { keys, import: options })).toMatchObject({
      ok: true,
      keys: [{ kid: jwks[0]?.kid, secret: true }, { kid: 'kek' }],
      ignored: [{ position: 1, code: 'key-unsupported' }],
      opened: { recipient: 1 },
    })
    expect(openJwk(jwe, { keys })).toEqual({ ok: false, code: 'content-mismatch' })
    expect(openJwkSet(sealJwk(kek, { recipients, random }), { keys })).toEqual({ ok: false, code: 'content-mismatch' })
    const noSet = sealJwe(utf8('{}'), { recipients, random, protected: { cty: 'jwk-set+json' } })
    expect(openJwkSet(noSet, { keys })).toEqual({ ok: false, code: 'jwk-set-malformed' })
  })
})
