import { type JsonObject, utf8 } from '@parley/core'
import { type Attributes, decodeAttributes, encodeAttributes, isExpired } from '@parley/jwm'
import { describe, expect, test } from 'vitest'

const full: Attributes = {
  id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11',
  type: 'urn:parley:chat:1:text',
  from: 'im:alice@a.localhost',
  to: ['im:bob@b.localhost'],
  threadId: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a12',
  referentId: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a13',
  timeStamp: 1516239022.25,
  expiry: 1516269022,
  replyUrl: 'https://a.localhost/reply',
  replyTo: ['im:alice@a.localhost', 'plain'],
  body: { text: 'ä <&> 𝄞', nested: [{ deep: null }] },
  others: { parley: { seq: 1 }, 'https://example.org/claim': true, threadId: 'not thread_id' },
}

const decode = (value: unknown) => decodeAttributes(utf8(typeof value === 'string' ? value : JSON.stringify(value)))

test('attributes come back as they went, those without a name here untouched', () => {
  const decoded = decodeAttributes(encodeAttributes(full))
  expect(decoded).toEqual({ ok: true, attributes: full })
  expect(JSON.parse(new TextDecoder().decode(encodeAttributes(full)))).toMatchObject({
    thread_id: full.threadId,
    time_stamp: 1516239022.25,
    threadId: 'not thread_id',
  })
})

test('none is mandatory', () => {
  expect(decode({})).toEqual({ ok: true, attributes: {} })
})

describe('reading refuses', () => {
  test.each<[string, unknown]>([
    ['an array', []],
    ['a text', '"hello"'],
    ['a number', '7'],
    ['null', 'null'],
    ['nothing', ''],
    ['two objects', '{}{}'],
    ['a BOM', '\ufeff{}'],
    ['a name twice', '{"id":"a","id":"b"}'],
    ['a name twice behind an escape', '{"id":"a","\\u0069d":"b"}'],
    ['half a surrogate pair', '{"id":"\\ud834"}'],
    ['an id that is a number', { id: 1 }],
    ['a type that is null', { type: null }],
    ['a body that is text', { body: 'hello' }],
    ['a body that is an array', { body: [] }],
    ['a bare to', { to: 'im:bob@b.localhost' }],
    ['a number in to', { to: ['im:bob@b.localhost', 1] }],
    ['a list as from', { from: ['im:bob@b.localhost'] }],
    ['a text as time_stamp', { time_stamp: '1516239022' }],
    ['null as expiry', { expiry: null }],
    ['a boolean as expiry', { expiry: true }],
    ['an infinite expiry', '{"expiry":1e999}'],
    ['a colon without a scheme', { id: ':x' }],
    ['a colon behind a space', { from: 'not a uri: at all' }],
    ['a broken percent sign', { id: 'urn:a%zz' }],
    ['a number in reply_to', { reply_to: [1] }],
    ['an object as reply_url', { reply_url: {} }],
  ])('%s', (_, value) => {
    expect(decode(value)).toEqual({ ok: false, code: 'attributes-malformed' })
  })

  test('octets that are not UTF-8', () => {
    expect(decodeAttributes(Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d)).ok).toBe(false)
  })

  test('every truncation', () => {
    const octets = encodeAttributes(full)
    for (let i = 0; i < octets.length; i++) expect(decodeAttributes(octets.subarray(0, i)).ok).toBe(false)
  })
})

describe('writing refuses', () => {
  const deep = (levels: number): JsonObject => (levels === 0 ? {} : { a: deep(levels - 1) })
  test.each<[string, unknown]>([
    ['a wrong kind', { to: 'bob' }],
    ['a known name among the others', { others: { thread_id: 'x' } }],
    ['a nesting no reader takes', { body: deep(31) }],
    ['a number that is none', { body: { x: Number.NaN } }],
    ['a function', { body: { x: () => 1 } }],
    ['half a surrogate pair', { body: { x: '\ud834' } }],
  ])('%s', (_, attributes) => {
    expect(() => encodeAttributes(attributes as Attributes)).toThrow(
      expect.objectContaining({ code: 'ERR_JWM_ATTRIBUTES_MALFORMED' }),
    )
  })

  test('nothing that readers take', () => {
    for (const body of [deep(30), { x: '\\ud834' }, { x: undefined }]) {
      expect(decodeAttributes(encodeAttributes({ body } as Attributes)).ok).toBe(true)
    }
  })
})

test('names are compared code point by code point', () => {
  expect(decode({ ID: 'x', thread_ıd: 'y' })).toEqual({ ok: true, attributes: { others: { ID: 'x', thread_ıd: 'y' } } })
})

test('a member named __proto__ is a member', () => {
  const decoded = decode('{"__proto__":{"from":"im:eve@e"}}')
  expect(decoded.ok && decoded.attributes.from).toBeUndefined()
  expect(decoded.ok && new TextDecoder().decode(encodeAttributes(decoded.attributes))).toBe('{"__proto__":{"from":"im:eve@e"}}')
})

test('a message expires when its time has come and the clocks may not differ by more', () => {
  expect(isExpired({ expiry: 100 }, { nowMs: 100_000, skewMs: 0 })).toBe(true)
  expect(isExpired({ expiry: 100 }, { nowMs: 100_000, skewMs: 1 })).toBe(false)
  expect(isExpired({}, { nowMs: Number.MAX_SAFE_INTEGER, skewMs: 0 })).toBe(false)
})
