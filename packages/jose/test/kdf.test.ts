import { base64url, utf8 } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { toPublicJwk } from '../src/jwk.ts'
import { concatKdf } from '../src/kdf.ts'
import { backends } from './setup.ts'

// RFC 7518 Appendix C.
const alice = {
  x: 'gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0',
  y: 'SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps',
  d: '0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo',
}
const bob = {
  x: 'weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ',
  y: 'e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck',
  d: 'VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw',
}

for (const backend of backends) {
  describe(`key agreement with the ${backend.name} backend`, () => {
    const octets = (text: string): Uint8Array => backend.fromBase64url(text) ?? new Uint8Array(0)

    test('derives the key of RFC 7518 Appendix C from either end', () => {
      const agreement = backend.agreements['P-256']
      for (const [mine, theirs] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        const key = agreement?.importPrivate(octets(mine.d))
        expect(toPublicJwk('P-256', agreement?.publicOf(key) ?? octets(''), backend)).toMatchObject({ x: mine.x, y: mine.y })
        const peer = agreement?.importPublic(Uint8Array.from([...octets(theirs.x), ...octets(theirs.y)]))
        const secret = agreement?.agree(key, peer) ?? octets('')
        const derived = concatKdf(secret, { backend, algorithm: 'A128GCM', keyBytes: 16, apu: utf8('Alice'), apv: utf8('Bob') })
        expect(base64url(derived)).toBe('VqqN6vgjbSBcIijNcacQGg')
      }
    })

    test('agrees on the secret of RFC 7748 §6.1', () => {
      const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
      const agreement = backend.agreements['X25519']
      const key = agreement?.importPrivate(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'))
      const peer = agreement?.importPublic(hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'))
      expect(agreement?.agree(key, peer)).toEqual(hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'))
    })

    test('wraps the key of RFC 3394 §4.6, and says so when it was changed', () => {
      const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
      const kek = hex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f')
      const key = hex('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f')
      const wrapped = hex('28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21')
      for (const prepared of [kek, backend.importSecret(kek)]) {
        expect(backend.keyWrap(prepared, key)).toEqual(wrapped)
        expect(backend.keyUnwrap(prepared, wrapped)).toEqual(key)
        for (let i = 0; i < wrapped.length; i++) {
          const changed = wrapped.slice()
          changed[i] = (changed[i] ?? 0) ^ 1
          expect(backend.keyUnwrap(prepared, changed)).toBeUndefined()
        }
      }
    })
  })
}
