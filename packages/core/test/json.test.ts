import { describe, expect, it } from 'vitest'
import { parseJson, parseJsonObject, utf8 } from '../src/index.ts'

describe('parseJson', () => {
  it.each([
    '{}',
    '[]',
    '{"\\\\":1,"\\\\\\"":"\\\\\\\\","c":"\\""}',
    '{"a":[1,2,{"b":"c"}],"d":"e:\\"f"}',
    '"\\ud83d\\ude00"',
    '[{"a":1},{"a":2}]',
    ' 1 ',
  ])('takes %s', (text) => {
    expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text) })
    expect(parseJson(utf8(text))).toEqual({ ok: true, value: JSON.parse(text) })
  })

  it.each([
    ['{"a":1,"a":2}', 'json-duplicate-name'],
    ['{"id":1,"\\u0069d":2}', 'json-duplicate-name'],
    ['{"a":{"b":1,"b":1}}', 'json-duplicate-name'],
    ['{"a" : 1, "a" : 2}', 'json-duplicate-name'],
    ['{"a":1} {"b":2}', 'json-malformed'],
    ['{"a":1', 'json-malformed'],
    ['\uFEFF{}', 'json-malformed'],
    ['"\\ud800"', 'json-malformed'],
    ['{"\\udc00":1}', 'json-malformed'],
    ['', 'json-malformed'],
    ['{a:1}', 'json-malformed'],
    ['"abc', 'json-malformed'],
    ['"abc\\"', 'json-malformed'],
    ['{"a\\\\":1,"a\\\\":2}', 'json-duplicate-name'],
    ['['.repeat(33), 'json-too-deep'],
  ])('refuses %j as %s', (text, code) => {
    expect(parseJson(text)).toEqual({ ok: false, code })
  })

  it('refuses octets that are not UTF-8, and a BOM', () => {
    expect(parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toEqual({ ok: false, code: 'json-not-utf8' })
    expect(parseJson(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d))).toEqual({ ok: false, code: 'json-malformed' })
  })

  it('stops a million levels before they are parsed', () => {
    expect(parseJson('['.repeat(1_000_000))).toEqual({ ok: false, code: 'json-too-deep' })
  })

  it('bounds the size', () => {
    expect(parseJson('"abc"', { bytesMax: 4, depthMax: 9 })).toEqual({ ok: false, code: 'json-too-large' })
  })
})

describe('parseJsonObject', () => {
  it.each(['[]', '"a"', '1', 'null', 'true'])('refuses %s', (text) => {
    expect(parseJsonObject(text)).toEqual({ ok: false, code: 'json-not-object' })
  })
})
