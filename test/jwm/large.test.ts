import { base64url } from '@parley/core'
import { joseLimits } from '@parley/jose'
import { type JwmForm, type JwmLimits, jwmLimits, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { must, octets, pair, random } from './people.ts'

const mebibyte = 1024 * 1024
const alice = pair('Ed25519', 'a')
const bob = pair('X25519', 'b')
const keys = { keys: [bob.secret], verifyKeys: [alice.open] }
const forms: readonly JwmForm[] = ['general', 'flattened', 'compact', 'urlsafe', 'binary']

describe('8 MiB', () => {
  const object = { id: 'urn:uuid:1', body: { text: 'x'.repeat(8 * mebibyte) } }
  const payload = octets(object)

  test.each(forms)('go through making and opening in one piece: %s', { timeout: 60_000 }, (form) => {
    const { jwm } = must(makeJwm(payload, { signers: [alice.secret], recipients: [bob.open], random, form }))
    const input = typeof jwm === 'object' && !(jwm instanceof Uint8Array) ? JSON.stringify(jwm) : jwm
    const opened = must(openJwm(input, keys))
    expect(opened.payload.length).toBe(payload.length)
    expect(opened.object?.['id']).toBe('urn:uuid:1')
    expect(opened.proved).toMatchObject({ signedBy: ['a'], encryptedTo: ['b'], committed: true })
  })

  test('of any octets, signed as they are', { timeout: 60_000 }, () => {
    const raw = random.bytes(65_536)
    const large = new Uint8Array(8 * mebibyte).map((_, i) => raw[i % raw.length] ?? 0)
    const parts = { signers: [alice.secret], random, unencoded: true, detached: true } as const
    const { jwm, bytes } = must(makeJwm(large, { ...parts, form: 'compact' }))
    expect(bytes).toBeLessThan(250)
    expect(openJwm(jwm, { ...keys, payload: large })).toMatchObject({ ok: true, object: undefined })
    large[5_000_000] = (large[5_000_000] ?? 0) ^ 1
    expect(openJwm(jwm, { ...keys, payload: large })).toMatchObject({ ok: false, code: 'signature-invalid' })
  })
})

describe('limits', () => {
  const raised: JwmLimits = { ...jwmLimits, jose: { ...joseLimits, bytesMax: 128 * mebibyte } }

  test('a message above the default of 32 MiB is refused, and taken by who raises the limit', { timeout: 60_000 }, () => {
    expect(joseLimits.bytesMax).toBe(32 * mebibyte)
    const payload = new Uint8Array(33 * mebibyte)
    for (const form of ['binary', 'compact'] as const) {
      const { jwm } = must(makeJwm(payload, { recipients: [bob.open], random, form }))
      expect(openJwm(jwm, keys)).toMatchObject({ ok: false, code: 'limit-exceeded' })
      expect(must(openJwm(jwm, { ...keys, limits: raised })).payload.length).toBe(payload.length)
    }
  })

  test('an attributes set above 16 MiB comes as octets, and as attributes to who raises the limit', { timeout: 60_000 }, () => {
    const payload = octets({ body: { text: 'x'.repeat(17 * mebibyte) } })
    const { jwm } = must(makeJwm(payload, { recipients: [bob.open], random, form: 'binary' }))
    expect(must(openJwm(jwm, keys)).object).toBeUndefined()
    const attributes = { ...jwmLimits.attributes, bytesMax: 32 * mebibyte }
    expect(must(openJwm(jwm, { ...keys, limits: { ...jwmLimits, attributes } })).object).toHaveProperty('body')
  })

  test('a limit that is lowered holds before anything is decoded', () => {
    const low: JwmLimits = { ...jwmLimits, jose: { ...joseLimits, bytesMax: 1000 } }
    for (const input of ['x'.repeat(1001), base64url(new Uint8Array(1000)), new Uint8Array(1001)])
      expect(openJwm(input, { limits: low })).toMatchObject({ ok: false, code: 'limit-exceeded' })
  })
})
