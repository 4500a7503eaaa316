import { base64url, type JsonObject, utf8 } from '@parley/core'
import {
  addSignature,
  detachPayload,
  importKey,
  type Jwe,
  type Jwk,
  backend as node,
  openJwe,
  publicJwk,
  readJose,
  readKey,
  sealJwe,
  signCompact,
  signJws,
  toCompactJws,
  toFlattenedJws,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

type Cbc = { readonly [name in 'name' | 'enc' | 'key' | 'plaintext' | 'iv' | 'aad' | 'ciphertext' | 'tag']: string }
type Rfc7518 = {
  readonly B: readonly Cbc[]
  readonly C: { readonly alice: Jwk; readonly bob: Jwk; readonly header: JsonObject; readonly derived: string }
}
type Rfc7797 = {
  readonly key: Jwk
  readonly payload: string
  readonly '4.1': string
  readonly '4.2': { readonly detached: string; readonly json: JsonObject }
}
type Rfc8037 = {
  readonly 'A.1': Jwk
  readonly 'A.2': Jwk
  readonly 'A.3': string
  readonly 'A.4': string
  readonly 'A.6': { readonly bob: Jwk; readonly ephemeral: string; readonly header: JsonObject; readonly z: string }
  readonly 'A.7': Jwk
}
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const rfc7518 = fixture<Rfc7518>('rfc7518.json')
const rfc7797 = fixture<Rfc7797>('rfc7797.json')
const rfc8037 = fixture<Rfc8037>('rfc8037.json')

describe.each([node, noble].map((backend) => [backend.name, backend] as const))('with the %s backend', (_, backend) => {
  test.each(rfc7518.B)('RFC 7518 $name, $enc', ({ enc, key, plaintext, iv, aad, ciphertext, tag }) => {
    // The example authenticates bare octets, a JWE the ASCII of its header: the composition is checked by its parts.
    const half = hex(key).length / 2
    const [macKey, encryptionKey] = [hex(key).subarray(0, half), hex(key).subarray(half)]
    expect(backend.cbc?.encrypt(encryptionKey, hex(iv), utf8(plaintext))).toEqual(hex(ciphertext))
    expect(backend.cbc?.decrypt(encryptionKey, hex(iv), hex(ciphertext))).toEqual(utf8(plaintext))
    const bits = { 'A128CBC-HS256': 256, 'A192CBC-HS384': 384, 'A256CBC-HS512': 512 }[enc] as 256 | 384 | 512
    const length = new Uint8Array(8)
    new DataView(length.buffer).setUint32(4, 8 * aad.length)
    const covered = Uint8Array.of(...utf8(aad), ...hex(iv), ...hex(ciphertext), ...length)
    expect(backend.hmac(bits, backend.importSecret(macKey), covered).subarray(0, half)).toEqual(hex(tag))
  })

  test('RFC 7518 C: Bob decrypts what the key of the example encrypted', () => {
    const { alice, bob, header, derived } = rfc7518.C
    const full: JsonObject = { ...header, epk: publicJwk(alice) as JsonObject }
    const text = base64url(utf8(JSON.stringify(full)))
    const iv = new Uint8Array(12)
    const cek = backend.fromBase64url(derived) ?? iv
    const jwe: Jwe = {
      protected: { text, header: full },
      unprotected: undefined,
      recipients: [{ header: undefined, encryptedKey: new Uint8Array(0) }],
      aad: undefined,
      iv,
      ...backend.gcmSeal(cek, iv, utf8('for Bob'), utf8(text)),
    }
    expect(openJwe(jwe, { keys: [importKey(bob, { backend })] })).toMatchObject({ ok: true, plaintext: utf8('for Bob') })
    expect(openJwe(jwe, { keys: [importKey(alice, { backend })] })).toMatchObject({ ok: false, code: 'decryption-failed' })
  })

  test('RFC 7797 §4.1 and §4.2 are made again and verify', () => {
    const { key: jwk, payload } = rfc7797
    const key = importKey(jwk, { backend })
    expect(signCompact(utf8(payload), { key })).toBe(rfc7797['4.1'])
    const clear = signJws(utf8(payload), { signers: [{ key }], unencoded: true })
    expect(toCompactJws(detachPayload(clear))).toBe(rfc7797['4.2'].detached)
    expect(toFlattenedJws(clear)).toEqual(rfc7797['4.2'].json)
    for (const [input, apart] of [
      [rfc7797['4.1'], {}],
      [rfc7797['4.2'].detached, { payload: utf8(payload) }],
      [rfc7797['4.2'].json, {}],
    ] as const) {
      const read = readJose(input)
      if (!read.ok || read.kind !== 'jws') throw new Error('not a JWS')
      expect(verifyJws(read.jws, { keys: [key], ...apart })).toMatchObject({ ok: true, payload: utf8(payload) })
    }
    expect(addSignature(clear, { key }).signatures[1]?.protected.header).toEqual({ alg: 'HS256', b64: false, crit: ['b64'] })
  })

  test('RFC 8037 A.1 to A.5: key, thumbprint and signature', () => {
    const key = importKey(rfc8037['A.1'], { backend })
    expect(publicJwk(rfc8037['A.1'])).toEqual(rfc8037['A.2'])
    expect(key.thumbprint).toBe(rfc8037['A.3'])
    expect(signCompact(utf8('Example of Ed25519 signing'), { key })).toBe(rfc8037['A.4'])
    const read = readJose(rfc8037['A.4'])
    if (!read.ok || read.kind !== 'jws') throw new Error('not a JWS')
    expect(verifyJws(read.jws, { keys: [importKey(rfc8037['A.2'], { backend })] })).toMatchObject({ ok: true })
  })

  test('RFC 8037 A.6: a message whose ephemeral key is drawn as in the example has its epk', () => {
    const { bob, ephemeral, header, z } = rfc8037['A.6']
    const octets = backend.fromBase64url(ephemeral) ?? new Uint8Array(0)
    const random = { bytes: (length: number) => (length === 32 ? octets.slice() : new Uint8Array(length)) }
    const recipients = [{ key: importKey(publicJwk(bob), { backend }), alg: 'ECDH-ES+A128KW' }]
    const jwe = sealJwe(utf8('for Bob'), { recipients, random, enc: 'A128GCM', allProtected: true })
    const { ckc: _ckc, ...made } = jwe.protected.header
    expect(made).toEqual(header)
    expect(openJwe(jwe, { keys: [importKey(bob, { backend })] })).toMatchObject({ ok: true, plaintext: utf8('for Bob') })
    const agreement = backend.agreements['X25519']
    const peer = agreement?.importPublic(backend.fromBase64url(bob.x ?? '') ?? octets)
    expect(agreement?.agree(agreement.importPrivate(octets), peer)).toEqual(hex(z))
  })

  test('RFC 8037 A.7: X448 is refused by name, the tables lack it', () => {
    expect(readKey(rfc8037['A.7'], { backend })).toEqual({ ok: false, code: 'key-unsupported' })
  })
})
