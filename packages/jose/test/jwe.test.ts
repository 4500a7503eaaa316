import { utf8 } from '@parley/core'
import {
  commitment,
  generateKey,
  importKey,
  type Jwe,
  type Key,
  type KeyKind,
  openJwe,
  publicJwk,
  readJose,
  sealJwe,
  toCompactJwe,
  toFlattenedJwe,
  toGeneralJwe,
  toUrlSafe,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

const plaintext = utf8('one message, many readers')

for (const backend of backends) {
  describe(`JWE with the ${backend.name} backend`, () => {
    const random = seeded(7)
    const pair = (kind: KeyKind): { secret: Key; open: Key } => {
      const jwk = generateKey(kind, { random, backend })
      if (kind === 'oct-256') {
        const key = importKey(jwk, { kid: 'sid', backend })
        return { secret: key, open: key }
      }
      return { secret: importKey(jwk, { backend }), open: importKey(publicJwk(jwk), { backend }) }
    }
    const x = pair('X25519')
    const y = pair('X25519')
    const p = pair('P-256')
    const smk = pair('oct-256')
    const open = (jwe: Jwe, ...keys: Key[]) => openJwe(jwe, { keys })
    const reread = (jwe: Jwe): Jwe => {
      const read = mustRead(readJose(JSON.stringify(toGeneralJwe(jwe))))
      if (read.kind !== 'jwe') throw new Error('not a JWE')
      return read.jwe
    }

    test('every recipient of a mixed set opens it, and nobody else', () => {
      const jwe = reread(sealJwe(plaintext, { recipients: [x, y, p, smk].map(({ open }) => ({ key: open })), random }))
      for (const [i, { secret }] of [x, y, p, smk].entries()) {
        expect(open(jwe, secret)).toMatchObject({ ok: true, plaintext, recipient: i, committed: true, key: secret })
      }
      expect(open(jwe, pair('X25519').secret)).toMatchObject({ ok: false, code: 'key-unknown' })
    })

    test('recipients of one curve share one ephemeral key in the protected header', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }, { key: y.open }], random })
      expect(Object.keys(jwe.protected.header)).toEqual(['alg', 'enc', 'epk', 'ckc'])
      expect(jwe.recipients.map((recipient) => recipient?.header)).toEqual([{ kid: x.open.kid }, { kid: y.open.kid }])
    })

    test('a session key beside them says so in its own header', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }, { key: smk.open }], random })
      expect(Object.keys(jwe.protected.header)).toEqual(['enc', 'epk', 'ckc'])
      expect(jwe.recipients.map((recipient) => Object.keys(recipient?.header ?? {}))).toEqual([
        ['alg', 'kid'],
        ['alg', 'kid'],
      ])
    })

    test('with two curves each recipient bears the ephemeral key of its own, so that no name stands twice', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }, { key: p.open }, { key: y.open }], random })
      expect(Object.keys(jwe.protected.header)).toEqual(['alg', 'enc', 'ckc'])
      const epks = jwe.recipients.map((recipient) => recipient?.header?.['epk'])
      expect(epks[0]).toEqual(epks[2])
      expect(epks[1]).toMatchObject({ crv: 'P-256' })
    })

    test.each(['A256GCM', 'A192GCM', 'A128GCM'])('opens %s in every serialization', (enc) => {
      for (const alg of ['ECDH-ES+A256KW', 'ECDH-ES+A192KW', 'ECDH-ES+A128KW', 'ECDH-ES']) {
        const jwe = sealJwe(plaintext, { recipients: [{ key: x.open, alg }], random, enc, allProtected: true })
        const forms = [
          toCompactJwe(jwe),
          toFlattenedJwe(jwe),
          toGeneralJwe(jwe),
          toUrlSafe(toGeneralJwe(jwe)),
          utf8(JSON.stringify(toGeneralJwe(jwe))),
        ]
        for (const form of forms) {
          const read = mustRead(readJose(form))
          expect(read.kind === 'jwe' && open(read.jwe, x.secret)).toMatchObject({
            ok: true,
            plaintext,
            alg,
            enc,
            committed: alg !== 'ECDH-ES',
          })
        }
      }
    })

    test('a direct key has one recipient and no commitment', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: smk.open, alg: 'dir' }], random })
      expect(open(reread(jwe), smk.secret)).toMatchObject({ ok: true, plaintext, committed: false })
      expect(() => sealJwe(plaintext, { recipients: [{ key: smk.open, alg: 'dir' }, { key: x.open }], random })).toThrow(
        expect.objectContaining({ code: 'ERR_JOSE_FORM_IMPOSSIBLE' }),
      )
    })

    test('the application data is authenticated and handed back', () => {
      const jwe = reread(sealJwe(plaintext, { recipients: [{ key: x.open }], random, aad: utf8('seen by all') }))
      expect(open(jwe, x.secret)).toMatchObject({ ok: true, aad: utf8('seen by all') })
      expect(open({ ...jwe, aad: utf8('seen by none') }, x.secret)).toMatchObject({
        ok: false,
        code: 'decryption-failed',
        cause: 'content',
      })
      expect(open({ ...jwe, aad: undefined }, x.secret)).toMatchObject({ ok: false, code: 'decryption-failed' })
    })

    test('a broken entry of another does not stop mine, and a broken one of mine does not stop my other', () => {
      const jwe = reread(sealJwe(plaintext, { recipients: [{ key: x.open }, { key: y.open }], random }))
      const broken = { header: { kid: x.open.kid ?? '' }, encryptedKey: new Uint8Array(40) }
      expect(open({ ...jwe, recipients: [undefined, jwe.recipients[1]] }, y.secret)).toMatchObject({ ok: true, recipient: 1 })
      expect(open({ ...jwe, recipients: [broken, jwe.recipients[1]] }, x.secret, y.secret)).toMatchObject({
        ok: true,
        recipient: 1,
      })
      expect(open({ ...jwe, recipients: [broken] }, x.secret)).toMatchObject({
        ok: false,
        code: 'decryption-failed',
        cause: 'unwrap',
      })
      expect(open({ ...jwe, recipients: [{ ...broken, encryptedKey: new Uint8Array(3) }] }, x.secret)).toMatchObject({
        ok: false,
        code: 'jwe-malformed',
      })
    })

    test('one ciphertext cannot hold another content key for another reader', () => {
      const one = sealJwe(plaintext, { recipients: [{ key: x.open }], random })
      const cek = random.bytes(32)
      const other = {
        header: { kid: 'sid' },
        encryptedKey: backend.keyWrap(backend.importSecret(new Uint8Array(32).fill(1)), cek),
      }
      const header = { ...one.protected.header, alg: 'A256KW' }
      const text = backend.base64url(utf8(JSON.stringify(header)))
      const iv = one.iv
      const { ciphertext, tag } = backend.gcmSeal(cek, iv, plaintext, utf8(text))
      const forged: Jwe = { ...one, protected: { text, header }, recipients: [other], iv, ciphertext, tag }
      const key = importKey({ kty: 'oct', k: backend.base64url(new Uint8Array(32).fill(1)), kid: 'sid' }, { backend })
      expect(open(forged, key)).toEqual({ ok: false, code: 'decryption-failed', cause: 'commitment' })
      const honest = { ...header, ckc: backend.base64url(commitment(cek, { enc: 'A256GCM', backend })) }
      const honestText = backend.base64url(utf8(JSON.stringify(honest)))
      const sealed = backend.gcmSeal(cek, iv, plaintext, utf8(honestText))
      expect(open({ ...forged, protected: { text: honestText, header: honest }, ...sealed }, key)).toMatchObject({
        ok: true,
        committed: true,
      })
    })

    test.each([
      ['an all-zero point', { kty: 'OKP', crv: 'X25519', x: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
      ['a point of order 8', { kty: 'OKP', crv: 'X25519', x: '4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA' }],
      ['a short coordinate', { kty: 'OKP', crv: 'X25519', x: 'AAAA' }],
      ['another curve', { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }],
      ['no key at all', 'epk'],
    ])('refuses %s as epk', (_, epk) => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }], random })
      const header = { ...jwe.protected.header, epk }
      const text = backend.base64url(utf8(JSON.stringify(header)))
      expect(open({ ...jwe, protected: { text, header } }, x.secret)).toEqual({
        ok: false,
        code: 'decryption-failed',
        cause: 'agreement',
      })
    })

    test('refuses a P-256 epk off the curve', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: p.open }], random })
      const epk = jwe.protected.header['epk'] as { [name: string]: string }
      const header = { ...jwe.protected.header, epk: { ...epk, y: epk['x'] ?? '' } }
      expect(open({ ...jwe, protected: { text: jwe.protected.text, header } }, p.secret)).toMatchObject({
        ok: false,
        cause: 'agreement',
      })
    })

    test('algorithms are checked before any key is used', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }], random })
      expect(openJwe(jwe, { keys: [x.secret], algorithms: ['A256KW'] })).toMatchObject({ ok: false, code: 'alg-not-allowed' })
      expect(openJwe(jwe, { keys: [x.secret], contentAlgorithms: ['A128GCM'] })).toMatchObject({
        ok: false,
        code: 'alg-not-allowed',
      })
      expect(openJwe(jwe, { keys: [x.secret], algorithms: ['ECDH-ES+A256KW'], contentAlgorithms: ['A256GCM'] })).toMatchObject({
        ok: true,
      })
    })

    test('no bit flip of any part yields a plaintext', () => {
      const jwe = sealJwe(plaintext, { recipients: [{ key: x.open }], random, allProtected: true })
      const text = toCompactJwe(jwe)
      let refused = 0
      for (let i = 0; i < text.length; i++) {
        for (let bit = 0; bit < 7; bit++) {
          const mutated = text.slice(0, i) + String.fromCharCode(text.charCodeAt(i) ^ (1 << bit)) + text.slice(i + 1)
          const read = readJose(mutated)
          if (read.ok && read.kind === 'jwe' && open(read.jwe, x.secret).ok)
            throw new Error(`opened with bit ${bit} of ${i} flipped`)
          refused++
        }
      }
      expect(refused).toBe(text.length * 7)
    }, 60_000)
  })
}

test('the backends make the same octets of the same randomness and open each other', () => {
  const made = backends.map((backend) => {
    const random = seeded(99)
    const keys = (['X25519', 'P-256', 'oct-256'] as const).map((kind) => ({
      ...generateKey(kind, { random, backend }),
      kid: kind,
    }))
    const recipients = keys.map((jwk) => ({ key: importKey(jwk, { backend }) }))
    return { keys, text: JSON.stringify(toGeneralJwe(sealJwe(plaintext, { recipients, random }))) }
  })
  expect(made[0]).toEqual(made[1])
  for (const backend of backends) {
    const read = mustRead(readJose(made[0]?.text ?? ''))
    for (const jwk of made[1]?.keys ?? []) {
      expect(read.kind === 'jwe' && openJwe(read.jwe, { keys: [importKey(jwk, { backend })] })).toMatchObject({
        ok: true,
        plaintext,
      })
    }
  }
})
