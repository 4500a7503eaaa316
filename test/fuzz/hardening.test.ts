import { base64url, concat, fromBase64url, type Json, type JsonObject, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import {
  type Backend,
  generateKey,
  importKey,
  type Jwk,
  type Jws,
  type Key,
  type KeyKind,
  backend as node,
  openJwe,
  publicJwk,
  readJose,
  readKey,
  sealJwe,
  signCompact,
  signJws,
  toCompactJws,
  toFlattenedJwe,
  toGeneralJwe,
  toGeneralJws,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, it } from 'vitest'

// Attacks by name, each with the code it must end in. Others stand where their subject is tested: strict JSON and
// base64url, disjoint headers, `crit` and `b64` in packages/jose/test, the commitment in jwe.test.ts.
const random = createSimRandom('hardening')
const payload = utf8('the content')
const kinds = ['Ed25519', 'X25519', 'P-256', 'P-384', 'P-521', 'secp256k1', 'oct-256'] as const
const jwks = new Map<KeyKind, Jwk>(kinds.map((kind) => [kind, { ...generateKey(kind, { random }), kid: kind }]))
const rsa: Jwk = {
  ...publicJwk({ kty: 'RSA', n: base64url(concat(Uint8Array.of(0xc1), random.bytes(254), Uint8Array.of(1))), e: 'AQAB' }),
  kid: 'rsa',
}

function jwkOf(kind: KeyKind): Jwk {
  const jwk = jwks.get(kind)
  if (jwk === undefined) throw new Error(kind)
  return jwk
}

type Answer = { readonly code: string; readonly cause?: string }

function answer(result: { readonly ok: boolean; readonly code?: string; readonly cause?: string }): Answer {
  if (result.ok) return { code: 'taken' }
  return result.cause === undefined ? { code: result.code ?? '' } : { code: result.code ?? '', cause: result.cause }
}

function decrypt(input: string | JsonObject, keys: readonly Key[], algorithms?: readonly string[]): Answer {
  const read = readJose(input)
  if (!read.ok || read.kind !== 'jwe') return answer(read)
  return answer(openJwe(read.jwe, { keys, ...(algorithms === undefined ? {} : { algorithms }) }))
}

function verify(input: string | JsonObject, keys: readonly Key[]): Answer {
  const read = readJose(input)
  if (!read.ok || read.kind !== 'jws') return answer(read)
  return answer(verifyJws(read.jws, { keys }))
}

/** A Flattened JWE with members of its protected header replaced. */
function withHeader(object: JsonObject, more: JsonObject): JsonObject {
  const header = JSON.parse(Buffer.from(String(object['protected']), 'base64url').toString()) as JsonObject
  return { ...object, protected: base64url(utf8(JSON.stringify({ ...header, ...more }))) }
}

const zeros = (bytes: number): string => base64url(new Uint8Array(bytes))
const hex = (text: string): string => base64url(Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)))

/** u-coordinates on X25519 and its twist whose multiples are few (RFC 7748 §6.1, "contributory behaviour"). */
const lowOrder: readonly (readonly [string, string])[] = [
  ['0', zeros(32)],
  ['1', hex(`01${'00'.repeat(31)}`)],
  ['of order 8', hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800')],
  ['of order 8 on the twist', hex('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157')],
  ['p - 1', hex(`ec${'ff'.repeat(30)}7f`)],
  ['p', hex(`ed${'ff'.repeat(30)}7f`)],
  ['p + 1', hex(`ee${'ff'.repeat(30)}7f`)],
  ['0 with the high bit', hex(`${'00'.repeat(31)}80`)],
]
const coordinateBytes = { 'P-256': 32, 'P-384': 48, 'P-521': 66 } as const

describe.each([node, noble].map((backend) => [backend.name, backend] as const))('with the %s backend', (_, backend: Backend) => {
  const own = (kind: KeyKind): Key => importKey(jwkOf(kind), { backend })
  const seen = (kind: KeyKind): Key => importKey(publicJwk(jwkOf(kind)), { backend })
  const sealed = (key: Key, more: Partial<Parameters<typeof sealJwe>[1]> = {}, alg?: string): JsonObject =>
    toFlattenedJwe(sealJwe(payload, { recipients: [{ key, ...(alg === undefined ? {} : { alg }) }], random, ...more }))

  describe('a point', () => {
    it.each(lowOrder)('%s on X25519 gives no secret, and is no key', (_, x) => {
      const epk = { kty: 'OKP', crv: 'X25519', x }
      expect(decrypt(withHeader(sealed(seen('X25519')), { epk }), [own('X25519')])).toEqual({
        code: 'decryption-failed',
        cause: 'agreement',
      })
      // What some take as a key gives no secret to seal with either.
      const read = readKey(epk, { backend })
      if (!read.ok) expect(read.code).toBe('key-malformed')
      else expect(() => sealed(read.key)).toThrowError(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
    })

    describe.each(['P-256', 'P-384', 'P-521'] as const)('on %s', (crv) => {
      const bytes = coordinateBytes[crv]
      const { x = '', y = '' } = jwkOf(crv)
      const [first, second] = [fromBase64url(x), fromBase64url(y)] as [Uint8Array, Uint8Array]
      const other = second.slice()
      other[bytes - 1] = (other[bytes - 1] ?? 0) ^ 1
      it.each<[string, string, string]>([
        ['off the curve', x, base64url(other)],
        ['at zero', zeros(bytes), zeros(bytes)],
        ['with exchanged coordinates', y, x],
        ['beyond the prime', base64url(new Uint8Array(bytes).fill(0xff)), y],
        ['with a short coordinate', base64url(first.subarray(1)), y],
        ['with a long coordinate', base64url(concat(Uint8Array.of(0), first)), y],
        ['with one coordinate', x, ''],
        ['with unused bits', x, `${y.slice(0, -1)}${bytes % 3 === 0 ? '=' : y.endsWith('B') ? 'C' : 'B'}`],
      ])('%s is refused, as epk and as key', (_, x, y) => {
        const epk = { kty: 'EC', crv, x, y }
        expect(decrypt(withHeader(sealed(seen(crv)), { epk }), [own(crv)])).toEqual({
          code: 'decryption-failed',
          cause: 'agreement',
        })
        expect(answer(readKey(epk, { backend }))).toEqual({ code: 'key-malformed' })
      })
    })

    it('of another curve, or with its private part, is no epk', () => {
      const { kid: _, ...other } = publicJwk(jwkOf('P-256'))
      for (const epk of [other, { ...jwkOf('X25519') }] as unknown as JsonObject[]) {
        expect(decrypt(withHeader(sealed(seen('X25519')), { epk }), [own('X25519')])).toEqual({
          code: 'decryption-failed',
          cause: 'agreement',
        })
      }
    })
  })

  describe('an algorithm', () => {
    const asymmetric = ['P-256', 'P-384', 'P-521', 'secp256k1', 'Ed25519'] as const
    const forged = (jwk: Jwk, alg: string, header: JsonObject): string => {
      const octets = concat(
        ...[jwk.n, jwk.x, jwk.y].map((text) => fromBase64url(text ?? '') ?? new Uint8Array(0)),
        new Uint8Array(64),
      )
      return signCompact(payload, { key: importKey({ kty: 'oct', k: base64url(octets) }), alg, header })
    }

    it.each(asymmetric)('HS256 under a public %s key is not taken for a signature of it', (kind) => {
      expect(verify(forged(jwkOf(kind), 'HS256', { kid: kind }), [seen(kind)])).toEqual({ code: 'key-unfit' })
      expect(verify(forged(jwkOf(kind), 'HS512', {}), [seen(kind)])).toEqual({ code: 'key-unknown' })
    })

    it('HS256 under a public RSA key is not taken for a signature of it', () => {
      if (backend.rsa === undefined) return expect(answer(readKey(rsa, { backend }))).toEqual({ code: 'key-unavailable' })
      const key = importKey(rsa, { backend })
      expect(verify(forged(rsa, 'HS256', { kid: 'rsa' }), [key])).toEqual({ code: 'key-unfit' })
      expect(verify(forged(rsa, 'HS256', {}), [key])).toEqual({ code: 'key-unknown' })
    })

    it.each(['none', 'None', 'nOnE', 'NONE', '', 'HS256 ', 'RSA1_5', '__proto__', 'constructor'])(
      '%j is taken from nobody',
      (alg) => {
        const header = base64url(utf8(JSON.stringify({ alg, kid: 'Ed25519' })))
        expect(verify(`${header}.${base64url(payload)}.`, [seen('Ed25519')])).toEqual({ code: 'alg-not-allowed' })
      },
    )

    it.each(['RSA1_5', 'ECDH-1PU+A256KW', 'none', '', '__proto__', 'PBES2-HS256+A128KW'])('%j wraps no key here', (alg) => {
      expect(decrypt(withHeader(sealed(own('oct-256')), { alg }), [own('oct-256')])).toEqual({ code: 'alg-not-allowed' })
    })

    it.each<[string, Partial<Jwk>]>([
      ['use', { use: 'sig' }],
      ['key_ops', { key_ops: ['sign'] }],
      ['alg', { alg: 'A256GCMKW' }],
    ])('is not what the %s of the key says', (_, limits) => {
      const key = importKey({ ...jwkOf('oct-256'), ...limits }, { backend })
      expect(decrypt(sealed(own('oct-256')), [key])).toEqual({ code: 'key-unfit' })
    })
  })

  describe('a key', () => {
    it('that came along in the header is trusted by nobody', () => {
      const theirs = generateKey('Ed25519', { random })
      const jwk = { ...publicJwk({ ...theirs, kid: 'Ed25519' }) } as unknown as Json
      for (const member of [
        { jwk },
        { jku: 'https://attacker.example/keys' },
        { x5u: 'https://attacker.example/x' },
        { x5c: ['MIIB'] },
        { x5t: zeros(20) },
      ]) {
        const signer = importKey({ ...theirs, kid: 'Ed25519' }, { backend })
        for (const place of [{ protected: member }, { unprotected: member }] as const) {
          const object = toGeneralJws(signJws(payload, { signers: [{ key: signer, ...place }] }))
          expect(verify(object, [])).toEqual({ code: 'key-unknown' })
          expect(verify(object, [seen('Ed25519')])).toEqual({ code: 'signature-invalid' })
        }
      }
    })

    it('under the kid of another neither verifies nor decrypts, and one of another type does not fit', () => {
      const pair = (kind: KeyKind): Key => importKey({ ...generateKey(kind, { random }), kid: 'X25519' }, { backend })
      expect(decrypt(sealed(seen('X25519')), [pair('X25519')])).toEqual({ code: 'decryption-failed', cause: 'unwrap' })
      expect(decrypt(sealed(seen('X25519')), [pair('P-256')])).toEqual({ code: 'decryption-failed', cause: 'agreement' })
      expect(decrypt(sealed(seen('X25519')), [pair('oct-256')])).toEqual({ code: 'key-unfit' })
      const text = toCompactJws(signJws(payload, { signers: [{ key: own('Ed25519') }] }))
      expect(verify(text, [importKey({ ...generateKey('Ed25519', { random }), kid: 'Ed25519' }, { backend })])).toEqual({
        code: 'signature-invalid',
      })
      expect(verify(text, [importKey({ ...generateKey('P-256', { random }), kid: 'Ed25519' }, { backend })])).toEqual({
        code: 'key-unfit',
      })
    })
  })

  describe('a length', () => {
    const cut = (object: JsonObject, name: string, bytes: number): JsonObject => ({
      ...object,
      [name]: Buffer.from(String(object[name]), 'base64url').subarray(0, bytes).toString('base64url'),
    })

    it.each([0, 4, 8, 12, 15])('of %i octets is too short for a GCM tag', (bytes) => {
      const object = sealed(own('oct-256'))
      expect(decrypt(cut(object, 'tag', bytes), [own('oct-256')])).toEqual({ code: 'jwe-malformed' })
      const { encrypted_key, header, ...rest } = sealed(own('oct-256'), {}, 'A256GCMKW')
      const short = cut(header as JsonObject, 'tag', bytes)
      const changed = { ...rest, encrypted_key: encrypted_key ?? '', header: short }
      expect(decrypt(changed, [own('oct-256')])).toEqual({ code: 'decryption-failed', cause: 'unwrap' })
    })

    it.each([0, 1, 8, 11, 13, 16, 64])('of %i octets is no GCM IV', (bytes) => {
      expect(decrypt({ ...sealed(own('oct-256')), iv: zeros(bytes) }, [own('oct-256')])).toEqual({ code: 'jwe-malformed' })
      const object = sealed(own('oct-256'), {}, 'A256GCMKW')
      const changed = { ...object, header: { ...(object['header'] as JsonObject), iv: zeros(bytes) } }
      expect(decrypt(changed, [own('oct-256')])).toEqual({ code: 'decryption-failed', cause: 'unwrap' })
    })

    it('of a CBC tag is that of its hash', () => {
      const object = sealed(own('oct-256'), { enc: 'A256CBC-HS512' })
      for (const bytes of [4, 16, 24, 31])
        expect(decrypt(cut(object, 'tag', bytes), [own('oct-256')])).toEqual({ code: 'jwe-malformed' })
    })

    it('of an encrypted key is none where nothing is encrypted', () => {
      const direct = { ...sealed(own('oct-256'), {}, 'dir'), encrypted_key: 'AAAA' }
      expect(decrypt(direct, [own('oct-256')])).toEqual({ code: 'jwe-malformed' })
      const agreed = { ...sealed(seen('X25519'), {}, 'ECDH-ES'), encrypted_key: zeros(40) }
      expect(decrypt(agreed, [own('X25519')])).toEqual({ code: 'jwe-malformed' })
    })
  })

  describe('a signature', () => {
    const orders = {
      'P-256': 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
      secp256k1: 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141',
    } as const
    const replaced = (jws: Jws, signature: Uint8Array): Answer =>
      verify(toGeneralJws({ ...jws, signatures: jws.signatures.map((one) => ({ ...one, signature })) }), keys)
    const keys = kinds.filter((kind) => kind !== 'X25519' && kind !== 'oct-256').map(seen)

    it.each(['P-256', 'P-384', 'P-521', 'secp256k1', 'Ed25519'] as const)(
      'of zeros, ones or another length is none of %s',
      (kind) => {
        const jws = signJws(payload, { signers: [{ key: own(kind) }] })
        const [{ signature } = { signature: payload }] = jws.signatures
        const half = signature.length / 2
        const one = new Uint8Array(half)
        one[half - 1] = 1
        const none = new Uint8Array(half)
        const wrong = [
          new Uint8Array(0),
          new Uint8Array(signature.length),
          new Uint8Array(signature.length).fill(0xff),
          concat(one, one),
          concat(one, none),
          concat(none, one),
          signature.subarray(1),
          signature.subarray(0, -1),
          concat(signature, Uint8Array.of(0)),
          concat(Uint8Array.of(0), signature),
          concat(signature, signature),
          new Uint8Array(100_000),
        ]
        for (const octets of wrong) expect(replaced(jws, octets)).toEqual({ code: 'signature-invalid' })
        expect(replaced(jws, signature)).toEqual({ code: 'taken' })
      },
    )

    it.each(Object.entries(orders))('of %s has both halves below the order', (kind, text) => {
      const jws = signJws(payload, { signers: [{ key: own(kind as keyof typeof orders) }] })
      const [{ signature } = { signature: payload }] = jws.signatures
      const number = (octets: Uint8Array): bigint => BigInt(`0x${Buffer.from(octets).toString('hex')}`)
      const octets = (value: bigint): Uint8Array => Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'))
      const order = BigInt(`0x${text}`)
      const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
      expect(replaced(jws, concat(octets(order), s))).toEqual({ code: 'signature-invalid' })
      expect(replaced(jws, concat(r, octets(order)))).toEqual({ code: 'signature-invalid' })
      if (number(s) + order < 1n << 256n)
        expect(replaced(jws, concat(r, octets(number(s) + order)))).toEqual({ code: 'signature-invalid' })
    })
  })

  describe('a bomb', () => {
    const nameless = (count: number): JsonObject => {
      const jwe = sealJwe(payload, {
        recipients: [{ key: importKey(generateKey('X25519', { random }), { backend, kid: 'x' }) }],
        random,
      })
      const object = toGeneralJwe(jwe)
      const [entry] = object['recipients'] as unknown as readonly JsonObject[]
      return { ...object, recipients: Array.from({ length: count }, () => ({ encrypted_key: entry?.['encrypted_key'] ?? '' })) }
    }

    it('of entries that fit every key costs a few decryptions', () => {
      expect(decrypt(nameless(8), [own('X25519')])).toEqual({ code: 'decryption-failed', cause: 'unwrap' })
      expect(decrypt(nameless(9), [own('X25519')])).toEqual({ code: 'limit-exceeded' })
      expect(decrypt(nameless(1024), [own('X25519')])).toEqual({ code: 'limit-exceeded' })
      expect(decrypt(nameless(1025), [own('X25519')])).toEqual({ code: 'limit-exceeded' })
    })

    it.each<[string, Json, string]>([
      ['more than all may have', 1_000_001, 'limit-exceeded'],
      ['a thousand million', 1_000_000_000, 'limit-exceeded'],
      ['2^53', 2 ** 53, 'header-malformed'],
      ['fewer than a thousand', 999, 'header-malformed'],
      ['none', 0, 'header-malformed'],
      ['less than none', -1, 'header-malformed'],
      ['a fraction', 1000.5, 'header-malformed'],
      ['a text', '1000', 'header-malformed'],
      ['nothing', null, 'header-malformed'],
    ])('of iterations, %s, derives no key', (_, p2c, code) => {
      const alg = 'PBES2-HS256+A128KW'
      const key = importKey({ kty: 'oct', k: base64url(utf8('correct horse')) }, { backend })
      const object = sealed(key, { passwordIterations: 1000 }, alg)
      const header = { ...(object['header'] as JsonObject), p2c }
      expect(decrypt({ ...object, header }, [key], [alg])).toEqual({ code })
      expect(decrypt(object, [key], [alg])).toEqual({ code: 'taken' })
      expect(decrypt(object, [key])).toEqual({ code: 'alg-not-allowed' })
    })

    it('of depth or size stops at the limit', () => {
      const deep = (levels: number): string => `{"ciphertext":"","header":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`
      for (const levels of [20, 1000, 1_000_000]) expect(decrypt(deep(levels), [])).toEqual({ code: 'serialization-malformed' })
      const large = base64url(utf8(JSON.stringify({ alg: 'dir', enc: 'A256GCM', note: 'x'.repeat(70_000) })))
      expect(decrypt(`${large}....`, [])).toEqual({ code: 'limit-exceeded' })
      expect(decrypt('A'.repeat(33 * 1024 * 1024), [])).toEqual({ code: 'limit-exceeded' })
    })
  })
})

describe('a serialization', () => {
  it.each<[string, string, string]>([
    ['two periods', '..', 'header-malformed'],
    ['four periods', '....', 'header-malformed'],
    ['a million periods', '.'.repeat(1_000_000), 'serialization-malformed'],
    ['empty braces', '{}', 'serialization-malformed'],
    ['a JWE with signatures', '{"ciphertext":"","signatures":[]}', 'serialization-malformed'],
    ['a JWE with a payload', '{"ciphertext":"","payload":""}', 'serialization-malformed'],
    ['General and Flattened at once', '{"ciphertext":"","recipients":[{}],"header":{"alg":"dir"}}', 'jwe-malformed'],
    ['recipients that all are broken', '{"ciphertext":"","recipients":[null,1,[]]}', 'jwe-malformed'],
    [
      'recipients that differ in enc',
      '{"ciphertext":"","recipients":[{"header":{"enc":"A256GCM"}},{"header":{"enc":"A128GCM"}}]}',
      'jwe-malformed',
    ],
    ['recipients of which one has an enc', '{"ciphertext":"","recipients":[{"header":{"enc":"A256GCM"}},{}]}', 'jwe-malformed'],
  ])('of %s is none', (_, text, code) => {
    expect(answer(readJose(text).ok ? { ok: true } : readJose(text))).toEqual({ code })
  })
})
