import { base64url, concat, utf8 } from '@parley/core'
import { generateKey, importKey, openJwe, sealJwe, toFlattenedJwe } from '@parley/jose'
import { fromBinary, isBinary, joinBinary, readBinary, readCut, splitBinary, toBinary, writeBinary, writeCut } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { mustRead, seeded } from './setup.ts'

const random = seeded(17)
const key = importKey(generateKey('X25519', { random }))
const smk = importKey(generateKey('oct-256', { random }), { kid: 'sid' })
const jwe = sealJwe(utf8('a short message'), { recipients: [{ key }], random, unprotected: { note: 'ä' }, aad: utf8('aad') })
const whole = writeBinary(jwe)
const texts: readonly string[] = [
  JSON.stringify(toFlattenedJwe(jwe)),
  JSON.stringify(toFlattenedJwe(sealJwe(utf8(''), { recipients: [{ key: smk, alg: 'dir' }], random }))),
  `{"protected":"${base64url(utf8('{"alg":"dir", "enc" :"A256GCM"}'))}","header":{"kid":"\\u0061","x":[1.0e2,{"y":" { ] "}]},"iv":"AAAA","ciphertext":"","tag":"AAAA"}`,
  '{"ciphertext":""}',
  `{"unprotected":{"a":"\\"}"},"ciphertext":"AA"}`,
]

describe('the text and the octets', () => {
  test.each(texts)('stand for one another: %s', (text) => {
    const { bytes } = mustRead(toBinary(text))
    expect(mustRead(fromBinary(bytes)).text).toBe(text)
    expect(isBinary(bytes)).toBe(true)
    const { entry, body } = mustRead(splitBinary(bytes))
    expect(mustRead(joinBinary(entry, body)).bytes).toEqual(bytes)
    expect(readBinary(bytes)).toEqual(readCut(entry, body))
  })

  test('the writer makes the canonical one', () => {
    expect(mustRead(fromBinary(whole)).text).toBe(texts[0])
    expect(mustRead(toBinary(texts[0] ?? '')).bytes).toEqual(whole)
    expect(openJwe(mustRead(readBinary(whole)).jwe, { keys: [key] })).toMatchObject({
      ok: true,
      plaintext: utf8('a short message'),
      aad: utf8('aad'),
    })
  })

  test('the example of docs/jwm-binary.md', () => {
    const text = '{"protected":"eyJhbGciOiJkaXIifQ","header":{"kid":"k"},"iv":"AQID","ciphertext":"BAU","tag":"Bg"}'
    const { bytes } = mustRead(toBinary(text))
    expect(Buffer.from(bytes).toString('hex')).toBe(
      'fb4a574d01e5' +
        '0000000d' +
        '0000000b' +
        '00000003' +
        '00000002' +
        '00000001' +
        Buffer.from('{"alg":"dir"}{"kid":"k"}').toString('hex') +
        '010203' +
        '0405' +
        '06',
    )
    const { entry, body } = mustRead(splitBinary(bytes))
    expect(Buffer.from(entry).toString('hex')).toBe(`fb4a57450104${'0000000b'}${Buffer.from('{"kid":"k"}').toString('hex')}`)
    expect(Buffer.from(body).toString('hex')).toBe(
      `fb4a574201e1${'0000000d'}${'00000003'}${'00000002'}${'00000001'}${Buffer.from('{"alg":"dir"}').toString('hex')}010203040506`,
    )
  })
})

describe('refused is', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['an empty object', '{}'],
    ['no ciphertext', '{"iv":"AAAA"}'],
    ['white space', '{"iv":"AAAA", "ciphertext":""}'],
    ['white space in a header', '{"header":{"kid": "a"},"ciphertext":""}'],
    ['white space behind', '{"ciphertext":""}\n'],
    ['another order', '{"ciphertext":"","iv":"AAAA"}'],
    ['another member', '{"ciphertext":"","x":1}'],
    ['a member twice', '{"iv":"AAAA","iv":"AAAA","ciphertext":""}'],
    ['an escaped name', '{"\\u0069v":"AAAA","ciphertext":""}'],
    ['an empty member', '{"iv":"","ciphertext":""}'],
    ['an empty header', '{"header":{},"ciphertext":""}'],
    ['a header that is an array', '{"header":[],"ciphertext":""}'],
    ['a header with a name twice', '{"header":{"a":1,"a":1},"ciphertext":""}'],
    ['a broken header', '{"header":{"a"},"ciphertext":""}'],
    ['half a surrogate pair as escape', '{"header":{"a":"\\ud834"},"ciphertext":""}'],
    ['half a surrogate pair', '{"header":{"a":"\ud834"},"ciphertext":""}'],
    ['a protected header that is no object', `{"protected":"${base64url(utf8('[]'))}","ciphertext":""}`],
    ['padding', '{"iv":"AA==","ciphertext":""}'],
    ['unused bits', '{"iv":"AB","ciphertext":""}'],
    ['an unfinished string', '{"iv":"AAAA'],
    ['a number', '{"iv":1,"ciphertext":""}'],
    ['a General serialization', '{"recipients":[{}],"ciphertext":""}'],
  ])('a text with %s', (_, text) => {
    expect(toBinary(text)).toEqual({ ok: false, code: 'binary-malformed' })
  })

  test('every truncation, and an octet behind', () => {
    const { entry, body } = mustRead(splitBinary(whole))
    for (let i = 0; i < whole.length; i++) expect(readBinary(whole.subarray(0, i)).ok).toBe(false)
    for (let i = 0; i < entry.length; i++) expect(readCut(entry.subarray(0, i), body).ok).toBe(false)
    for (let i = 0; i < body.length; i++) expect(readCut(entry, body.subarray(0, i)).ok).toBe(false)
    const more = Uint8Array.of(0)
    expect(readBinary(concat(whole, more)).ok).toBe(false)
    expect(readCut(concat(entry, more), body).ok).toBe(false)
    expect(readCut(entry, concat(body, more)).ok).toBe(false)
  })

  test('one form in the place of another', () => {
    const { entry, body } = mustRead(splitBinary(whole))
    expect(readBinary(entry).ok).toBe(false)
    expect(readBinary(body).ok).toBe(false)
    expect(readCut(body, entry).ok).toBe(false)
    expect(readCut(entry, whole).ok).toBe(false)
    expect(readCut(whole, body).ok).toBe(false)
  })

  test('a length that goes round', () => {
    const bytes = whole.slice()
    bytes.set([0xff, 0xff, 0xff, 0xff], 6)
    expect(readBinary(bytes)).toEqual({ ok: false, code: 'binary-malformed' })
  })
})

test('whatever octets are taken have a text, and that text has these octets', () => {
  let taken = 0
  for (let i = 0; i < whole.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const mutated = whole.slice()
      mutated[i] = (mutated[i] ?? 0) ^ (1 << bit)
      const text = fromBinary(mutated)
      if (!text.ok) continue
      taken++
      expect(mustRead(toBinary(text.text)).bytes).toEqual(mutated)
    }
  }
  expect(taken).toBeGreaterThan(100)
})

test('entries grow by their own recipient alone', () => {
  const other = importKey(generateKey('X25519', { random }))
  const one = writeCut(sealJwe(utf8('m'), { recipients: [{ key }], random }))
  const two = writeCut(sealJwe(utf8('m'), { recipients: [{ key }, { key: other }], random }))
  expect(two.body.length).toBe(one.body.length)
  expect(two.entries.map(({ length }) => length)).toEqual([one.entries[0]?.length, one.entries[0]?.length])
})
