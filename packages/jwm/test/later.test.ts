import type { webcrypto } from 'node:crypto'
import { utf8 } from '@parley/core'
import { importKey, type Jwk, type Key, opaqueKey } from '@parley/jose'
import {
  countersignJwmAsync,
  decryptEnvelopeAsync,
  makeJwm,
  makeJwmAsync,
  openJwm,
  openJwmAsync,
  readEnvelope,
  readSigned,
  sealSigned,
  signMessageAsync,
  verifySigned,
} from '@parley/jwm'
import { beforeAll, describe, expect, test } from 'vitest'
import { octets, pair, random, refused } from './people.ts'
import { mustRead } from './setup.ts'

const { subtle } = globalThis.crypto
const curve = { namedCurve: 'P-256' }
const object = { id: 'urn:uuid:1', body: { text: 'hi' } }

type Held = { readonly held: Key; readonly open: Key }
let signer: Held
let reader: Held

/** Keys that WebCrypto made and gives away to nobody. */
beforeAll(async () => {
  const signing = await subtle.generateKey({ name: 'ECDSA', ...curve }, false, ['sign', 'verify'])
  const agreeing = await subtle.generateKey({ name: 'ECDH', ...curve }, false, ['deriveBits'])
  const jwkOf = async (key: typeof signing.publicKey, kid: string): Promise<Jwk> => {
    const { x, y } = await subtle.exportKey('jwk', key)
    return { kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '', kid }
  }
  const [signingJwk, agreeingJwk] = [await jwkOf(signing.publicKey, 'signer'), await jwkOf(agreeing.publicKey, 'reader')]
  signer = {
    open: importKey(signingJwk),
    held: opaqueKey(signingJwk, {
      sign: async (data) =>
        new Uint8Array(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, signing.privateKey, data.slice())),
    }),
  }
  reader = {
    open: importKey(agreeingJwk),
    held: opaqueKey(agreeingJwk, {
      async agree({ kty, crv, x, y }) {
        const jwk = { kty, crv, x, y } as webcrypto.JsonWebKey
        const theirs = await subtle.importKey('jwk', jwk, { name: 'ECDH', ...curve }, true, [])
        return new Uint8Array(await subtle.deriveBits({ name: 'ECDH', public: theirs }, agreeing.privateKey, 256))
      },
    }),
  }
})

describe('with keys that WebCrypto does not give away', () => {
  test.each(['sign-encrypt', 'encrypt-sign'] as const)('a message is made and opened: %s', async (order) => {
    const parts = { signers: [signer.held], recipients: [reader.open], random, form: 'general', order } as const
    const { jwm } = mustRead(await makeJwmAsync(octets(object), parts))
    const opened = await openJwmAsync(jwm, { keys: [reader.held], verifyKeys: [signer.open] })
    expect(opened).toMatchObject({ ok: true, object, proved: { order, encryptedTo: ['reader'] } })
  })

  test('a gateway adds its signature', async () => {
    const { jwm } = mustRead(makeJwm(octets(object), { signers: [pair('Ed25519').secret], random, form: 'flattened' }))
    const both = mustRead(await countersignJwmAsync(jwm, { signers: [signer.held] }))
    expect(openJwm(both.jwm, { verifyKeys: [signer.open], require: ['signer'] })).toMatchObject({ ok: true, object })
  })

  test('a message of the profile is signed and decrypted', async () => {
    const signed = await signMessageAsync(object, { signer: signer.held })
    const { body, entries } = sealSigned(signed, { recipients: [{ kid: 'reader', key: reader.open }], random })
    const { envelope } = mustRead(readEnvelope(entries[0]?.entry ?? body, body))
    const { message } = mustRead(await decryptEnvelopeAsync(envelope, reader.held))
    expect(mustRead(verifySigned(mustRead(readSigned(message)).signed, signer.open)).attributes).toEqual(object)
  })

  test('the functions that answer at once say that they cannot', () => {
    const asynchronous = expect.objectContaining({ code: 'ERR_JOSE_KEY_ASYNCHRONOUS' })
    expect(() => makeJwm(octets(object), { signers: [signer.held], random, form: 'compact' })).toThrow(asynchronous)
    const { jwm } = mustRead(makeJwm(octets(object), { recipients: [reader.open], random, form: 'compact' }))
    expect(() => openJwm(jwm, { keys: [reader.held] })).toThrow(asynchronous)
  })
})

test('both ways answer the same to what is refused', async () => {
  const alice = pair('Ed25519')
  const options = { signers: [alice.secret, pair('P-256').secret], random, form: 'compact' } as const
  expect(await makeJwmAsync(octets(object), options)).toEqual({ ok: false, code: 'form-impossible' })
  expect(makeJwm(octets(object), options)).toEqual({ ok: false, code: 'form-impossible' })
  expect(await makeJwmAsync(octets(object), { random, form: 'compact' })).toEqual({ ok: false, code: 'nothing-secures-it' })
  for (const input of ['', 'a.b.c', utf8('{}')]) expect(await openJwmAsync(input)).toEqual(openJwm(input))
  const { jwm } = mustRead(await makeJwmAsync(octets(object), { signers: [alice.secret], random, form: 'compact' }))
  expect(await openJwmAsync(jwm)).toEqual(refused('key-unknown'))
  expect(await openJwmAsync(jwm, { verifyKeys: [alice.open] })).toEqual(openJwm(jwm, { verifyKeys: [alice.open] }))
})

test('what the holder of a key throws comes out', async () => {
  const broken = opaqueKey(signer.open.publicJwk as Jwk, { sign: () => Promise.reject(new Error('the token was pulled out')) })
  await expect(makeJwmAsync(octets(object), { signers: [broken], random, form: 'compact' })).rejects.toThrow('pulled out')
})
