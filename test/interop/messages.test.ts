import type { JsonObject } from '@parley/core'
import { countersignJwm, makeJwm, openJwm, toXmlText } from '@parley/jwm'
import * as jose from 'jose'
import { describe, expect, test } from 'vitest'
import { must, octets, pair, random } from '../jwm/people.ts'

const alice = pair('Ed25519', 'alice')
const gateway = pair('P-256', 'gateway')
const bob = pair('X25519', 'bob')
const object = { id: 'urn:uuid:1', to: ['im:bob@b.example'], body: { text: 'across libraries' } }
const keys = { keys: [bob.secret], verifyKeys: [alice.open, gateway.open] }
const foreign = (jwk: object, alg: string) => jose.importJWK(jwk as jose.JWK, alg)
const agreement = { alg: 'ECDH-ES+A256KW', enc: 'A256GCM' }

describe('replicated attributes', () => {
  test('of npm jose are taken when they are equal, and refused when not', async () => {
    const encrypt = async (shown: object): Promise<string> =>
      await new jose.CompactEncrypt(octets(object))
        .setProtectedHeader({ ...agreement, ...shown })
        .encrypt(await foreign(bob.open.publicJwk ?? {}, agreement.alg))
    expect(openJwm(await encrypt({ to: object.to, id: object.id }), keys)).toMatchObject({ ok: true, object })
    for (const shown of [{ to: [] }, { id: 'urn:uuid:2' }, { from: 'im:eve@e.example' }])
      expect(openJwm(await encrypt(shown), keys)).toMatchObject({ ok: false, code: 'attributes-differ' })
  })

  test('of ours are read by npm jose in the header', async () => {
    const { jwm } = must(makeJwm(octets(object), { recipients: [bob.open], random, form: 'compact', replicate: ['to'] }))
    const opened = await jose.compactDecrypt(jwm as string, await foreign(bob.jwk, agreement.alg))
    expect(opened.protectedHeader['to']).toEqual(object.to)
    expect(new Uint8Array(opened.plaintext)).toEqual(octets(object))
  })
})

describe('profiles', () => {
  test('what is made by one, npm jose opens layer by layer', async () => {
    const parts = { signers: [alice.secret], recipients: [bob.open], random, form: 'flattened' } as const
    for (const profile of ['confidentiality-integrity', 'non-repudiation'] as const) {
      const { jwm } = must(makeJwm(octets(object), { ...parts, profile }))
      const text = JSON.parse(toXmlText(jwm) ?? '') as jose.FlattenedJWE
      const inner = await jose.flattenedDecrypt(text, await foreign(bob.jwk, agreement.alg))
      const verified = await jose.compactVerify(inner.plaintext, await foreign(alice.open.publicJwk ?? {}, 'EdDSA'))
      expect(new Uint8Array(verified.payload)).toEqual(octets(object))
    }
  })

  test('what npm jose makes without a commitment fits none that demands one, and is opened without', async () => {
    const jwm = await new jose.CompactEncrypt(octets(object))
      .setProtectedHeader(agreement)
      .encrypt(await foreign(bob.open.publicJwk ?? {}, agreement.alg))
    expect(openJwm(jwm, keys)).toMatchObject({ ok: true, proved: { committed: false, anonymous: true } })
    expect(openJwm(jwm, { ...keys, profile: 'anonymous' })).toMatchObject({ ok: false, code: 'commitment-required' })
    const signed = await new jose.CompactSign(octets(object))
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(await foreign(alice.jwk, 'EdDSA'))
    expect(openJwm(signed, { ...keys, profile: 'non-repudiation' })).toMatchObject({ ok: true, proved: { signedBy: ['alice'] } })
  })
})

describe('a gateway', () => {
  test('of ours signs beside npm jose, and npm jose verifies both', async () => {
    const sign = new jose.GeneralSign(octets(object))
    sign.addSignature(await foreign(alice.jwk, 'EdDSA')).setProtectedHeader({ alg: 'EdDSA', kid: 'alice' })
    const jwm = (await sign.sign()) as unknown as JsonObject
    const both = must(countersignJwm(jwm, { signers: [gateway.secret] })).jwm as unknown as jose.GeneralJWS
    for (const { open, alg } of [
      { open: alice.open, alg: 'EdDSA' },
      { open: gateway.open, alg: 'ES256' },
    ]) {
      const verified = await jose.generalVerify(both, await foreign(open.publicJwk ?? {}, alg))
      expect(new Uint8Array(verified.payload)).toEqual(octets(object))
    }
    expect(openJwm(both as unknown as JsonObject, keys)).toMatchObject({ ok: true, proved: { signedBy: ['alice', 'gateway'] } })
  })
})

describe('a payload that travels apart, unencoded', () => {
  const options = { b64: false, crit: ['b64'] }

  test('is verified by npm jose', async () => {
    const parts = { signers: [alice.secret], random, form: 'flattened', unencoded: true, detached: true } as const
    const jws = must(makeJwm(octets(object), parts)).jwm as unknown as jose.FlattenedJWSInput
    const key = await foreign(alice.open.publicJwk ?? {}, 'EdDSA')
    const verified = await jose.flattenedVerify({ ...jws, payload: octets(object) }, key)
    expect(new Uint8Array(verified.payload)).toEqual(octets(object))
  })

  test('of npm jose is verified here', async () => {
    const { payload: _, ...jws } = await new jose.FlattenedSign(octets(object))
      .setProtectedHeader({ alg: 'EdDSA', ...options })
      .sign(await foreign(alice.jwk, 'EdDSA'))
    const jwm = jws as unknown as JsonObject
    expect(openJwm(jwm, { ...keys, payload: octets(object) })).toMatchObject({ ok: true, object })
    expect(openJwm(jwm, { ...keys, payload: octets({}) })).toMatchObject({ ok: false, code: 'signature-invalid' })
  })
})
