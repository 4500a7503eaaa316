import { type JsonObject, utf8 } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { generateKey, importKey, publicJwk } from '../src/index.ts'
import { addSignature, detachPayload, type Jws, signJws, verifyJws } from '../src/jws.ts'
import { readJose, toCompactJws, toFlattenedJws, toGeneralJws } from '../src/serialization.ts'
import { backends, seeded } from './setup.ts'

const random = seeded(7797)

const payload = utf8('$.02, in the clear')

function read(input: string | JsonObject): Jws {
  const outcome = readJose(input)
  if (!outcome.ok || outcome.kind !== 'jws') throw new Error('not a JWS')
  return outcome.jws
}

describe.each(backends.map((backend) => [backend.name, backend] as const))('payloads with the %s backend', (_, backend) => {
  const jwks = [generateKey('Ed25519', { random }), generateKey('P-384', { random }), generateKey('P-521', { random })]
  const signers = jwks.map((jwk) => ({ key: importKey(jwk, { backend }) }))
  const keys = jwks.map((jwk) => importKey(publicJwk(jwk), { backend }))
  const plain = signJws(payload, { signers })
  const clear = signJws(payload, { signers, unencoded: true })

  test('unencoded ones stand in the JSON as they are, and verify (RFC 7797)', () => {
    const object = toGeneralJws(clear)
    expect(object['payload']).toBe('$.02, in the clear')
    expect(verifyJws(read(object), { keys })).toMatchObject({ ok: true, payload })
    expect(verifyJws(read({ ...object, payload: '$.03, in the clear' }), { keys })).toEqual({
      ok: false,
      code: 'signature-invalid',
    })
    expect(readJose({ ...object, payload: '\ud800' })).toEqual({ ok: false, code: 'jws-malformed' })
  })

  test('unencoded ones stand in the compact form unless they hold a period', () => {
    const signer = signers.slice(0, 1)
    const text = toCompactJws(signJws(utf8('no period'), { signers: signer, unencoded: true }))
    expect(text.split('.')[1]).toBe('no period')
    expect(verifyJws(read(text), { keys })).toMatchObject({ ok: true, payload: utf8('no period') })
    const other = signJws(payload, { signers: signer, unencoded: true })
    expect(() => toCompactJws(other)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_FORM_IMPOSSIBLE' }))
    expect(verifyJws(read(toCompactJws(detachPayload(other))), { keys, payload })).toMatchObject({ ok: true, payload })
  })

  test('detached ones are given aside; without one, with another or with two there is no verification', () => {
    for (const made of [plain, clear]) {
      const object = toGeneralJws(detachPayload(made))
      expect(object).not.toHaveProperty('payload')
      expect(verifyJws(read(object), { keys, payload })).toMatchObject({ ok: true, payload })
      expect(verifyJws(read(object), { keys })).toEqual({ ok: false, code: 'jws-malformed' })
      expect(verifyJws(read(object), { keys, payload: utf8('else') })).toEqual({ ok: false, code: 'signature-invalid' })
      expect(verifyJws(made, { keys, payload })).toEqual({ ok: false, code: 'jws-malformed' })
    }
  })

  test('a gateway adds its signature and leaves the others as they were, octet for octet', () => {
    for (const made of [plain, clear]) {
      const [first, ...others] = signers
      if (first === undefined) throw new Error('no signer')
      const before = toGeneralJws(signJws(payload, { signers: others, unencoded: made === clear }))
      const after = toGeneralJws(addSignature(read(before), first))
      expect({ ...after, signatures: (after['signatures'] as readonly JsonObject[]).slice(0, -1) }).toEqual(before)
      expect(verifyJws(read(after), { keys })).toMatchObject({
        ok: true,
        signatures: [{ verified: true }, { verified: true }, { verified: true }],
      })
      expect(verifyJws(read(after), { keys: keys.slice(0, 1), require: 'any' })).toMatchObject({ ok: true })
    }
  })

  test('all signatures agree on b64, which is protected and critical', () => {
    const mixed = { ...plain, signatures: [...plain.signatures.slice(1), ...clear.signatures.slice(0, 1)] }
    expect(verifyJws(mixed, { keys })).toEqual({ ok: false, code: 'header-malformed' })
    const signer = signers[0]
    if (signer === undefined) throw new Error('no signer')
    expect(() => signJws(payload, { signers: [{ ...signer, protected: { b64: false, crit: ['b64'] } }] })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_HEADER_INVALID' }),
    )
    const flat = toFlattenedJws(signJws(payload, { signers: [signer] }))
    expect(verifyJws(read({ ...flat, header: { b64: false } }), { keys })).toEqual({ ok: false, code: 'header-malformed' })
  })
})
