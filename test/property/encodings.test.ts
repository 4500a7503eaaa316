import { base64url, fromBase64url, jsonLimits, parseJson, utf8 } from '@parley/core'
import { type Backend, backend as node } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { type Attributes, decodeAttributes, encodeAttributes } from '@parley/jwm'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('encodings')))

/** Texts of any UTF-16 units: halves of surrogate pairs too. */
const units = fc.array(fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.nat(0xffff), fc.constant(0xd83d), fc.constant(0xde00)), {
  maxLength: 6,
})
const anyText = units.map((codes) => String.fromCharCode(...codes))
const sound = fc.string({ unit: 'binary', maxLength: 12 })

// UTF-8 has no halves.
const isWellFormed = (text: string): boolean => Buffer.from(text).toString() === text

/** A JSON text, and whether a strict reader takes it. */
type Written = { readonly text: string; readonly names: boolean; readonly pairs: boolean; readonly depth: number }

const { value: written } = fc.letrec<{
  value: Written
  text: Written
  list: Written
  object: Written
  member: [string, Written]
}>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc
      .constantFrom('null', 'true', 'false', '0', '-0', '1e3', '1e999', '12.5')
      .map((text) => ({ text, names: true, pairs: true, depth: 0 })),
    tie('text'),
    tie('list'),
    tie('object'),
  ),
  text: anyText.map((text) => ({ text: JSON.stringify(text), names: true, pairs: isWellFormed(text), depth: 0 })),
  list: fc
    .array(tie('value'), { maxLength: 4 })
    .map((items) => joined(items, `[${items.map(({ text }) => text).join(',')}]`, true)),
  object: fc.array(tie('member'), { maxLength: 4 }).map((members) => {
    const text = `{${members.map(([name, { text }]) => `${escapedName(name)}:${text}`).join(',')}}`
    const isSet = new Set(members.map(([name]) => name)).size === members.length
    const inside = joined(
      members.map(([, value]) => value),
      text,
      isSet,
    )
    return { ...inside, pairs: inside.pairs && members.every(([name]) => isWellFormed(name)) }
  }),
  member: fc.tuple(fc.oneof(fc.constantFrom('a', 'b', '__proto__', ''), anyText), tie('value')),
}))

// Half of the names are written with escapes: the same name in other letters is the same name.
function escapedName(name: string): string {
  if (name.length % 2 === 0) return JSON.stringify(name)
  const escapes = Array.from({ length: name.length }, (_, i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, '0')}`)
  return `"${escapes.join('')}"`
}

function joined(inside: readonly Written[], text: string, names: boolean): Written {
  return {
    text,
    names: names && inside.every((item) => item.names),
    pairs: inside.every((item) => item.pairs),
    depth: 1 + Math.max(0, ...inside.map(({ depth }) => depth)),
  }
}

describe('the strict JSON parser', () => {
  it('takes exactly what has no name twice, no half pair and not too much depth, as JSON.parse reads it', () => {
    const seen = { taken: 0, refused: 0 }
    check(
      fc.property(
        written,
        fc.constantFrom('', ' ', '\n\t'),
        fc.integer({ min: 1, max: 5 }),
        ({ text, names, pairs, depth }, space, depthMax) => {
          const result = parseJson(`${space}${text}${space}`, { ...jsonLimits, depthMax })
          expect(result.ok).toBe(names && pairs && depth <= depthMax)
          seen[result.ok ? 'taken' : 'refused']++
          if (result.ok) expect(result.value).toEqual(JSON.parse(text))
          expect(parseJson(`\ufeff${text}`).ok).toBe(false)
          expect(parseJson(`${text}${text}`).ok && !/^-?[\d.e]+$/.test(text)).toBe(false)
        },
      ),
      1500,
    )
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(200)
  })

  it('takes nothing that JSON.parse does not, whatever the text', () => {
    const damaged = fc.tuple(
      written,
      fc.nat(),
      fc.constantFrom('', '"', '\\', '{', '}', ',', ':', '[', ']', '\u0000', '\ufeff', '1', 'e', 'u'),
    )
    const texts = fc.oneof(
      damaged.map(
        ([{ text }, at, more]) => `${text.slice(0, at % (text.length + 1))}${more}${text.slice((at % (text.length + 1)) + 1)}`,
      ),
      anyText,
    )
    check(
      fc.property(texts, (text) => {
        const result = parseJson(text)
        if (!result.ok) return
        expect(result.value).toEqual(JSON.parse(text))
        // Octets and text are read alike.
        expect(parseJson(utf8(text))).toEqual(result)
      }),
      3000,
    )
  })

  it('reads any octets without throwing', () => {
    check(
      fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => {
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(octets)
        const result = parseJson(octets)
        if (result.ok) expect(result.value).toEqual(JSON.parse(text))
      }),
      1500,
    )
  })
})

const decoders: readonly (readonly [string, Pick<Backend, 'base64url' | 'fromBase64url'>])[] = [
  ['core', { base64url, fromBase64url }],
  ['node', node],
  ['noble', noble],
]

describe.each(decoders)('base64url of %s', (_, codec) => {
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n\u0000é'

  it('comes back', () => {
    check(
      fc.property(fc.uint8Array({ maxLength: 3000, size: 'max' }), (octets) => {
        expect(Buffer.from(codec.fromBase64url(codec.base64url(octets)) ?? []).equals(octets)).toBe(true)
      }),
      200,
    )
  })

  it('takes exactly what is written so', () => {
    const near = fc
      .array(fc.nat(characters.length - 1), { maxLength: 9 })
      .map((at) => at.map((i) => characters.charAt(i)).join(''))
    const long = fc
      .tuple(fc.uint8Array({ minLength: 1700, maxLength: 1720 }), fc.nat(), fc.nat(characters.length - 1))
      .map(([octets, at, i]) => {
        const text = Buffer.from(octets).toString('base64url')
        return `${text.slice(0, at % text.length)}${characters.charAt(i)}${text.slice((at % text.length) + 1)}`
      })
    check(
      fc.property(fc.oneof({ weight: 5, arbitrary: near }, long), (text) => {
        const octets = codec.fromBase64url(text)
        const isImage = Buffer.from(text, 'base64url').toString('base64url') === text
        expect(octets !== undefined).toBe(isImage)
        if (octets !== undefined) expect(codec.base64url(octets)).toBe(text)
      }),
      2500,
    )
  })
})

describe('attributes', () => {
  const uri = fc.constantFrom('im:alice@a.example', 'urn:uuid:1', 'plain text', '', 'http://a.example/%C3%A4?x#y')
  const json = fc.jsonValue({ stringUnit: 'binary', noUnicodeString: false, maxDepth: 4 } as fc.JsonSharedConstraints)
  const date = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value))
  const body = fc.dictionary(sound, json, { maxKeys: 4 }) as fc.Arbitrary<NonNullable<Attributes['body']>>
  const others = fc.dictionary(
    sound.map((name) => `x-${name}`),
    json,
    { minKeys: 1, maxKeys: 3 },
  ) as fc.Arbitrary<NonNullable<Attributes['others']>>
  const some = fc.record(
    {
      id: uri,
      type: uri,
      from: uri,
      to: fc.array(uri, { maxLength: 3 }),
      threadId: uri,
      referentId: uri,
      timeStamp: date,
      expiry: date,
      replyUrl: uri,
      replyTo: fc.oneof(uri, fc.array(uri, { maxLength: 2 })),
      body,
      others,
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Attributes>

  it('come back as they went', () => {
    check(
      fc.property(some, (attributes) => {
        const decoded = decodeAttributes(encodeAttributes(attributes))
        if (!decoded.ok) throw new Error(decoded.code)
        // -0 is written as 0: JSON texts of both are compared.
        expect(JSON.parse(JSON.stringify(decoded.attributes))).toEqual(JSON.parse(JSON.stringify(attributes)))
        expect(encodeAttributes(decoded.attributes)).toEqual(encodeAttributes(attributes))
      }),
      600,
    )
  })
})
