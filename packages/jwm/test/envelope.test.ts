import { base64url, utf8 } from '@parley/core'
import { generateKey, importKey, openJwe, publicJwk, sealJwe, sha256 } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import {
  type Attributes,
  decryptEnvelope,
  joinBinary,
  readBinary,
  readEnvelope,
  readSigned,
  sealMessage,
  signMessage,
  verifySigned,
  writeCut,
} from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

const attributes: Attributes = {
  id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11',
  from: 'im:alice@a.localhost',
  to: ['im:bob@b.localhost'],
  body: { text: 'hi' },
}

for (const backend of backends) {
  describe(`a sealed message with the ${backend.name} backend`, () => {
    const random = seeded(23)
    const deviceJwk = generateKey('Ed25519', { random, backend })
    const signer = importKey(deviceJwk, { backend })
    const device = importKey(publicJwk(deviceJwk), { backend })
    const phoneJwk = generateKey('X25519', { random, backend })
    const deskJwk = generateKey('X25519', { random, backend })
    const phone = importKey(phoneJwk, { backend })
    const desk = importKey(deskJwk, { backend })
    const smk = importKey(generateKey('oct-256', { random, backend }), { kid: 'sid', backend })
    const recipients = [
      { kid: phoneJwk.kid ?? '', key: importKey(publicJwk(phoneJwk), { backend }) },
      { kid: deskJwk.kid ?? '', key: importKey(publicJwk(deskJwk), { backend }) },
      { kid: 'sid', key: smk },
    ]
    const sealed = sealMessage(attributes, { signer, recipients, random })
    const entryOf = (i: number): Uint8Array => sealed.entries[i]?.entry ?? new Uint8Array(0)

    test('each recipient opens it with its own entry and the shared body', () => {
      for (const [i, key] of [phone, desk, smk].entries()) {
        const { envelope } = mustRead(readEnvelope(entryOf(i), sealed.body))
        expect(envelope).toMatchObject({
          kid: recipients[i]?.kid,
          alg: key === smk ? 'A256KW' : 'ECDH-ES+A256KW',
          enc: 'A256GCM',
        })
        const { message } = mustRead(decryptEnvelope(envelope, key))
        const { signed } = mustRead(readSigned(message))
        expect(signed).toMatchObject({ kid: device.kid, alg: 'EdDSA' })
        const verified = mustRead(verifySigned(signed, device))
        expect(verified.attributes).toEqual(attributes)
        expect(verified.payloadHash).toBe(base64url(sha256(signed.payload)))
      }
    })

    test('another key, also one of mine, gives the one opaque failure', () => {
      const { envelope } = mustRead(readEnvelope(entryOf(0), sealed.body))
      expect(decryptEnvelope(envelope, desk)).toMatchObject({ ok: false, code: 'decryption-failed', cause: 'unwrap' })
      expect(decryptEnvelope(envelope, smk)).toMatchObject({ ok: false, code: 'decryption-failed', cause: 'key-unfit' })
      expect(decryptEnvelope(envelope, recipients[0]?.key ?? smk)).toMatchObject({
        ok: false,
        code: 'decryption-failed',
        cause: 'key-unfit',
      })
    })

    test('no mutation of a sealed octet yields another payload', () => {
      const entry = entryOf(2)
      const survivors = new Set<string>()
      const attempt = (mutatedEntry: Uint8Array, mutatedBody: Uint8Array, where: string): void => {
        const read = readEnvelope(mutatedEntry, mutatedBody)
        if (!read.ok) return
        const opened = decryptEnvelope(read.envelope, smk)
        if (!opened.ok) return
        const signed = mustRead(readSigned(opened.message)).signed
        expect(mustRead(verifySigned(signed, device)).attributes).toEqual(attributes)
        survivors.add(where)
      }
      for (const [name, octets] of [
        ['entry', entry],
        ['body', sealed.body],
      ] as const) {
        for (let i = 0; i < octets.length; i++) {
          for (let bit = 0; bit < 8; bit++) {
            const mutated = octets.slice()
            mutated[i] = (mutated[i] ?? 0) ^ (1 << bit)
            if (name === 'entry') attempt(mutated, sealed.body, `entry ${i}`)
            else attempt(entry, mutated, `body ${i}`)
          }
        }
      }
      // The kid is the one thing in an entry that nothing vouches for: it only finds the key.
      const text = new TextDecoder('latin1').decode(entry)
      const kidAt = text.indexOf('"kid":"') + 7
      expect([...survivors].sort()).toEqual([`entry ${kidAt}`, `entry ${kidAt + 1}`, `entry ${kidAt + 2}`])
    }, 60_000)

    test('any entry and body are a JWE that stock libraries take', () => {
      const { bytes } = mustRead(joinBinary(entryOf(1), sealed.body))
      expect(openJwe(mustRead(readBinary(bytes)).jwe, { keys: [desk] })).toMatchObject({ ok: true, committed: true, key: desk })
    })
  })
}

describe('the message profile refuses', () => {
  const random = seeded(31)
  const key = importKey(generateKey('X25519', { random }))
  const oct = importKey(generateKey('oct-256', { random }), { kid: 'sid' })
  const good = { typ: 'JWM', cty: 'JWM' }
  const make = (options: Partial<Parameters<typeof sealJwe>[1]>): { entry: Uint8Array; body: Uint8Array } => {
    const cut = writeCut(sealJwe(utf8('x'), { recipients: [{ key }], random, protected: good, ...options }))
    return { entry: cut.entries[0] ?? new Uint8Array(0), body: cut.body }
  }
  const codeOf = ({ entry, body }: { entry: Uint8Array; body: Uint8Array }): string => {
    const read = readEnvelope(entry, body)
    return read.ok ? 'read' : read.code
  }

  test('nothing that it makes', () => {
    expect(codeOf(make({}))).toBe('read')
    expect(codeOf(make({ protected: { cty: 'application/jwm' } }))).toBe('read')
  })

  test.each<[string, Partial<Parameters<typeof sealJwe>[1]>, string]>([
    ['no cty', { protected: { typ: 'JWM' } }, 'envelope-malformed'],
    ['another cty', { protected: { cty: 'JWT' } }, 'envelope-malformed'],
    ['another typ', { protected: { typ: 'JWT', cty: 'JWM' } }, 'envelope-malformed'],
    ['an unprotected header', { unprotected: { note: 1 } }, 'envelope-malformed'],
    ['application data', { aad: utf8('x') }, 'envelope-malformed'],
    ['a kid in the protected header', { allProtected: true }, 'envelope-malformed'],
    ['a direct key, which is never committed', { recipients: [{ key: oct, alg: 'dir' }] }, 'envelope-malformed'],
    ['another alg', { recipients: [{ key, alg: 'ECDH-ES+A128KW' }] }, 'alg-not-allowed'],
    ['another enc', { enc: 'A128GCM' }, 'alg-not-allowed'],
  ])('%s', (_, options, code) => {
    expect(codeOf(make(options))).toBe(code)
  })

  test('a member in the entry beside alg, kid and epk', () => {
    const jwe = sealJwe(utf8('x'), { recipients: [{ key }], random, protected: good })
    const [own] = jwe.recipients
    const cut = writeCut({
      ...jwe,
      recipients: [{ encryptedKey: own?.encryptedKey ?? new Uint8Array(0), header: { ...own?.header, apu: 'AA' } }],
    })
    expect(readEnvelope(cut.entries[0] ?? new Uint8Array(0), cut.body)).toEqual({ ok: false, code: 'envelope-malformed' })
  })
})

describe('a signed message', () => {
  const random = seeded(37)
  const jwk = generateKey('Ed25519', { random })
  const signer = importKey(jwk)
  const text = signMessage(attributes, { signer })

  test('names its key and is typed', () => {
    expect(JSON.parse(new TextDecoder().decode(Buffer.from(text.split('.')[0] ?? '', 'base64url')))).toEqual({
      alg: 'EdDSA',
      kid: jwk.kid,
      typ: 'JWM',
    })
  })

  test('is verified by the other backend too', () => {
    const { signed } = mustRead(readSigned(utf8(text)))
    expect(verifySigned(signed, importKey(publicJwk(jwk), { backend: noble }))).toMatchObject({ ok: true, attributes })
  })

  test('by another key is refused', () => {
    const { signed } = mustRead(readSigned(text))
    expect(verifySigned(signed, importKey(publicJwk(generateKey('Ed25519', { random })), { kid: jwk.kid ?? '' }))).toEqual({
      ok: false,
      code: 'signature-invalid',
    })
  })

  test('by a P-256 key is as good', () => {
    const es = importKey(generateKey('P-256', { random }))
    const { signed } = mustRead(readSigned(signMessage(attributes, { signer: es })))
    expect(signed.alg).toBe('ES256')
    expect(verifySigned(signed, es)).toMatchObject({ ok: true, attributes })
  })

  test.each<[string, string]>([
    ['no algorithm', '{"kid":"x"}'],
    ['alg none', '{"alg":"none"}'],
    ['a type that is not JWM', '{"alg":"EdDSA","typ":"JWT"}'],
    ['content that is a message again', '{"alg":"EdDSA","cty":"JWM"}'],
    ['a kid that is a number', '{"alg":"EdDSA","kid":7}'],
  ])('with %s is refused', (_, header) => {
    expect(readSigned(`${base64url(utf8(header))}.${text.split('.').slice(1).join('.')}`).ok).toBe(false)
  })

  test('cut anywhere is refused', () => {
    for (let i = 0; i < text.length; i++) {
      const read = readSigned(text.slice(0, i))
      expect(read.ok && verifySigned(read.signed, signer).ok).toBe(false)
    }
  })
})
