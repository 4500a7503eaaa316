import { base64url, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  joseLimits,
  readJose,
  sealJwe,
  signJws,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { seeded } from './setup.ts'

const random = seeded(5)
const key = importKey(generateKey('X25519', { random }))
const signer = importKey(generateKey('Ed25519', { random }))
const jwe = sealJwe(utf8('x'), { recipients: [{ key }], random })
const jws = signJws(utf8('x'), { signers: [{ key: signer }] })
const header = (text: string): string => base64url(utf8(text))

describe('reading', () => {
  test.each<[string, unknown, string]>([
    ['both a JWS and a JWE', { ...toFlattenedJwe(jwe), ...toFlattenedJws(jws) }, 'serialization-malformed'],
    ['neither', { hello: 'world' }, 'serialization-malformed'],
    ['signature beside signatures', { ...toGeneralJws(jws), signature: 'AAAA' }, 'jws-malformed'],
    ['protected beside signatures', { ...toGeneralJws(jws), protected: jws.signatures[0]?.protected.text }, 'jws-malformed'],
    ['header beside signatures', { ...toGeneralJws(jws), header: {} }, 'jws-malformed'],
    ['signatures that are no array', { ...toGeneralJws(jws), signatures: { 0: {} } }, 'jws-malformed'],
    ['a signature that is no object', { ...toGeneralJws(jws), signatures: ['AAAA'] }, 'jws-malformed'],
    ['no signature at all', { payload: 'AAAA' }, 'jws-malformed'],
    ['a payload beside a ciphertext', { ...toGeneralJwe(jwe), payload: 'AAAA' }, 'serialization-malformed'],
    ['recipients beside signatures', { ...toGeneralJwe(jwe), signatures: [] }, 'serialization-malformed'],
    ['no signatures', { ...toGeneralJws(jws), signatures: [] }, 'jws-malformed'],
    ['encrypted_key beside recipients', { ...toGeneralJwe(jwe), encrypted_key: 'AAAA' }, 'jwe-malformed'],
    ['header beside recipients', { ...toGeneralJwe(jwe), header: {} }, 'jwe-malformed'],
    ['only recipients that are none', { ...toGeneralJwe(jwe), recipients: [1, null, 'x'] }, 'jwe-malformed'],
    ['no recipients', { ...toGeneralJwe(jwe), recipients: [] }, 'jwe-malformed'],
    ['recipients that are no array', { ...toGeneralJwe(jwe), recipients: {} }, 'jwe-malformed'],
    ['an empty aad', { ...toFlattenedJwe(jwe), aad: '' }, 'jwe-malformed'],
    ['a header that is text', { ...toFlattenedJws(jws), header: 'x' }, 'header-malformed'],
    [
      'a protected header with a duplicate',
      { ...toFlattenedJws(jws), protected: header('{"alg":"EdDSA","alg":"none"}') },
      'header-malformed',
    ],
    [
      'a protected header with an escaped duplicate',
      { ...toFlattenedJws(jws), protected: header('{"alg":"EdDSA","\\u0061lg":"none"}') },
      'header-malformed',
    ],
    ['a protected header with a BOM', { ...toFlattenedJws(jws), protected: header('\ufeff{"alg":"EdDSA"}') }, 'header-malformed'],
    ['a protected header that is an array', { ...toFlattenedJws(jws), protected: header('[]') }, 'header-malformed'],
    ['two texts in one protected header', { ...toFlattenedJws(jws), protected: header('{"alg":"EdDSA"}{}') }, 'header-malformed'],
    ['too many signatures', { ...toGeneralJws(jws), signatures: Array.from({ length: 65 }, () => ({})) }, 'limit-exceeded'],
    ['too many recipients', { ...toGeneralJwe(jwe), recipients: Array.from({ length: 1025 }, () => ({})) }, 'limit-exceeded'],
    ['a large header', { ...toFlattenedJws(jws), protected: header(`{"alg":"${'x'.repeat(70_000)}"}`) }, 'limit-exceeded'],
    [
      'differing enc',
      { ...toGeneralJwe(jwe), recipients: [{ header: { enc: 'A256GCM' } }, { header: { enc: 'A128GCM' } }] },
      'jwe-malformed',
    ],
  ])('refuses %s', (_, object, code) => {
    expect(readJose(object as Parameters<typeof readJose>[0])).toEqual({ ok: false, code })
    expect(readJose(JSON.stringify(object))).toEqual({ ok: false, code })
    expect(readJose(header(JSON.stringify(object)))).toEqual({ ok: false, code })
  })

  test.each<[string, string]>([
    ['nothing', ''],
    ['two parts', 'a.b'],
    ['four parts', 'a.b.c.d'],
    ['six parts', 'a.b.c.d.e.f'],
    ['a padded part', `${toCompactJws(jws)}=`],
    ['a line break', `${toCompactJws(jws)}\n`],
    ['text behind the JSON', `${JSON.stringify(toGeneralJws(jws))}x`],
    ['a BOM before the JSON', `\ufeff${JSON.stringify(toGeneralJws(jws))}`],
    ['a JSON array', '[]'],
    ['base64url of an array', header('[]')],
    ['duplicate members', `{"payload":"","payload":"","signatures":[]}`],
  ])('refuses %s', (_, text) => {
    expect(readJose(text).ok).toBe(false)
    expect(readJose(utf8(text)).ok).toBe(false)
  })

  test('a size limit holds', () => {
    expect(readJose(toCompactJws(jws), { ...joseLimits, bytesMax: 10 })).toEqual({ ok: false, code: 'limit-exceeded' })
  })

  test('members of no meaning are passed over and white space is taken', () => {
    expect(readJose(` ${JSON.stringify({ ...toGeneralJws(jws), extra: 1 }, null, 2)}\n`)).toMatchObject({ ok: true, kind: 'jws' })
  })

  test('a JSON text with other letters in it is read from octets', () => {
    expect(readJose(utf8(JSON.stringify({ ...toGeneralJws(jws), note: 'ä' })))).toMatchObject({ ok: true, kind: 'jws' })
  })
})
