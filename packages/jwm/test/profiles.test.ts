import { type JwmPolicy, type JwmProfileName, jwmProfiles, type MakeOptions, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { octets, pair, random, refused, secret } from './people.ts'
import { mustRead } from './setup.ts'

const alice = pair('Ed25519', 'alice')
const bob = pair('X25519', 'bob')
const shared = secret('shared')
const mac = secret('mac')
const keys = { keys: [bob.secret, shared], verifyKeys: [alice.open, mac] }
const object = { id: 'urn:uuid:1', body: { text: 'hi' } }
const names: readonly JwmProfileName[] = ['integrity', 'confidentiality-integrity', 'non-repudiation', 'anonymous']

type Way = { readonly name: string; readonly parts: Partial<MakeOptions>; readonly fits: readonly JwmProfileName[] }
// Every way to secure a message, and the profiles that it fits.
const ways: readonly Way[] = [
  { name: 'a signature', parts: { signers: [alice.secret] }, fits: ['integrity', 'non-repudiation'] },
  { name: 'a MAC', parts: { signers: [mac] }, fits: ['integrity'] },
  { name: 'a public key', parts: { recipients: [bob.open] }, fits: ['anonymous'] },
  { name: 'a shared key', parts: { recipients: [shared] }, fits: ['confidentiality-integrity'] },
  {
    name: 'a signature inside of an encryption',
    parts: { signers: [alice.secret], recipients: [bob.open] },
    fits: ['confidentiality-integrity', 'non-repudiation'],
  },
  {
    name: 'a MAC inside of an encryption',
    parts: { signers: [mac], recipients: [bob.open] },
    fits: ['confidentiality-integrity'],
  },
  {
    name: 'a signature on ciphertext',
    parts: { signers: [alice.secret], recipients: [bob.open], order: 'encrypt-sign' },
    fits: [],
  },
  { name: 'another content encryption', parts: { recipients: [bob.open], enc: 'A128GCM' }, fits: [] },
  { name: 'a direct key', parts: { recipients: [{ key: shared, alg: 'dir' }] }, fits: [] },
  { name: 'nothing', parts: { unsecured: true }, fits: [] },
]

describe.each(names)('%s', (profile) => {
  test.each(ways)('made with $name, or not; opened, or not', ({ parts, fits }) => {
    const isFit = fits.includes(profile)
    const made = makeJwm(octets(object), { random, form: 'general', ...parts, profile })
    expect(made.ok).toBe(isFit)
    if (!made.ok) expect(['profile-conflict', 'alg-not-allowed']).toContain(made.code)
    const { jwm } = mustRead(makeJwm(octets(object), { random, form: 'general', ...parts }))
    expect(openJwm(jwm, { ...keys, profile }).ok).toBe(isFit)
    if (isFit) expect(openJwm(mustRead(made).jwm, { ...keys, profile })).toMatchObject({ ok: true, object })
  })
})

test('a profile is never weakened by what stands beside it, only narrowed', () => {
  const { jwm } = mustRead(makeJwm(octets(object), { random, form: 'general', signers: [alice.secret] }))
  const weaker: JwmPolicy = { require: 'any', requireEncryption: false, algorithms: { jws: ['none', 'EdDSA', 'HS256'] } }
  expect(openJwm(jwm, { ...keys, profile: 'confidentiality-integrity', ...weaker })).toEqual(refused('encryption-required'))
  const two = mustRead(makeJwm(octets(object), { random, form: 'general', signers: [alice.secret, pair('P-256').secret] })).jwm
  expect(openJwm(two, { ...keys, require: 'any' })).toMatchObject({ ok: true })
  expect(openJwm(two, { ...keys, profile: 'non-repudiation', require: 'any' })).toEqual(refused('key-unknown'))
  expect(openJwm(jwm, { ...keys, profile: 'integrity', algorithms: { jws: ['ES256'] } })).toEqual(refused('alg-not-allowed'))
  expect(openJwm(jwm, { ...keys, profile: 'integrity', audience: 'im:bob@b.example' })).toEqual(refused('audience-mismatch'))
})

test('an anonymous message names no sender, neither made nor opened', () => {
  const named = octets({ ...object, from: 'im:alice@a.example' })
  expect(makeJwm(named, { random, form: 'compact', recipients: [bob.open], profile: 'anonymous' })).toEqual({
    ok: false,
    code: 'profile-conflict',
  })
  const { jwm } = mustRead(makeJwm(named, { random, form: 'compact', recipients: [bob.open] }))
  expect(openJwm(jwm, { ...keys, profile: 'anonymous' })).toEqual(refused('origin-named'))
})

test('an unknown profile is misuse, not no profile', () => {
  const profile = 'toString' as JwmProfileName
  expect(() => openJwm('', { profile })).not.toThrow(TypeError)
  expect(() => openJwm('', { profile })).toThrow(RangeError)
  expect(() => makeJwm(octets({}), { random, form: 'compact', signers: [alice.secret], profile })).toThrow(RangeError)
})

test('every profile names its algorithms, and "none" is in no list', () => {
  for (const { algorithms } of Object.values(jwmProfiles)) {
    expect(Object.keys(algorithms ?? {}).length).toBeGreaterThan(0)
    expect(JSON.stringify(algorithms)).not.toMatch(/"none"|PBES2|RSA|"dir"/)
  }
})
