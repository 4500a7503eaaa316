import type { JsonObject } from '@parley/core'
import { base64url, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  openJwe,
  readJose,
  sealJwe,
  signJws,
  toFlattenedJwe,
  toFlattenedJws,
  verifyJws,
} from '@parley/jose'
import { expect, test } from 'vitest'
import { seeded } from './setup.ts'

const random = seeded(21)
const key = importKey(generateKey('X25519', { random }))
const signer = importKey(generateKey('Ed25519', { random }))
const jwe = sealJwe(utf8('x'), { recipients: [{ key }], random })
const jws = signJws(utf8('x'), { signers: [{ key: signer }] })

function codeOfJwe(change: (object: JsonObject) => JsonObject): string {
  const read = readJose(change(toFlattenedJwe(jwe)))
  if (!read.ok) return read.code
  if (read.kind !== 'jwe') return 'jws'
  const opened = openJwe(read.jwe, { keys: [key] })
  return opened.ok ? 'opened' : opened.code
}

function codeOfJws(change: (object: JsonObject) => JsonObject): string {
  const read = readJose(change(toFlattenedJws(jws)))
  if (!read.ok) return read.code
  if (read.kind !== 'jws') return 'jwe'
  const verified = verifyJws(read.jws, { keys: [signer] })
  return verified.ok ? 'verified' : verified.code
}

const protect = (header: JsonObject): string => base64url(utf8(JSON.stringify(header)))
const edited = (more: JsonObject) => (object: JsonObject) => ({
  ...object,
  protected: protect({ ...jwe.protected.header, ...more }),
})
const signed = (more: JsonObject) => (object: JsonObject) => ({
  ...object,
  protected: protect({ ...jws.signatures[0]?.protected.header, ...more }),
})

test('the unchanged ones are fine', () => {
  expect(codeOfJwe((object) => object)).toBe('opened')
  expect(codeOfJws((object) => object)).toBe('verified')
})

test('a name stands in one of the three places', () => {
  expect(codeOfJwe((object) => ({ ...object, unprotected: { enc: 'A256GCM' } }))).toBe('header-malformed')
  expect(codeOfJwe((object) => ({ ...object, header: { kid: key.kid ?? '', alg: 'ECDH-ES+A256KW' } }))).toBe('header-malformed')
  expect(codeOfJwe((object) => ({ ...object, unprotected: { kid: key.kid ?? '' } }))).toBe('header-malformed')
  expect(codeOfJws((object) => ({ ...object, header: { alg: 'EdDSA' } }))).toBe('header-malformed')
})

test.each<[string, JsonObject, string]>([
  ['an unknown extension', { crit: ['exp'], exp: 1 }, 'crit-unsupported'],
  ['an absent member', { crit: ['exp'] }, 'header-malformed'],
  ['an empty list', { crit: [] }, 'header-malformed'],
  ['no list', { crit: 'exp', exp: 1 }, 'header-malformed'],
  ['a repeat', { crit: ['exp', 'exp'], exp: 1 }, 'header-malformed'],
  ['a number', { crit: [1] }, 'header-malformed'],
  ['b64', { crit: ['b64'], b64: false }, 'crit-unsupported'],
  ['b64 without crit', { b64: false }, 'header-malformed'],
])('crit: %s is refused', (name, more, code) => {
  expect(codeOfJwe(edited(more))).toBe(code)
  // The one extension that is understood, and in a JWS alone: the signature there was not made for it.
  expect(codeOfJws(signed(more))).toBe(name === 'b64' ? 'signature-invalid' : code)
})

test('crit and zip stand in the protected header alone', () => {
  expect(codeOfJws((object) => ({ ...object, header: { crit: ['x'], x: 1 } }))).toBe('header-malformed')
  expect(codeOfJwe((object) => ({ ...object, unprotected: { zip: 'DEF' } }))).toBe('header-malformed')
  expect(codeOfJwe(edited({ zip: 'DEF' }))).toBe('zip-unsupported')
})

test.each(['alg', 'enc', 'kid', 'typ', 'cty'])('%s is a string', (name) => {
  expect(codeOfJwe((object) => edited({ [name]: 7 })(name === 'kid' ? { ...object, header: {} } : object))).toBe(
    'header-malformed',
  )
})

test('a key in the header is not trusted', () => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: signer.publicJwk?.x ?? '' }
  const made = signJws(utf8('x'), { signers: [{ key: signer, protected: { jwk } }] })
  expect(verifyJws(made, { keys: [] })).toEqual({ ok: false, code: 'key-unknown' })
})

test('a member named __proto__ changes nothing', () => {
  expect(
    codeOfJwe((object) => ({ ...object, header: JSON.parse(`{"kid":"${key.kid}","__proto__":{"alg":"none"}}`) as JsonObject })),
  ).toBe('opened')
})
