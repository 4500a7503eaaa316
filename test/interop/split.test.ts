import { base64url, isJsonObject, type Json, type JsonObject, type Random, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  type Jwk,
  joinFlattened,
  joinGeneral,
  openJwe,
  publicJwk,
  readJose,
  sealJwe,
  signJws,
  splitGeneral,
  toCompactJwe,
  toFlattenedJwe,
  toGeneralJwe,
  toGeneralJws,
  toUrlSafe,
} from '@parley/jose'
import fc from 'fast-check'
import * as npmJose from 'jose'
import { describe, expect, test } from 'vitest'

const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const plaintext = utf8('wrapped keys travel apart')
const jwks: readonly Jwk[] = [
  generateKey('X25519', { random }),
  generateKey('P-256', { random }),
  { ...generateKey('oct-256', { random }), kid: 'sid' },
]
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))
const sealed = sealJwe(plaintext, {
  recipients: jwks.map((jwk) => ({ key: importKey(shown(jwk)) })),
  random,
  unprotected: { note: 'a "quoted", [bracketed] {note}' },
  aad: utf8('seen by all'),
})
const general = toGeneralJwe(sealed)
const text = JSON.stringify(general)

function mustSplit(input: string): { readonly shared: string; readonly entries: readonly string[] } {
  const split = splitGeneral(input)
  if (!split.ok) throw new Error(split.code)
  return split
}

describe('a General JWE in parts', () => {
  test('is one shared text without wrapped keys, and one entry per recipient', () => {
    const { shared, entries } = mustSplit(text)
    expect(JSON.parse(shared)).toEqual({ ...general, recipients: [] })
    expect(entries.map((entry) => JSON.parse(entry) as unknown)).toEqual(general['recipients'])
    expect(joinGeneral(shared, entries)).toEqual({ ok: true, text })
  })

  test('each pair is the equivalent Flattened JWE, which its recipient opens, and npm jose too', async () => {
    const { shared, entries } = mustSplit(text)
    for (const [i, jwk] of jwks.entries()) {
      const joined = joinFlattened(shared, entries[i] ?? '')
      if (!joined.ok) throw new Error(joined.code)
      const alone = { ...sealed, recipients: sealed.recipients.slice(i, i + 1) }
      expect(joined.text).toBe(JSON.stringify(toFlattenedJwe(alone)))
      const read = readJose(joined.text)
      expect(read.ok && read.kind === 'jwe' && openJwe(read.jwe, { keys: [importKey(jwk)] })).toMatchObject({
        ok: true,
        plaintext,
        recipient: 0,
      })
      const key = await npmJose.importJWK(jwk as npmJose.JWK, jwk.kty === 'oct' ? 'A256KW' : 'ECDH-ES+A256KW')
      const opened = await npmJose.flattenedDecrypt(JSON.parse(joined.text) as npmJose.FlattenedJWE, key)
      expect(new Uint8Array(opened.plaintext)).toEqual(plaintext)
    }
  })

  test('some entries join to a General JWE for those recipients', () => {
    const { shared, entries } = mustSplit(text)
    const joined = joinGeneral(shared, entries.slice(1))
    const read = readJose(joined.ok ? joined.text : '')
    if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
    expect(openJwe(read.jwe, { keys: jwks.slice(1).map((jwk) => importKey(jwk)) })).toMatchObject({ ok: true, recipient: 0 })
    expect(openJwe(read.jwe, { keys: jwks.slice(0, 1).map((jwk) => importKey(jwk)) })).toEqual({ ok: false, code: 'key-unknown' })
  })

  test('what npm jose encrypts to several is cut and joined too', async () => {
    const encrypt = new npmJose.GeneralEncrypt(plaintext).setProtectedHeader({ enc: 'A128GCM' })
    for (const jwk of jwks) {
      const alg = jwk.kty === 'oct' ? 'A256KW' : 'ECDH-ES+A256KW'
      encrypt
        .addRecipient(await npmJose.importJWK(shown(jwk) as npmJose.JWK, alg))
        .setUnprotectedHeader({ alg, kid: jwk.kid ?? '' })
    }
    // It writes the ciphertext first: in our order the same object is cut.
    const made = (await encrypt.encrypt()) as unknown as JsonObject
    expect(splitGeneral(JSON.stringify(made))).toEqual({ ok: false, code: 'order-unknown' })
    const read = readJose(made)
    if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
    const ordered = JSON.stringify(toGeneralJwe(read.jwe))
    const { shared, entries } = mustSplit(ordered)
    expect(joinGeneral(shared, entries)).toEqual({ ok: true, text: ordered })
  })
})

// Any General text that readJose takes and whose members stand in order, white space and escapes included.
const octets = fc.uint8Array({ maxLength: 40 }).map((bytes) => base64url(bytes))
const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 })
const members = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
const entry = fc.oneof(
  fc.record({ header: members, encrypted_key: octets }, { requiredKeys: [] }),
  // Broken ones, which do not stop the others.
  fc.record({ header: fc.constantFrom(5, 'x', null, ['a', '}']), encrypted_key: fc.constantFrom('!', 7) }, { requiredKeys: [] }),
  fc.constantFrom<Json>(5, 'a "string" ]', null, true, -1.5e3, ['}', ']']),
)
const whole = fc.record(
  {
    protected: members.map((header) => base64url(utf8(JSON.stringify(header)))),
    unprotected: members,
    recipients: fc.array(entry, { minLength: 1, maxLength: 5 }),
    aad: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => base64url(bytes)),
    iv: octets,
    ciphertext: octets,
    tag: octets,
  },
  { requiredKeys: ['recipients', 'ciphertext'] },
)

// JSON with white space drawn from `spaces` around every token, and the first letter of every name escaped now and then.
function write(value: unknown, next: () => string): string {
  const around = (token: string): string => `${next()}${token}${next()}`
  if (Array.isArray(value))
    return around(`[${value.map((one: unknown) => write(one, next)).join(',')}${value.length === 0 ? next() : ''}]`)
  if (!isJsonObject(value)) return around(JSON.stringify(value))
  const parts = Object.entries(value).map(([name, one]) => `${around(nameOf(name, next()))}:${write(one, next)}`)
  return around(`{${parts.join(',')}${parts.length === 0 ? next() : ''}}`)
}

function nameOf(name: string, drawn: string): string {
  const [first = '', ...rest] = name
  if (drawn.length < 3 || !/[a-z]/.test(first)) return JSON.stringify(name)
  return `"\\u00${first.charCodeAt(0).toString(16)}${JSON.stringify(rest.join('')).slice(1)}`
}

test('every accepted General text in this order is cut and joined byte for byte, each sound entry into an accepted Flattened one', () => {
  let accepted = 0
  fc.assert(
    fc.property(whole, fc.array(space, { minLength: 7, maxLength: 7 }), (object, spaces) => {
      let drawn = 0
      const written = write(object, () => spaces[drawn++ % spaces.length] ?? '')
      const read = readJose(written)
      const split = splitGeneral(written)
      expect(split.ok).toBe(read.ok)
      if (!read.ok || read.kind !== 'jwe' || !split.ok) return
      accepted++
      expect(joinGeneral(split.shared, split.entries)).toEqual({ ok: true, text: written })
      for (const [i, one] of split.entries.entries()) {
        const joined = joinFlattened(split.shared, one)
        const recipient = read.jwe.recipients[i]
        if (recipient === undefined) {
          expect(joined.ok).toBe(false)
          continue
        }
        const alone = readJose(joined.ok ? joined.text : '')
        expect(alone).toEqual({ ok: true, kind: 'jwe', jwe: { ...read.jwe, recipients: [recipient] } })
      }
    }),
    { numRuns: 1000 },
  )
  expect(accepted).toBeGreaterThan(500)
})

describe('refused is', () => {
  const { shared, entries } = mustSplit(text)
  const [first = ''] = entries
  const reordered = Object.fromEntries(Object.entries(general).reverse())

  test.each<[string, string, string]>([
    ['a Flattened JWE', JSON.stringify(toFlattenedJwe({ ...sealed, recipients: sealed.recipients.slice(0, 1) })), 'not-general'],
    ['a whole object in base64url', toUrlSafe(general), 'not-general'],
    [
      'a JWS',
      JSON.stringify(toGeneralJws(signJws(plaintext, { signers: [{ key: importKey(generateKey('Ed25519', { random })) }] }))),
      'not-general',
    ],
    [
      'the compact form',
      toCompactJwe(sealJwe(plaintext, { recipients: [{ key: importKey(jwks[0] as Jwk) }], random, allProtected: true })),
      'not-general',
    ],
    ['another order', JSON.stringify(reordered), 'order-unknown'],
    ['a member more', JSON.stringify({ ...general, extra: 1 }), 'order-unknown'],
    ['an entry in another order', text.replace(first, '{"encrypted_key":"AAAA","header":{}}'), 'order-unknown'],
    ['an entry with a member more', text.replace(first, '{"encrypted_key":"AAAA","x":1}'), 'order-unknown'],
    ['what is no JSON', `${text}}`, 'serialization-malformed'],
    ['a member twice', text.replace('{', '{"tag":"AAAA",'), 'serialization-malformed'],
  ])('%s: not cut', (_, input, code) => {
    expect(splitGeneral(input)).toEqual({ ok: false, code })
  })

  test.each<[string, string, string, string]>([
    ['two entries in one', shared, `${first},${first}`, 'entry-malformed'],
    ['an entry that closes the array', shared, `${first}],"x":[${first}`, 'entry-malformed'],
    ['nothing', shared, '', 'entry-malformed'],
    ['an entry with members of the shared part', shared, '{"tag":"AAAA"}', 'order-unknown'],
    ['a shared part that still has entries', text, first, 'shared-malformed'],
    ['a shared part without a place', JSON.stringify({ ciphertext: '' }), first, 'shared-malformed'],
    ['a shared part without a ciphertext', '{"recipients":[],"tag":"AAAA"}', first, 'shared-malformed'],
    ['a shared part in another order', '{"ciphertext":"","recipients":[]}', first, 'shared-malformed'],
    ['no shared part', '[]', first, 'shared-malformed'],
    ['a protected header that is none', '{"protected":"!","recipients":[],"ciphertext":""}', first, 'header-malformed'],
  ])('%s: not joined', (_, part, one, code) => {
    expect(joinGeneral(part, [one])).toEqual({ ok: false, code })
    expect(joinFlattened(part, one)).toEqual({ ok: false, code })
  })

  test('no entry at all, and more than the limit', () => {
    expect(joinGeneral(shared, [])).toEqual({ ok: false, code: 'jwe-malformed' })
    expect(
      joinGeneral(
        shared,
        Array.from({ length: 1025 }, () => '{}'),
      ),
    ).toEqual({ ok: false, code: 'limit-exceeded' })
  })
})
