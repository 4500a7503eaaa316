import { fromBase64url } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { backend as noble } from '../src/backend/noble.ts'
import { backend as node } from '../src/backend/node.ts'
import { generateKey, importKey, type Key, openJwe, sealJwe } from '../src/index.ts'
import { noble as all } from '../src/noble.ts'
import { seeded } from './setup.ts'

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 151 + (i >> 3)) & 0xff)

describe('base64url of long texts on Node, which has a way of its own', () => {
  test.each([1533, 1536, 1537, 1538, 3000, 3001, 3002])('%i octets come back, as in the strict decoder', (length) => {
    const text = noble.base64url(bytes(length))
    expect(node.base64url(bytes(length))).toBe(text)
    expect(node.fromBase64url(text)).toEqual(bytes(length))
  })

  test.each([2400, 2402, 2403])('any other character anywhere in %i is refused, as by the strict decoder', (length) => {
    const text = noble
      .base64url(bytes(1803))
      .slice(0, length - 1)
      .concat('A')
    const places = [0, 1, 2, 3, 1000, 1001, length - 5, length - 4, length - 3, length - 2, length - 1]
    const others = [
      ...Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)),
      '\ud800',
      '\u2041',
      '😀',
      '',
      'AA',
      'A=',
    ]
    const told: unknown[] = []
    for (const at of places) {
      for (const other of others) {
        const changed = text.slice(0, at) + other + text.slice(at + 1)
        const [taken, expected] = [node.fromBase64url(changed), fromBase64url(changed)]
        const isSame = taken === undefined || expected === undefined ? taken === expected : Buffer.compare(taken, expected) === 0
        if (!isSame) told.push([at, other])
      }
    }
    expect(told).toEqual([])
  })
})

describe('the smallest backend, which browsers load', () => {
  const random = seeded(3)
  const secret = (length: number) => importKey({ kty: 'oct', k: noble.base64url(bytes(length)) }, { backend: noble })

  test('has the default algorithms', () => {
    for (const kind of ['Ed25519', 'X25519', 'P-256'] as const) {
      expect(importKey(generateKey(kind, { random }), { backend: noble }).crv).toBe(kind)
    }
    const jwe = sealJwe(bytes(9), { recipients: [{ key: secret(32) }], random })
    expect(openJwe(jwe, { keys: [secret(32)] })).toMatchObject({ ok: true, plaintext: bytes(9) })
  })

  test.each(['P-384', 'P-521', 'secp256k1'] as const)('says that it has no %s, which all of noble has', (kind) => {
    const jwk = generateKey(kind, { random })
    expect(() => importKey(jwk, { backend: noble })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNAVAILABLE' }))
    expect(importKey(jwk, { backend: all }).crv).toBe(kind)
  })

  test.each([
    ['C20P', 32],
    ['XC20P', 32],
    ['A128CBC-HS256', 32],
    ['A256CBC-HS512', 64],
  ] as const)('says that it has no %s, which all of noble has', (enc, length) => {
    const jwk = { kty: 'oct', k: noble.base64url(bytes(length)) }
    const [small, large] = [importKey(jwk, { backend: noble }), importKey(jwk, { backend: all })]
    const seal = (key: Key) => sealJwe(bytes(9), { recipients: [{ key, alg: 'dir' }], random, enc })
    expect(() => seal(small)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_ALGORITHM_UNAVAILABLE' }))
    expect(openJwe(seal(large), { keys: [large] }).ok).toBe(true)
    expect(openJwe(seal(large), { keys: [small] }).ok).toBe(false)
  })

  test('says that it takes no passwords', () => {
    const alg = 'PBES2-HS256+A128KW'
    const seal = (key: Key) => sealJwe(bytes(9), { recipients: [{ key, alg }], random, passwordIterations: 1000 })
    const jwk = { kty: 'oct', k: noble.base64url(bytes(12)), alg }
    const [small, large] = [importKey(jwk, { backend: noble }), importKey(jwk, { backend: all })]
    expect(() => seal(small)).toThrow(expect.objectContaining({ code: 'ERR_JOSE_ALGORITHM_UNAVAILABLE' }))
    expect(openJwe(seal(large), { keys: [large], algorithms: [alg] }).ok).toBe(true)
    expect(openJwe(seal(large), { keys: [small], algorithms: [alg] }).ok).toBe(false)
  })
})

describe('base64url in octets', () => {
  test.each([0, 1, 2, 3, 1000, 24_576, 24_577, 24_578, 24_579, 100_001])('%i octets are written and read', (length) => {
    const text = noble.base64url(bytes(length))
    for (const backend of [node, noble]) {
      const target = new Uint8Array(text.length + 7).fill(0x2e)
      expect(backend.writeBase64url(bytes(length), target, 5)).toBe(5 + text.length)
      expect(backend.asciiText(target)).toBe(`.....${text}..`)
      expect(backend.readBase64url(target.subarray(5, 5 + text.length))).toEqual(bytes(length))
    }
  })

  test.each([4, 7, 32_768, 32_770, 32_771, 40_000])(
    'any other octet anywhere in %i is refused, as by the strict decoder',
    (length) => {
      const sound = node.ascii(`${noble.base64url(bytes(30_000)).slice(0, length - 1)}A`)
      const places = [0, 1, 2, 3, 32_766, 32_767, 32_768, length - 4, length - 3, length - 2, length - 1]
      const told: unknown[] = []
      for (const at of places.filter((place) => place >= 0 && place < length)) {
        for (let octet = 0; octet < 256; octet++) {
          const changed = sound.slice()
          changed[at] = octet
          const [taken, expected] = [node.readBase64url(changed), noble.readBase64url(changed)]
          const isSame =
            taken === undefined || expected === undefined ? taken === expected : Buffer.compare(taken, expected) === 0
          if (!isSame) told.push([at, octet])
        }
      }
      expect(told).toEqual([])
    },
  )
})
