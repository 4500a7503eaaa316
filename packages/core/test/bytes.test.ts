import { describe, expect, it } from 'vitest'
import {
  base64url,
  concat,
  digitsIn,
  equal,
  fromBase64url,
  fromUtf8,
  readU32,
  sortable,
  u32,
  utf8,
  writeDigits,
} from '../src/index.ts'
import { createSimRandom } from '../src/sim/index.ts'

describe('base64url', () => {
  // RFC 4648 §10, without padding
  const vectors = [
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ] as const
  it.each(vectors)('encodes %j as %j and back', (text, encoded) => {
    expect(base64url(utf8(text))).toBe(encoded)
    expect(fromBase64url(encoded)).toEqual(utf8(text))
  })

  it.each(['Zg==', 'Zh', 'Zm9', 'Z', 'Zm9v\n', ' Zm9v', 'Zm+v', 'Zm/v', 'Zmé9'])('refuses %j', (text) => {
    expect(fromBase64url(text)).toBeUndefined()
  })

  it('returns any octets unchanged', () => {
    const random = createSimRandom(1)
    for (let i = 0; i < 300; i++) {
      const bytes = random.bytes(i)
      expect(fromBase64url(base64url(bytes))).toEqual(bytes)
    }
  })
})

describe('octets', () => {
  it('refuses overlong UTF-8, surrogates and truncated sequences', () => {
    for (const bad of [[0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xff]])
      expect(fromUtf8(Uint8Array.from(bad))).toBeUndefined()
  })
  it('keeps a BOM, so that a parser can refuse it', () => {
    expect(fromUtf8(Uint8Array.of(0xef, 0xbb, 0xbf))).toBe('\uFEFF')
  })
  it('joins and compares', () => {
    expect(concat(Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3))
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true)
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
    expect(equal(Uint8Array.of(1), Uint8Array.of(1, 3))).toBe(false)
  })
  it('reads the integers it wrote', () => {
    for (const value of [0, 1, 255, 65_536, 0xffffffff]) expect(readU32(u32(value), 0)).toBe(value)
    expect(readU32(u32(1), 1)).toBeUndefined()
    expect(sortable(255) < sortable(256)).toBe(true)
  })
})

describe('decimal digits', () => {
  const powers = Array.from({ length: 16 }, (_, i) => 10 ** i)
  it.each([0, ...powers.flatMap((power) => [power - 1, power, power + 1]), Number.MAX_SAFE_INTEGER])(
    'of %d are those of its text',
    (value) => {
      const target = new Uint8Array(20)
      expect(digitsIn(value)).toBe(String(value).length)
      expect(writeDigits(value, target, 2)).toBe(2 + String(value).length)
      expect(fromUtf8(target.subarray(2, 2 + String(value).length))).toBe(String(value))
    },
  )
})
