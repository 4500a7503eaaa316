import { utf8 } from '@parley/core'
import {
  addSignature,
  generateKey,
  importKey,
  type Jws,
  type Key,
  type KeyKind,
  publicJwk,
  readJose,
  signCompact,
  signJws,
  toCompactJws,
  toFlattenedJws,
  toGeneralJws,
  toUrlSafe,
  unsecuredJws,
  verifyJws,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, mustRead, seeded } from './setup.ts'

const payload = utf8('{"id":"1"}')

for (const backend of backends) {
  describe(`JWS with the ${backend.name} backend`, () => {
    const random = seeded(3)
    const pair = (kind: KeyKind): { secret: Key; open: Key } => {
      const jwk = generateKey(kind, { random, backend })
      return { secret: importKey(jwk, { backend }), open: importKey(publicJwk(jwk), { backend }) }
    }
    const ed = pair('Ed25519')
    const es = pair('P-256')
    const stranger = pair('Ed25519')
    const reread = (form: Parameters<typeof readJose>[0]): Jws => {
      const read = mustRead(readJose(form))
      if (read.kind !== 'jws') throw new Error('not a JWS')
      return read.jws
    }

    test.each([
      ['EdDSA', ed],
      ['Ed25519', ed],
      ['ES256', es],
    ])('%s verifies in every serialization', (alg, { secret, open }) => {
      const jws = signJws(payload, { signers: [{ key: secret, alg, protected: { typ: 'JWM' } }] })
      const forms = [
        toCompactJws(jws),
        toFlattenedJws(jws),
        toGeneralJws(jws),
        JSON.stringify(toGeneralJws(jws)),
        toUrlSafe(toFlattenedJws(jws)),
      ]
      for (const form of [...forms, signCompact(payload, { key: secret, alg, typ: 'JWM' })]) {
        const verified = mustRead(verifyJws(reread(form), { keys: [stranger.open, open] }))
        expect(verified.payload).toEqual(payload)
        expect(verified.signatures).toMatchObject([{ alg, kid: open.kid, verified: true, protectedHeader: { typ: 'JWM' } }])
      }
    })

    test('a gateway adds its signature and leaves the first as it is', () => {
      const first = signJws(payload, { signers: [{ key: ed.secret }] })
      const both = addSignature(first, { key: es.secret, unprotected: { hop: 1 } })
      expect(both.signatures[0]).toBe(first.signatures[0])
      expect(verifyJws(reread(toGeneralJws(both)), { keys: [ed.open, es.open] })).toMatchObject({ ok: true })
      expect(() => toCompactJws(both)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_FORM_IMPOSSIBLE' }))
    })

    test('the policy says whether all or any must hold', () => {
      const jws = signJws(payload, { signers: [{ key: ed.secret }, { key: es.secret }] })
      expect(verifyJws(jws, { keys: [ed.open] })).toEqual({ ok: false, code: 'key-unknown' })
      const any = mustRead(verifyJws(jws, { keys: [ed.open], require: 'any' }))
      expect(any.signatures.map(({ verified }) => verified)).toEqual([true, false])
      const [a, b] = jws.signatures
      if (a === undefined || b === undefined) throw new Error('two were made')
      const swapped: Jws = { ...jws, signatures: [{ ...a, signature: b.signature }, b] }
      expect(verifyJws(swapped, { keys: [ed.open, es.open] })).toEqual({ ok: false, code: 'signature-invalid' })
      expect(
        mustRead(verifyJws(swapped, { keys: [ed.open, es.open], require: 'any' })).signatures.map(({ verified }) => verified),
      ).toEqual([false, true])
    })

    test('none is read only when named, and never beside a signature', () => {
      const jws = unsecuredJws(payload)
      expect(toCompactJws(jws).endsWith('.')).toBe(true)
      expect(verifyJws(jws, { keys: [ed.open] })).toEqual({ ok: false, code: 'alg-not-allowed' })
      expect(verifyJws(jws, { keys: [], algorithms: ['none'] })).toMatchObject({ ok: true, signatures: [{ verified: false }] })
      const [none] = jws.signatures
      if (none === undefined) throw new Error('one was made')
      expect(verifyJws({ ...jws, signatures: [{ ...none, signature: utf8('x') }] }, { keys: [], algorithms: ['none'] }).ok).toBe(
        false,
      )
      const signed = signJws(payload, { signers: [{ key: ed.secret }] })
      const mixed = { ...signed, signatures: [...signed.signatures, none] }
      expect(verifyJws(mixed, { keys: [ed.open], algorithms: ['none', 'EdDSA'] })).toEqual({ ok: false, code: 'alg-not-allowed' })
    })

    test('a key is used only as its kid, type, alg, use and key_ops say', () => {
      const jwk = publicJwk(generateKey('Ed25519', { random: seeded(3), backend }))
      const jws = signJws(payload, { signers: [{ key: ed.secret }] })
      expect(verifyJws(jws, { keys: [importKey(jwk, { backend })] }).ok).toBe(true)
      expect(verifyJws(jws, { keys: [importKey({ ...jwk, kid: 'another' }, { backend })] })).toEqual({
        ok: false,
        code: 'key-unknown',
      })
      for (const change of [{ alg: 'ES256' }, { use: 'enc' }, { key_ops: ['sign'] }, { key_ops: ['deriveKey'] }]) {
        const read = importAnyway({ ...jwk, ...change })
        if (read !== undefined) expect(verifyJws(jws, { keys: [read] })).toEqual({ ok: false, code: 'key-unfit' })
      }
      expect(
        verifyJws(jws, { keys: [importKey({ ...jwk, alg: 'Ed25519', use: 'sig', key_ops: ['verify'] }, { backend })] }).ok,
      ).toBe(true)
      expect(() => signJws(payload, { signers: [{ key: ed.open }] })).toThrow(
        expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }),
      )
    })

    function importAnyway(jwk: Parameters<typeof importKey>[0]): Key | undefined {
      try {
        return importKey(jwk, { backend })
      } catch {
        return undefined
      }
    }

    test('r and s are 32 octets each, in range, never DER', () => {
      const jws = signJws(payload, { signers: [{ key: es.secret }] })
      const [only] = jws.signatures
      if (only === undefined) throw new Error('one was made')
      const attempt = (signature: Uint8Array) => verifyJws({ ...jws, signatures: [{ ...only, signature }] }, { keys: [es.open] })
      for (const bad of [
        new Uint8Array(64),
        new Uint8Array(64).fill(0xff),
        only.signature.subarray(0, 63),
        new Uint8Array([...only.signature, 0]),
        new Uint8Array(0),
      ]) {
        expect(attempt(bad)).toEqual({ ok: false, code: 'signature-invalid' })
      }
    })

    test('an EdDSA signature with S beyond the order is refused', () => {
      const order = 2n ** 252n + 27742317777372353535851937790883648493n
      const jws = signJws(payload, { signers: [{ key: ed.secret }] })
      const [only] = jws.signatures
      if (only === undefined) throw new Error('one was made')
      let s = 0n
      for (let i = 63; i >= 32; i--) s = (s << 8n) | BigInt(only.signature[i] ?? 0)
      s += order
      const signature = only.signature.slice()
      for (let i = 32; i < 64; i++, s >>= 8n) signature[i] = Number(s & 0xffn)
      expect(verifyJws({ ...jws, signatures: [{ ...only, signature }] }, { keys: [ed.open] })).toEqual({
        ok: false,
        code: 'signature-invalid',
      })
    })

    test('no bit flip of any character verifies', () => {
      const text = signCompact(payload, { key: ed.secret, typ: 'JWM' })
      let tried = 0
      for (let i = 0; i < text.length; i++) {
        for (let bit = 0; bit < 7; bit++, tried++) {
          const read = readJose(text.slice(0, i) + String.fromCharCode(text.charCodeAt(i) ^ (1 << bit)) + text.slice(i + 1))
          if (read.ok && read.kind === 'jws' && verifyJws(read.jws, { keys: [ed.open] }).ok)
            throw new Error(`verified with bit ${bit} of ${i} flipped`)
        }
      }
      expect(tried).toBe(text.length * 7)
    }, 60_000)

    test('no truncation is read as the whole', () => {
      const text = signCompact(payload, { key: ed.secret })
      for (let i = 0; i < text.length; i++) {
        const read = readJose(text.slice(0, i))
        expect(read.ok && read.kind === 'jws' && verifyJws(read.jws, { keys: [ed.open] }).ok).toBe(false)
      }
    })
  })
}
