import { type JsonObject, type Random, utf8 } from '@parley/core'
import { generateKey, importKey, type Jwk, publicJwk } from '@parley/jose'
import { fromBinary, type JwmForm, joinBinary, makeJwm, openJwm, sealMessage } from '@parley/jwm'
import * as jose from 'jose'
import { describe, expect, test } from 'vitest'

const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const object = { id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11', body: { text: 'across libraries' } }
const payload = utf8(JSON.stringify(object))

const ed = generateKey('Ed25519', { random })
const es: Jwk = generateKey('P-256', { random })
const x = generateKey('X25519', { random })
const y = generateKey('X25519', { random })
const p = generateKey('P-256', { random })
const smk: Jwk = { ...generateKey('oct-256', { random }), kid: 'sid' }

type Foreign = Awaited<ReturnType<typeof jose.importJWK>>
const foreign = (jwk: Jwk, alg: string): Promise<Foreign> => jose.importJWK(jwk as jose.JWK, alg)
const agree = (jwk: Jwk): Promise<Foreign> => foreign(jwk, 'ECDH-ES+A256KW')
const algOf = (jwk: Jwk): string => (jwk.kty === 'oct' ? 'A256KW' : 'ECDH-ES+A256KW')
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))
const openAll = {
  keys: [x, y, p, smk].map((jwk) => importKey(jwk)),
  verifyKeys: [ed, es].map((jwk) => importKey(publicJwk(jwk))),
}

describe('what Parley encrypts, npm jose decrypts', () => {
  test.each<[string, Jwk]>([
    ['X25519', x],
    ['P-256', p],
    ['A256KW', smk],
  ])('%s in every serialization', async (_, jwk) => {
    for (const form of ['general', 'flattened', 'compact', 'urlsafe', 'binary'] as const) {
      const made = makeJwm(payload, { recipients: [importKey(shown(jwk))], random, form })
      if (!made.ok) throw new Error(made.code)
      const key = await foreign(jwk, algOf(jwk))
      expect(await decryptForeign(made.jwm, form, key)).toEqual(payload)
    }
  })

  test('one ciphertext for keys on two curves and a session key', async () => {
    const recipients = [x, y, p, smk].map((jwk) => importKey(shown(jwk)))
    const made = makeJwm(payload, { recipients, random, form: 'general' })
    if (!made.ok) throw new Error(made.code)
    for (const jwk of [x, y, p, smk]) {
      const { plaintext } = await jose.generalDecrypt(made.jwm as unknown as jose.GeneralJWE, await foreign(jwk, algOf(jwk)))
      expect(new Uint8Array(plaintext)).toEqual(payload)
    }
  })

  test('a message of the profile, entry by entry, signed inside', async () => {
    const recipients = [x, p, smk].map((jwk) => ({ kid: jwk.kid ?? '', key: importKey(shown(jwk)) }))
    const { body, entries } = sealMessage(object, { signer: importKey(ed), recipients, random })
    for (const [i, jwk] of [x, p, smk].entries()) {
      const joined = joinBinary(entries[i]?.entry ?? new Uint8Array(0), body)
      const text = joined.ok ? fromBinary(joined.bytes) : joined
      if (!text.ok) throw new Error(text.code)
      const opened = await jose.flattenedDecrypt(JSON.parse(text.text) as jose.FlattenedJWE, await foreign(jwk, algOf(jwk)))
      expect(opened.protectedHeader?.cty).toBe('JWM')
      const verified = await jose.compactVerify(opened.plaintext, await foreign(publicJwk(ed), 'EdDSA'))
      expect(verified.protectedHeader).toEqual({ alg: 'EdDSA', kid: ed.kid, typ: 'JWM' })
      expect(JSON.parse(new TextDecoder().decode(verified.payload))).toEqual(object)
    }
  })
})

async function decryptForeign(jwm: string | JsonObject | Uint8Array, form: JwmForm, key: Foreign): Promise<Uint8Array> {
  if (form === 'compact') return new Uint8Array((await jose.compactDecrypt(jwm as string, key)).plaintext)
  if (form === 'flattened')
    return new Uint8Array((await jose.flattenedDecrypt(jwm as unknown as jose.FlattenedJWE, key)).plaintext)
  if (form === 'binary') {
    const text = fromBinary(jwm as Uint8Array)
    if (!text.ok) throw new Error(text.code)
    return new Uint8Array((await jose.flattenedDecrypt(JSON.parse(text.text) as jose.FlattenedJWE, key)).plaintext)
  }
  const general = form === 'urlsafe' ? JSON.parse(Buffer.from(jwm as string, 'base64url').toString()) : jwm
  return new Uint8Array((await jose.generalDecrypt(general as jose.GeneralJWE, key)).plaintext)
}

describe('what npm jose encrypts, Parley opens', () => {
  test.each<[string, Jwk]>([
    ['X25519', x],
    ['P-256', p],
    ['A256KW', smk],
  ])('%s in every serialization', async (_, jwk) => {
    const key = await foreign(shown(jwk), algOf(jwk))
    const header = { alg: algOf(jwk), enc: 'A256GCM', typ: 'JWM' }
    const compact = await new jose.CompactEncrypt(payload).setProtectedHeader({ ...header, kid: jwk.kid ?? '' }).encrypt(key)
    const flattened = await new jose.FlattenedEncrypt(payload)
      .setProtectedHeader(header)
      .setUnprotectedHeader({ kid: jwk.kid ?? '' })
      .setAdditionalAuthenticatedData(utf8('aad'))
      .encrypt(key)
    const general = await new jose.GeneralEncrypt(payload).setProtectedHeader(header).addRecipient(key).done().encrypt()
    const urlsafe = Buffer.from(JSON.stringify(general)).toString('base64url')
    for (const jwm of [
      compact,
      flattened as unknown as JsonObject,
      general as unknown as JsonObject,
      urlsafe,
      JSON.stringify(flattened),
    ]) {
      expect(openJwm(jwm, openAll)).toMatchObject({
        ok: true,
        object,
        committed: false,
        layers: [{ alg: algOf(jwk), enc: 'A256GCM', kid: jwk.kid }],
      })
    }
  })

  test('ECDH-ES with every key wrap, directly agreed keys, and dir', async () => {
    for (const enc of ['A128GCM', 'A192GCM', 'A256GCM']) {
      for (const alg of ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW']) {
        for (const jwk of [x, p]) {
          const key = await foreign(publicJwk(jwk), alg)
          const apu = new TextEncoder().encode('Alice')
          const apv = new TextEncoder().encode('Bob')
          const jwm = await new jose.CompactEncrypt(payload)
            .setProtectedHeader({ alg, enc })
            .setKeyManagementParameters({ apu, apv })
            .encrypt(key)
          expect(openJwm(jwm, { keys: [importKey(jwk)] })).toMatchObject({ ok: true, object })
        }
      }
    }
    const direct = await new jose.CompactEncrypt(payload)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(await foreign(smk, 'dir'))
    expect(openJwm(direct, openAll)).toMatchObject({ ok: true, object, committed: false })
  })

  test('several recipients with a mix of keys', async () => {
    const encrypt = new jose.GeneralEncrypt(payload).setProtectedHeader({ enc: 'A256GCM', typ: 'JWM' })
    for (const jwk of [x, p, smk]) {
      encrypt.addRecipient(await foreign(shown(jwk), algOf(jwk))).setUnprotectedHeader({ alg: algOf(jwk), kid: jwk.kid ?? '' })
    }
    const jwm = (await encrypt.encrypt()) as unknown as JsonObject
    for (const jwk of [x, p, smk])
      expect(openJwm(jwm, { keys: [importKey(jwk)] })).toMatchObject({ ok: true, object, layers: [{ kid: jwk.kid }] })
  })

  test('a nested message', async () => {
    const signed = await new jose.CompactSign(payload)
      .setProtectedHeader({ alg: 'EdDSA', kid: ed.kid ?? '', typ: 'JWM' })
      .sign(await foreign(ed, 'EdDSA'))
    const nested = await new jose.CompactEncrypt(utf8(signed))
      .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', typ: 'JWM', cty: 'JWM', kid: x.kid ?? '' })
      .encrypt(await agree(publicJwk(x)))
    const opened = openJwm(nested, { ...openAll, requireSignature: true })
    expect(opened).toMatchObject({
      ok: true,
      object,
      layers: [{ kind: 'jwe' }, { kind: 'jws', signatures: [{ kid: ed.kid, verified: true }] }],
    })
  })
})

describe('signatures', () => {
  test.each<[string, Jwk]>([
    ['EdDSA', ed],
    ['Ed25519', ed],
    ['ES256', es],
  ])('%s by npm jose verifies here in every serialization', async (alg, jwk) => {
    const key = await foreign(jwk, alg)
    const header = { alg, kid: jwk.kid ?? '', typ: 'JWM' }
    const compact = await new jose.CompactSign(payload).setProtectedHeader(header).sign(key)
    const flattened = await new jose.FlattenedSign(payload)
      .setProtectedHeader(header)
      .setUnprotectedHeader({ note: 'x' })
      .sign(key)
    const general = await new jose.GeneralSign(payload).addSignature(key).setProtectedHeader(header).done().sign()
    for (const jwm of [compact, flattened as unknown as JsonObject, general as unknown as JsonObject]) {
      expect(openJwm(jwm, openAll)).toMatchObject({
        ok: true,
        object,
        layers: [{ signatures: [{ alg, kid: jwk.kid, verified: true }] }],
      })
    }
  })

  test.each<[string, Jwk]>([
    ['EdDSA', ed],
    ['ES256', es],
  ])('%s made here verifies with npm jose in every serialization', async (alg, jwk) => {
    const key = await foreign(publicJwk(jwk), alg)
    const make = (form: JwmForm): string | JsonObject => {
      const made = makeJwm(payload, { signers: [importKey(jwk)], random, form })
      if (!made.ok || made.jwm instanceof Uint8Array) throw new Error('not made')
      return made.jwm
    }
    const payloads = [
      (await jose.compactVerify(make('compact') as string, key)).payload,
      (await jose.flattenedVerify(make('flattened') as unknown as jose.FlattenedJWSInput, key)).payload,
      (await jose.generalVerify(make('general') as unknown as jose.GeneralJWSInput, key)).payload,
    ]
    for (const one of payloads) expect(new Uint8Array(one)).toEqual(payload)
  })

  test('several signatures, both ways', async () => {
    const made = makeJwm(payload, { signers: [importKey(ed), importKey(es)], random, form: 'general' })
    if (!made.ok) throw new Error(made.code)
    for (const [jwk, alg] of [
      [ed, 'EdDSA'],
      [es, 'ES256'],
    ] as const) {
      const verified = await jose.generalVerify(made.jwm as unknown as jose.GeneralJWSInput, await foreign(publicJwk(jwk), alg))
      expect(new Uint8Array(verified.payload)).toEqual(payload)
    }
    const sign = new jose.GeneralSign(payload)
    sign.addSignature(await foreign(ed, 'EdDSA')).setProtectedHeader({ alg: 'EdDSA', kid: ed.kid ?? '' })
    sign.addSignature(await foreign(es, 'ES256')).setProtectedHeader({ alg: 'ES256', kid: es.kid ?? '' })
    expect(openJwm((await sign.sign()) as unknown as JsonObject, openAll)).toMatchObject({
      ok: true,
      layers: [
        {
          signatures: [
            { kid: ed.kid, verified: true },
            { kid: es.kid, verified: true },
          ],
        },
      ],
    })
  })
})

test('thumbprints agree', async () => {
  for (const jwk of [ed, es, x, p]) expect(await jose.calculateJwkThumbprint(publicJwk(jwk) as jose.JWK)).toBe(jwk.kid)
})
