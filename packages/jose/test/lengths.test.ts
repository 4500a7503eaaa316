import { utf8 } from '@parley/core'
import { contentAlgorithms, generateKey, importKey, type Jwe, type Jwk, openJwe, sealJwe } from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, seeded } from './setup.ts'

const plaintext = utf8('octets that are counted')
const longer = (octets: Uint8Array): Uint8Array => Uint8Array.of(...octets, 0)
const secret = (length: number): Jwk => ({ kty: 'oct', k: Buffer.alloc(length, 7).toString('base64url') })

describe.each(backends.map((backend) => [backend.name, backend] as const))('lengths with the %s backend', (_, backend) => {
  const random = seeded(53)
  const key = importKey(secret(32), { backend })

  test.each([...contentAlgorithms.keys()])('an IV or tag of another length is refused: %s', (enc) => {
    const jwe = sealJwe(plaintext, { recipients: [{ key }], random, enc })
    const row = contentAlgorithms.get(enc)
    expect([jwe.iv.length, jwe.tag.length]).toEqual([row?.ivBytes, row?.tagBytes])
    // Node's GCM takes tags of four octets, IVs of any length, and node:crypto a tag without one, when it is let.
    for (let length = 0; length < 40; length++) {
      const [iv, tag] = [new Uint8Array(length), jwe.tag.slice(0, length)]
      iv.set(jwe.iv.subarray(0, length))
      if (length !== jwe.iv.length) expect(openJwe({ ...jwe, iv }, { keys: [key] })).toEqual({ ok: false, code: 'jwe-malformed' })
      if (tag.length !== jwe.tag.length)
        expect(openJwe({ ...jwe, tag }, { keys: [key] })).toEqual({ ok: false, code: 'jwe-malformed' })
    }
    expect(openJwe({ ...jwe, tag: longer(jwe.tag) }, { keys: [key] })).toEqual({ ok: false, code: 'jwe-malformed' })
  })

  test('so they are in an AES-GCM key wrap', () => {
    const jwe = sealJwe(plaintext, { recipients: [{ key, alg: 'A256GCMKW' }], random })
    const [recipient] = jwe.recipients
    const open = (more: object): unknown =>
      openJwe({ ...jwe, recipients: [recipient && { ...recipient, header: { ...recipient.header, ...more } }] }, { keys: [key] })
    expect(open({})).toMatchObject({ ok: true })
    const { iv = '', tag = '' } = (recipient?.header ?? {}) as { readonly iv?: string; readonly tag?: string }
    for (const more of [
      { iv: iv.slice(0, 14) },
      { iv: `${iv}AAAA` },
      { iv: '' },
      { tag: tag.slice(0, 6) },
      { tag: '' },
      { tag: 7 },
    ])
      expect(open(more)).toEqual({ ok: false, code: 'decryption-failed', cause: 'unwrap' })
  })

  test.each([...contentAlgorithms.values()])(
    'a content key is as long as $enc needs, neither shorter nor longer',
    ({ enc, keyBytes }) => {
      const jwe = sealJwe(plaintext, { recipients: [{ key }], random, enc })
      for (const length of [16, 24, 32, 40, 48, 56, 64, 72]) {
        if (length === keyBytes) continue
        const encryptedKey = backend.keyWrap(backend.importSecret(new Uint8Array(32).fill(7)), new Uint8Array(length))
        const other: Jwe = { ...jwe, recipients: [{ header: undefined, encryptedKey }] }
        expect(openJwe(other, { keys: [key] })).toEqual({ ok: false, code: 'jwe-malformed' })
        expect(() =>
          sealJwe(plaintext, { recipients: [{ key: importKey(secret(length), { backend }), alg: 'dir' }], random, enc }),
        ).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
      }
    },
  )

  test('every message has a content key and an IV of its own, and a wrapping key is never the content key', () => {
    const seen = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const jwe = sealJwe(plaintext, { recipients: [{ key }], random })
      const cek = backend.keyUnwrap(
        backend.importSecret(new Uint8Array(32).fill(7)),
        jwe.recipients[0]?.encryptedKey ?? new Uint8Array(0),
      )
      expect(cek).toHaveLength(32)
      expect(cek).not.toEqual(new Uint8Array(32).fill(7))
      seen.add(Buffer.from(cek ?? []).toString('hex')).add(Buffer.from(jwe.iv).toString('hex'))
      // It is the content key: the content opens with it, and not with the wrapping key.
      const aad = utf8(jwe.protected.text)
      expect(backend.gcmOpen(cek, jwe.iv, jwe, aad)).toEqual(plaintext)
      expect(backend.gcmOpen(new Uint8Array(32).fill(7), jwe.iv, jwe, aad)).toBeUndefined()
    }
    expect(seen.size).toBe(40)
  })

  test('a key that encrypts by itself does so no more often than it may', () => {
    const limited = importKey(secret(32), { backend, directUsesMax: 3 })
    const seal = (alg: string): Jwe => sealJwe(plaintext, { recipients: [{ key: limited, alg }], random })
    const made = [seal('dir'), seal('A256GCMKW'), seal('dir')]
    for (const alg of ['dir', 'A256GCMKW'])
      expect(() => seal(alg)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_LIMIT_EXCEEDED' }))
    // Wrapping without a nonce and opening go on.
    for (const jwe of [...made, seal('A256KW')]) expect(openJwe(jwe, { keys: [limited] })).toMatchObject({ ok: true, plaintext })
  })

  test('an agreement key is never the content key of two messages', () => {
    const agreeing = importKey(generateKey('X25519', { random, backend }), { backend })
    const epks = Array.from({ length: 5 }, () => sealJwe(plaintext, { recipients: [{ key: agreeing, alg: 'ECDH-ES' }], random }))
    expect(new Set(epks.map(({ protected: { text } }) => text)).size).toBe(5)
  })
})
