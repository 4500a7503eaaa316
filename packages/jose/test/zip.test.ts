import { utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { generateKey, importKey, joseLimits, openJwe, sealJwe } from '../src/index.ts'
import { noble } from '../src/noble.ts'
import { seeded } from './setup.ts'

const random = seeded(1)

const jwk = { ...generateKey('oct-256', { random }), kid: 'shared' }
const key = importKey(jwk)
const letter = utf8('a'.repeat(100_000))
const sealed = sealJwe(letter, { recipients: [{ key }], random, zip: 'DEF' })

describe('compressed content', () => {
  it('is small, and comes back for who asks for it', () => {
    expect(sealed.ciphertext.length).toBeLessThan(300)
    expect(sealed.protected.header['zip']).toBe('DEF')
    expect(openJwe(sealed, { keys: [key], zip: true })).toMatchObject({ ok: true, plaintext: letter })
  })

  it('is refused by who does not', () => {
    expect(openJwe(sealed, { keys: [key] })).toEqual({ ok: false, code: 'zip-unsupported' })
  })

  it('is inflated to the limit and no further', () => {
    const limits = { ...joseLimits, inflatedBytesMax: letter.length }
    expect(openJwe(sealed, { keys: [key], zip: true, limits }).ok).toBe(true)
    const less = { ...joseLimits, inflatedBytesMax: letter.length - 1 }
    expect(openJwe(sealed, { keys: [key], zip: true, limits: less })).toEqual({ ok: false, code: 'limit-exceeded' })
    // A thousandth of its size on the wire.
    const bomb = sealJwe(new Uint8Array(8 * 1024 * 1024), { recipients: [{ key }], random, zip: 'DEF' })
    expect(openJwe(bomb, { keys: [key], zip: true })).toEqual({ ok: false, code: 'limit-exceeded' })
  })

  it('is declared in the protected header alone, and as DEF', () => {
    for (const unprotected of [{ zip: 'DEF' }, { zip: 'GZ' }]) {
      const plain = sealJwe(letter, { recipients: [{ key }], random })
      expect(openJwe({ ...plain, unprotected }, { keys: [key], zip: true })).toEqual({ ok: false, code: 'header-malformed' })
    }
    expect(() => sealJwe(letter, { recipients: [{ key }], random, protected: { zip: 'GZ' } })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_HEADER_INVALID' }),
    )
  })

  it('has no bounds read before its tag held', () => {
    const tag = sealed.tag.map((octet) => octet ^ 1)
    const limits = { ...joseLimits, inflatedBytesMax: 1 }
    expect(openJwe({ ...sealed, tag }, { keys: [key], zip: true, limits })).toMatchObject({ code: 'decryption-failed' })
  })

  it('is not available where the runtime has no DEFLATE', () => {
    const other = importKey(jwk, { backend: noble })
    expect(() => sealJwe(letter, { recipients: [{ key: other }], random, zip: 'DEF' })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_ALGORITHM_UNAVAILABLE' }),
    )
    expect(openJwe(sealed, { keys: [other], zip: true })).toEqual({ ok: false, code: 'zip-unsupported' })
  })
})
