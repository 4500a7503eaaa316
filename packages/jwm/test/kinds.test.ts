import { uuidUrnFrom } from '@parley/core'
import { attributesOf, decodeAttributes, encodeAttributes, isReplyUrl, privateNames } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { octets, random } from './people.ts'

type Row = {
  readonly name: string
  readonly wire: string
  readonly takes: readonly unknown[]
  readonly refuses: readonly unknown[]
}

const texts = ['plain', '', 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11', 'https://example.org/a?b=%20#c', 'im:bob@b.example']
const noTexts = [1, null, true, {}, ['plain'], ':x', 'a b: c', 'urn:%zz', '1a:b', 'urn:ä']
const rows: readonly Row[] = [
  ...['id', 'type', 'from', 'thread_id', 'referent_id', 'reply_url'].map((wire) => ({
    name: `${wire} is one StringOrURI`,
    wire,
    takes: texts,
    refuses: noTexts,
  })),
  {
    name: 'to is a list of StringOrURI',
    wire: 'to',
    takes: [[], texts],
    refuses: [...texts, ...noTexts.slice(0, 4), [1], ['ok', ':x'], [[]]],
  },
  {
    name: 'reply_to is one StringOrURI or a list of them',
    wire: 'reply_to',
    takes: [...texts, [], texts],
    refuses: [1, null, true, {}, ':x', [1], ['ok', ':x']],
  },
  ...['time_stamp', 'expiry'].map((wire) => ({
    name: `${wire} is a number`,
    wire,
    takes: [0, -1, 1516239022, 1516239022.25, 1e15],
    refuses: ['1516239022', null, true, [1], {}],
  })),
  { name: 'body is an object', wire: 'body', takes: [{}, { a: [null, { b: 1 }] }], refuses: ['x', 1, null, true, [], [{}]] },
]

describe('the kinds of attributes', () => {
  test.each(rows)('$name', ({ wire, takes, refuses }) => {
    for (const value of takes) expect(decodeAttributes(octets({ [wire]: value }))).toMatchObject({ ok: true })
    for (const value of refuses)
      expect(decodeAttributes(octets({ [wire]: value }))).toEqual({ ok: false, code: 'attributes-malformed' })
  })

  test('the set itself is a JSON object and nothing else', () => {
    for (const text of ['{}', ' {"id":"a"}\n']) expect(decodeAttributes(octets(text)).ok).toBe(true)
    for (const text of ['[]', '[{}]', '"a"', '1', 'null', 'true', '', '{} {}', '{"id":"a"', "{'id':'a'}"])
      expect(decodeAttributes(octets(text)).ok).toBe(false)
  })

  test('a type is what was written, in its case, and nothing is folded or normalised', () => {
    // The second é is composed of two code points.
    const types = ['urn:x:Note', 'urn:x:note', 'URN:x:note', 'é', 'e\u0301', '\u212a', 'K']
    const read = types.map((type) => decodeAttributes(octets({ type })))
    expect(read.map((one) => one.ok && one.attributes.type)).toEqual(types)
    expect(new Set(types).size).toBe(types.length)
    const escaped = decodeAttributes(octets('{"\\u0074ype":"urn:x:\\u006eote"}'))
    expect(escaped).toEqual({ ok: true, attributes: { type: 'urn:x:note' } })
  })

  test('a thread and a referent are told apart', () => {
    const attributes = { threadId: 'urn:t:1', referentId: 'urn:m:7' }
    expect(JSON.parse(new TextDecoder().decode(encodeAttributes(attributes)))).toEqual({
      thread_id: 'urn:t:1',
      referent_id: 'urn:m:7',
    })
    expect(attributesOf({ referent_id: 'urn:m:7' })).toEqual({ ok: true, attributes: { referentId: 'urn:m:7' } })
  })
})

test('ids that are made are URNs of 122 random bits', () => {
  const made = Array.from({ length: 2000 }, () => uuidUrnFrom(random.bytes(16)))
  expect(new Set(made).size).toBe(made.length)
  for (const id of made) expect(id).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  // Each of the 122 takes both values.
  const digits = made.map((id) => BigInt(`0x${id.slice(9).replaceAll('-', '')}`))
  const varied = digits.reduce((all, one) => all | (one ^ (digits[0] ?? 0n)), 0n)
  expect([...varied.toString(2)].filter((bit) => bit === '1')).toHaveLength(122)
  for (const id of made.slice(0, 20)) expect(attributesOf({ id }).ok).toBe(true)
})

test('names that may collide are shown, registered and collision-resistant ones are not', () => {
  const safe = [
    'id',
    'reply_to',
    'https://example.org/claim',
    'urn:oid:2.25.1',
    'example.org',
    'example.org/claim',
    '2.25.329800735',
    '8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11',
  ]
  const colliding = ['parley', 'ID', 'threadId', 'some name', 'iss', '']
  const object = Object.fromEntries([...colliding, ...safe].map((name) => [name, 'x']))
  expect(privateNames(object)).toEqual(colliding)
})

describe('a reply URL', () => {
  test.each([
    'https://a.example/reply',
    'http://a.example:8080',
    'wss://a.example/x?y=1#z',
    'ws://[::1]:9/x',
    'HTTPS://A.example/',
  ])('%s may be called', (url) => {
    expect(isReplyUrl(url)).toBe(true)
  })

  test.each([
    'plain',
    '',
    '//a.example/x',
    '/reply',
    'https:',
    'https://',
    'https:///x',
    'https:a.example',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:text/plain,x',
    'ftp://a.example/x',
    'https://user@a.example/',
    'https://a.example@b.example/',
    'https://a.example:x/',
    'https://a b.example/',
    'https://a.example/ x',
    'https://a.example\\@b.example/',
    ' https://a.example/',
  ])('%j may not', (url) => {
    expect(isReplyUrl(url)).toBe(false)
  })

  test('schemes are what the application says', () => {
    expect(isReplyUrl('coap://a.example/x', ['coap'])).toBe(true)
    expect(isReplyUrl('https://a.example/x', ['coap'])).toBe(false)
  })
})
