import { base64url, type JsonObject, utf8 } from '@parley/core'
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
import { describe, expect, test } from 'vitest'
import { seeded } from './setup.ts'

const random = seeded(1012)
const key = importKey(generateKey('X25519', { random }))
const signer = importKey(generateKey('Ed25519', { random }))
// 23 octets: the last group of each base64url text has bits to spare.
const jwe = toFlattenedJwe(sealJwe(new Uint8Array(23), { recipients: [{ key }], random, aad: utf8('x') }))
const jws = toFlattenedJws(signJws(new Uint8Array(23), { signers: [{ key: signer }] }))

function outcome(input: JsonObject | string | Uint8Array): string {
  const read = readJose(input)
  if (!read.ok) return read.code
  const result = read.kind === 'jwe' ? openJwe(read.jwe, { keys: [key] }) : verifyJws(read.jws, { keys: [signer] })
  return result.ok ? 'taken' : result.code
}

const join = (...parts: readonly (string | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...utf8(part)] : [...part])))

test('the unchanged ones are taken', () => {
  expect([outcome(jwe), outcome(jws)]).toEqual(['taken', 'taken'])
})

describe('a protected header', () => {
  test.each<[string, Uint8Array]>([
    ['a BOM in front', join([0xef, 0xbb, 0xbf], '{"alg":"EdDSA"}')],
    ['a BOM of another encoding', join([0xff, 0xfe], '{"alg":"EdDSA"}')],
    ['UTF-16', join([...'{"alg":"EdDSA"}'].flatMap((letter) => [letter.charCodeAt(0), 0]))],
    ['an overlong quotation mark', join('{', [0xc0, 0xa2], 'alg":"EdDSA"}')],
    ['an overlong letter of two octets', join('{"alg":"EdDS', [0xc1, 0x81], '"}')],
    ['an overlong letter of three octets', join('{"alg":"EdDS', [0xe0, 0x81, 0x81], '"}')],
    ['an overlong letter of four octets', join('{"alg":"EdDS', [0xf0, 0x80, 0x81, 0x81], '"}')],
    ['half of a surrogate pair in octets', join('{"alg":"EdDSA","x":"', [0xed, 0xa0, 0x80], '"}')],
    ['a surrogate pair in octets', join('{"alg":"EdDSA","x":"', [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], '"}')],
    ['half of a surrogate pair in an escape', join('{"alg":"EdDSA","x":"\\ud800"}')],
    ['half of a surrogate pair in a name', join('{"alg":"EdDSA","\\udc00":1}')],
    ['a letter beyond Unicode', join('{"alg":"EdDSA","x":"', [0xf4, 0x90, 0x80, 0x80], '"}')],
    ['a lone continuation', join('{"alg":"EdDSA","x":"', [0x80], '"}')],
    ['an unfinished letter', join('{"alg":"EdDSA","x":"', [0xe2, 0x82], '"}')],
    ['a name twice', join('{"alg":"EdDSA","alg":"EdDSA"}')],
    ['a name twice, once escaped', join('{"alg":"EdDSA","\\u0061lg":"EdDSA"}')],
    ['a name twice, deep inside', join('{"alg":"EdDSA","x":[{"y":1,"y":1}]}')],
    ['a text behind', join('{"alg":"EdDSA"}{}')],
    ['a zero behind', join('{"alg":"EdDSA"}', [0])],
    ['a comment', join('{"alg":"EdDSA"/**/}')],
    ['a comma too many', join('{"alg":"EdDSA",}')],
    ['single quotes', join("{'alg':'EdDSA'}")],
    ['a control character in a string', join('{"alg":"EdDSA","x":"', [10], '"}')],
    ['NaN', join('{"alg":"EdDSA","x":NaN}')],
    ['17 levels', join(`{"alg":"EdDSA","x":${'['.repeat(16)}${']'.repeat(16)}}`)],
    ['a million levels', join(`{"alg":"EdDSA","x":${'['.repeat(40_000)}`)],
    ['an array around', join('[{"alg":"EdDSA"}]')],
    ['nothing inside', join('')],
  ])('with %s is malformed', (_, octets) => {
    const text = base64url(octets)
    // No text at all is no member at all, so that nothing names an algorithm.
    expect(outcome({ ...jws, protected: text })).toBe('header-malformed')
    expect(outcome({ ...jwe, protected: text })).toBe('header-malformed')
    if (text !== '') expect(outcome(`${text}..AAAA`)).toBe('header-malformed')
  })

  test('of 16 levels, with letters beyond the first plane, is read', () => {
    const text = `{"alg":"EdDSA","x":${'['.repeat(15)}${']'.repeat(15)},"y":"\\ud83d\\ude00😀"}`
    expect(outcome({ ...jws, protected: base64url(utf8(text)) })).toBe('signature-invalid')
  })
})

describe('the text of a JSON serialization', () => {
  const text = JSON.stringify(jws)

  test.each<[string, Uint8Array]>([
    ['a BOM in front', join([0xef, 0xbb, 0xbf], text)],
    ['overlong UTF-8', join(text.slice(0, -1), ',"x":"', [0xc0, 0x80], '"}')],
    ['half of a surrogate pair', join(text.slice(0, -1), ',"x":"\\ud800"}')],
    ['a member twice', join(text.slice(0, -1), ',"signature":"AAAA"}')],
    ['a member twice, once escaped', join(text.slice(0, -1), ',"payloa\\u0064":""}')],
    ['a member of the header twice', join(text.slice(0, -1), ',"header":{"a":1,"a":2}}')],
    ['too many levels', join(text.slice(0, -1), `,"x":${'['.repeat(20)}${']'.repeat(20)}}`)],
    ['something behind', join(text, 'x')],
    ['no end', join(text.slice(0, -1))],
  ])('with %s is malformed', (_, octets) => {
    expect(outcome(octets)).toBe('serialization-malformed')
    expect(outcome(base64url(octets))).toBe('serialization-malformed')
  })
})

describe('base64url', () => {
  const parts = [
    ...['protected', 'payload', 'signature'].map((name) => ['JWS', name, jws] as const),
    ...['protected', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag'].map((name) => ['JWE', name, jwe] as const),
  ]

  test.each(parts)('of a %s %s is canonical', (_, name, object) => {
    const text = String(object[name])
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const changed = [
      `${text}=`,
      `${text}==`,
      `${text}\n`,
      ` ${text}`,
      `${text.slice(0, 4)} ${text.slice(4)}`,
      `${text.slice(0, 4)}\r\n${text.slice(4)}`,
      `${text.slice(0, 4)}+${text.slice(5)}`,
      `${text.slice(0, 4)}/${text.slice(5)}`,
      `${text.slice(0, 4)}\u0100${text.slice(5)}`,
      `${text.slice(0, 4)}\u0141${text.slice(5)}`,
      // One character too many for whole octets.
      `${text.slice(0, text.length - (text.length % 4))}A`,
    ]
    // The same octets with bits in the last character that belong to none.
    const spare = { 2: 16, 3: 4 }[text.length % 4] ?? 1
    const last = alphabet.indexOf(text.at(-1) ?? '')
    for (let bits = 1; bits < spare; bits++) changed.push(text.slice(0, -1) + alphabet[last + bits])
    for (const other of changed) expect(outcome({ ...object, [name]: other })).toMatch(/-malformed$/)
  })
})
