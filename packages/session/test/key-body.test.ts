import type { Json, JsonObject } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { checkUnder, keyBody, readKeyBody, sessionKey } from '../src/index.ts'
import { alice, bob, day, mallory, member, newThumbprint, now, owner, smk } from './people.ts'

const key = smk()
const options = { from: alice.address, device: alice.devices[0], reader: bob, now }
const wire = (): JsonObject => JSON.parse(JSON.stringify(keyBody(key)))

describe('a key body', () => {
  test('comes back as the key that it was', () => {
    expect(readKeyBody(wire(), options)).toEqual({ ok: true, smk: key })
    expect(readKeyBody(wire(), { ...options, reader: alice })).toEqual({ ok: true, smk: key })
  })

  test('from another device or account than the owner is refused', () => {
    for (const wrong of [
      { from: mallory.address },
      { device: alice.devices[1] },
      { from: mallory.address, device: mallory.devices[0] },
    ]) {
      expect(readKeyBody(wire(), { ...options, ...wrong })).toEqual({ ok: false, code: 'key-owner-mismatch' })
    }
  })

  test('that names me under another account key is a substitution, and one without me is not mine', () => {
    expect(readKeyBody(wire(), { ...options, reader: { ...bob, account: newThumbprint() } })).toEqual({
      ok: false,
      code: 'session-identity-substituted',
    })
    expect(readKeyBody(wire(), { ...options, reader: mallory })).toEqual({ ok: false, code: 'session-not-audience' })
  })

  test('past its erasure or far ahead is refused', () => {
    expect(readKeyBody(wire(), { ...options, now: key.notAfter + 32 * day })).toEqual({ ok: false, code: 'key-out-of-time' })
    expect(readKeyBody(wire(), { ...options, now: now - 2 * day })).toEqual({ ok: false, code: 'key-out-of-time' })
    expect(readKeyBody(wire(), { ...options, now: key.notAfter + 32 * day - 1 }).ok).toBe(true)
  })

  const validity = wire()['validity'] as JsonObject
  const jwk = wire()['key'] as JsonObject
  const [first, second] = wire()['audience'] as readonly JsonObject[]
  const changes: [string, JsonObject][] = [
    ['another sid', { sid: 'A'.repeat(22) }],
    ['a sid of another form', { sid: 'x' }],
    ['a shorter key', { key: { ...jwk, k: 'AAAA' } }],
    ['a key in other letters', { key: { ...jwk, k: `${'A'.repeat(42)}=` } }],
    ['another algorithm', { key: { ...jwk, alg: 'dir' } }],
    ['another key type', { key: { ...jwk, kty: 'OKP' } }],
    ['a key with more members', { key: { ...jwk, use: 'enc' } }],
    ['an owner that is no address', { owner: { address: 'alice', device: owner.device } }],
    ['an address in capitals', { owner: { address: 'im:Alice@a.example', device: owner.device } }],
    ['an owner device that is none', { owner: { address: 'im:alice@a.example', device: 'x' } }],
    ['no audience', { audience: [] }],
    ['an audience that is none', { audience: { 0: first ?? null } }],
    ['an account twice', { audience: [first ?? null, first ?? null, second ?? null] }],
    ['version 0', { audience: [{ ...first, version: 0 } as Json, second ?? null] }],
    ['a member of the audience with more members', { audience: [{ ...first, more: 1 } as Json, second ?? null] }],
    ['a validity backwards', { validity: { from: validity['until'] ?? 0, until: validity['from'] ?? 0 } }],
    ['a validity for years', { validity: { ...validity, until: 9_999_999_999 } }],
    ['a validity in fractions', { validity: { ...validity, from: 1.5 } }],
    ['a validity in words', { validity: { ...validity, until: 'tomorrow' } }],
    ['a member too many', { more: 1 }],
  ]
  for (const [what, change] of changes) {
    test(`with ${what} is malformed`, () => {
      expect(readKeyBody({ ...wire(), ...change }, options)).toEqual({ ok: false, code: 'key-malformed' })
    })
  }

  test('without any of its members is malformed, and so is what is no object', () => {
    for (const name of Object.keys(wire())) {
      const { [name]: _, ...rest } = wire()
      expect(readKeyBody(rest, options), name).toEqual({ ok: false, code: 'key-malformed' })
    }
    for (const value of [null, 1, 'x', [], {}, [wire()]] as Json[])
      expect(readKeyBody(value, options)).toEqual({ ok: false, code: 'key-malformed' })
  })
})

describe('a message under a key', () => {
  const message = { from: alice.address, device: alice.devices[0], sent: now, reader: bob }

  test('is taken from its owner, by its audience, within its validity', () => {
    expect(checkUnder(key, message)).toBeUndefined()
  })

  test('is refused otherwise, by name', () => {
    expect(checkUnder(key, { ...message, from: bob.address })).toBe('session-owner-mismatch')
    expect(checkUnder(key, { ...message, device: alice.devices[1] })).toBe('session-owner-mismatch')
    expect(checkUnder(key, { ...message, reader: mallory })).toBe('session-not-audience')
    expect(checkUnder(key, { ...message, reader: { ...bob, account: member(mallory).account } })).toBe(
      'session-identity-substituted',
    )
    expect(checkUnder(key, { ...message, sent: key.notAfter + day + 1 })).toBe('session-out-of-time')
    expect(checkUnder(key, { ...message, sent: key.created - day - 1 })).toBe('session-out-of-time')
  })
})

test('keys are found under owner account and SID, never under a SID alone', () => {
  expect(sessionKey(alice.address, key.sid)).not.toBe(sessionKey(mallory.address, key.sid))
})
