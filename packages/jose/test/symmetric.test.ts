import { utf8 } from '@parley/core'
import { aeadOpen, aeadSeal, sha256, unwrapKey, wrapKey } from '@parley/jose'
import { expect, test } from 'vitest'

const key = new Uint8Array(32).fill(7)
const iv = new Uint8Array(12)

test('what was sealed opens with the same key, IV and additional data alone', () => {
  const sealed = aeadSeal(key, { iv, plaintext: utf8('secret'), aad: utf8('row') })
  expect(sealed.length).toBe(6 + 16)
  expect(aeadOpen(key, { iv, sealed, aad: utf8('row') })).toEqual(utf8('secret'))
  expect(aeadOpen(key, { iv, sealed, aad: utf8('other row') })).toBeUndefined()
  expect(aeadOpen(key, { iv, sealed })).toBeUndefined()
  expect(aeadOpen(key, { iv: new Uint8Array(12).fill(1), sealed, aad: utf8('row') })).toBeUndefined()
  expect(aeadOpen(new Uint8Array(32), { iv, sealed, aad: utf8('row') })).toBeUndefined()
  for (let i = 0; i < sealed.length; i++)
    expect(aeadOpen(key, { iv, sealed: sealed.subarray(0, i), aad: utf8('row') })).toBeUndefined()
})

test('nothing seals to a tag alone', () => {
  expect(aeadOpen(key, { iv, sealed: aeadSeal(key, { iv, plaintext: new Uint8Array(0) }) })).toEqual(new Uint8Array(0))
})

test('lengths that cannot be right are misuse', () => {
  expect(() => aeadSeal(new Uint8Array(16), { iv, plaintext: key })).toThrow(RangeError)
  expect(() => aeadSeal(key, { iv: new Uint8Array(16), plaintext: key })).toThrow(RangeError)
  expect(() => wrapKey(key, new Uint8Array(15))).toThrow(RangeError)
  expect(() => wrapKey(new Uint8Array(8), key)).toThrow(RangeError)
})

test('a wrapped key unwraps, a changed one does not', () => {
  const wrapped = wrapKey(key, new Uint8Array(32).fill(9))
  expect(unwrapKey(key, wrapped)).toEqual(new Uint8Array(32).fill(9))
  expect(unwrapKey(new Uint8Array(32), wrapped)).toBeUndefined()
  expect(unwrapKey(key, wrapped.subarray(1))).toBeUndefined()
  expect(unwrapKey(key, new Uint8Array(0))).toBeUndefined()
})

test('SHA-256 is SHA-256', () => {
  expect(Buffer.from(sha256(utf8('abc'))).toString('hex')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})
