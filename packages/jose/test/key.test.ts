import { inspect } from 'node:util'
import { ed25519 } from '@noble/curves/ed25519.js'
import { base64url } from '@parley/core'
import { generateKey, importKey, type Jwk, publicJwk, readKey, thumbprint } from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, seeded } from './setup.ts'

const kinds = ['Ed25519', 'X25519', 'P-256'] as const

for (const backend of backends) {
  describe(`keys with the ${backend.name} backend`, () => {
    const random = seeded(11)
    const other = generateKey('Ed25519', { random, backend })

    test.each(kinds)('a %s key is named by its thumbprint and its public part holds nothing private', (kind) => {
      const jwk = generateKey(kind, { random, backend })
      expect(jwk.kid).toBe(thumbprint(jwk))
      expect(publicJwk(jwk)).not.toHaveProperty('d')
      const key = importKey(jwk, { backend })
      expect(key).toMatchObject({ crv: kind, kid: jwk.kid, secret: true, thumbprint: jwk.kid })
      expect(key.publicJwk).toEqual(publicJwk(jwk))
    })

    test.each([...kinds, 'oct-256'] as const)('a printed %s key shows nothing secret', (kind) => {
      const jwk = generateKey(kind, { random, backend })
      const key = importKey(jwk, { backend })
      const secret = jwk.d ?? jwk.k ?? ''
      const printed = `${inspect(key, { depth: 9, showHidden: false })}${JSON.stringify(key)}${JSON.stringify({ ...key })}${String(key)}`
      expect(printed).not.toContain(secret)
      expect(printed).not.toContain(backend.fromBase64url(secret)?.slice(0, 4).join(', '))
    })

    test.each<[string, (jwk: Jwk) => unknown]>([
      ['another key pair', (jwk) => ({ ...jwk, x: other.x })],
      ['a short x', (jwk) => ({ ...jwk, x: jwk.x?.slice(0, 40) })],
      ['a long d', (jwk) => ({ ...jwk, d: base64url(new Uint8Array(33)) })],
      ['padding', (jwk) => ({ ...jwk, x: `${jwk.x}=` })],
      ['unused bits', (jwk) => ({ ...jwk, x: `${jwk.x?.slice(0, 42)}B` })],
      ['no x', ({ x: _, ...jwk }) => jwk],
      ['a number for kid', (jwk) => ({ ...jwk, kid: 7 })],
      ['key_ops that repeat', (jwk) => ({ ...jwk, key_ops: ['sign', 'sign'] })],
      ['no object', () => 'key'],
      ['null', () => null],
      ['the octets of a symmetric key', (jwk) => ({ ...jwk, k: 'AAAA' })],
    ])('refuses %s', (_, change) => {
      for (const kind of kinds)
        expect(readKey(change(generateKey(kind, { random, backend })), { backend })).toEqual({ ok: false, code: 'key-malformed' })
    })

    test('refuses a P-256 point off the curve and a private key out of range', () => {
      const jwk = generateKey('P-256', { random, backend })
      for (const use of [undefined, 'sig', 'enc']) {
        const named = use === undefined ? jwk : { ...jwk, use }
        expect(readKey({ ...publicJwk(named), y: jwk.x }, { backend })).toEqual({ ok: false, code: 'key-malformed' })
        expect(readKey({ ...named, d: base64url(new Uint8Array(32)) }, { backend })).toEqual({ ok: false, code: 'key-malformed' })
        expect(readKey({ ...named, d: base64url(new Uint8Array(32).fill(255)) }, { backend })).toEqual({
          ok: false,
          code: 'key-malformed',
        })
      }
    })

    test('refuses Ed25519 points of small order and second encodings', () => {
      const torsion = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
      let point = torsion
      for (let i = 0; i < 8; i++, point = point.add(torsion)) {
        expect(point.isSmallOrder()).toBe(true)
        expect(readKey({ kty: 'OKP', crv: 'Ed25519', x: base64url(point.toBytes()) }, { backend }).ok).toBe(false)
      }
      const nonCanonical = new Uint8Array(32).fill(255)
      nonCanonical[0] = 0xf0
      nonCanonical[31] = 0x7f
      expect(readKey({ kty: 'OKP', crv: 'Ed25519', x: base64url(nonCanonical) }, { backend }).ok).toBe(false)
    })

    test('a symmetric key has the length its algorithm needs, no public part and no thumbprint', () => {
      const jwk = { ...generateKey('oct-256', { random, backend }), kid: 'sid' }
      expect(importKey(jwk, { backend })).toMatchObject({
        kid: 'sid',
        thumbprint: undefined,
        publicJwk: undefined,
        secretBytes: 32,
      })
      expect(readKey({ ...jwk, alg: 'A128KW' }, { backend })).toEqual({ ok: false, code: 'key-malformed' })
      expect(() => publicJwk(jwk)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNSUPPORTED' }))
    })

    test('says which key types it does not know', () => {
      expect(readKey({ kty: 'OKP', crv: 'X448', x: 'AQAB' }, { backend })).toEqual({ ok: false, code: 'key-unsupported' })
      expect(readKey({ kty: 'EC', crv: 'P-192', x: '', y: '' }, { backend })).toEqual({ ok: false, code: 'key-unsupported' })
      expect(() => importKey({ kty: 'AKP', alg: 'SLH-DSA-SHA2-128s' }, { backend })).toThrow(
        expect.objectContaining({ code: 'ERR_JOSE_KEY_UNSUPPORTED' }),
      )
    })
  })
}
