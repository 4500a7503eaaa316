import { type JsonObject, parseJsonObject, utf8 } from '@parley/core'
import { joinFlattened, joinGeneral, splitGeneral } from '@parley/jose'
import { fromBinary, joinBinary, readBinary, readCut, splitBinary, toBinary } from '@parley/jwm'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('the binary serialization')))

const octets = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64url'))
const names = fc.constantFrom('kid', 'alg', 'epk', 'x y', 'ä', '\u{1f642}', '__proto__', 'a"b', 'a\\b')
const leaf = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constant([1, { a: [] }]),
)
const header = fc.uniqueArray(fc.tuple(names, leaf), { selector: ([name]) => name, minLength: 1, maxLength: 3 })

/** Compact JSON of an object, with escapes here and there that JSON.stringify would not write. */
const written = fc.tuple(header, fc.boolean()).map(([members, isEscaped]) => {
  const text = `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
  return isEscaped ? text.replace('k', '\\u006b').replace(':null', ':1E2') : text
})
const loose = header.map((members) => JSON.stringify(Object.fromEntries(members), null, 1))
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })

/** Canonical texts. */
const canonical = fc
  .record({
    protected: maybe(fc.oneof(written, loose).map((text) => Buffer.from(text).toString('base64url'))),
    unprotected: maybe(written),
    header: maybe(written),
    encrypted_key: maybe(octets),
    aad: maybe(octets),
    iv: maybe(octets),
    ciphertext: fc.oneof(octets, fc.constant('')),
    tag: maybe(octets),
  })
  .map((parts) => {
    const members = Object.entries(parts).filter(([, value]) => value !== undefined)
    const show = (name: string, value = ''): string => (name === 'header' || name === 'unprotected' ? value : `"${value}"`)
    return `{${members.map(([name, value]) => `"${name}":${show(name, value)}`).join(',')}}`
  })

const order = ['protected', 'unprotected', 'header', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag']

/** The rules of docs/jwm-binary.md once more, in another way: parse, then look at every member. */
function isCanonical(text: string): boolean {
  const parsed = parseJsonObject(text)
  if (!parsed.ok || /\s/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, '""'))) return false
  const members = Object.entries(parsed.value)
  const places = members.map(([name]) => order.indexOf(name))
  if (places.some((place, i) => place < 0 || place <= (places[i - 1] ?? -1)) || parsed.value['ciphertext'] === undefined)
    return false
  if (places.some((place) => !text.includes(`"${order[place]}":`))) return false
  return members.every(([name, value]) => {
    if (name === 'unprotected' || name === 'header')
      return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    if (typeof value !== 'string' || (value === '' && name !== 'ciphertext')) return false
    const decoded = Buffer.from(value, 'base64url')
    if (decoded.toString('base64url') !== value || !text.includes(`"${name}":"${value}"`)) return false
    const inside = name === 'protected' ? parseJsonObject(decoded) : undefined
    return inside === undefined || (inside.ok && Object.keys(inside.value).length > 0)
  })
}

describe('the canonical text', () => {
  it('and its octets stand for one another', () => {
    check(
      fc.property(canonical, (text) => {
        expect(isCanonical(text)).toBe(true)
        const made = toBinary(text)
        if (!made.ok) throw new Error(`${made.code}: ${text}`)
        expect(fromBinary(made.bytes)).toEqual({ ok: true, text })
        const read = readBinary(made.bytes)
        expect(read.ok).toBe(true)
        const cut = splitBinary(made.bytes)
        if (!cut.ok) throw new Error(cut.code)
        expect(joinBinary(cut.entry, cut.body)).toEqual(made)
        expect(readCut(cut.entry, cut.body)).toEqual(read)
        expect([joinBinary(cut.body, cut.entry).ok, splitBinary(cut.body).ok, readBinary(cut.entry).ok]).toEqual([
          false,
          false,
          false,
        ])
      }),
      600,
    )
  })

  it('is the only text that is taken: of texts near to it, those that follow the rules', () => {
    const pieces = fc.constantFrom(
      '',
      ' ',
      '"',
      ',',
      '{}',
      '\\u0061',
      'A',
      '=',
      '"aad":"AA"',
      ',"iv":"AAAA"',
      '"header":{}',
      '\ufeff',
      '\ud800',
      '1',
      '\\/',
    )
    const near = fc.tuple(canonical, fc.nat(), fc.nat(3), pieces).map(([text, at, cut, piece]) => {
      const from = at % (text.length + 1)
      return `${text.slice(0, from)}${piece}${text.slice(from + cut)}`
    })
    const shuffled = canonical.chain((text) =>
      fc
        .shuffledSubarray(Object.entries(JSON.parse(text) as JsonObject))
        .map((members) => JSON.stringify(Object.fromEntries(members))),
    )
    let taken = 0
    check(
      fc.property(fc.oneof(near, shuffled), (text) => {
        const made = toBinary(text)
        expect(made.ok).toBe(isCanonical(text))
        if (!made.ok) return
        taken++
        expect(fromBinary(made.bytes)).toEqual({ ok: true, text })
      }),
      3000,
    )
    expect(taken).toBeGreaterThan(0)
  })

  it('octets near to sound ones are refused or are those of their text', () => {
    const near = fc
      .tuple(canonical, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.constantFrom('change', 'insert', 'remove'))
      .map(([text, at, by, how]) => {
        const made = toBinary(text)
        const bytes = made.ok ? [...made.bytes] : []
        const place = at % bytes.length
        if (how === 'change') bytes[place] = (bytes[place] ?? 0) ^ by
        else bytes.splice(place, how === 'remove' ? 1 : 0, ...(how === 'insert' ? [by] : []))
        return Uint8Array.from(bytes)
      })
    check(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        const made = fromBinary(bytes)
        if (!made.ok) return
        expect(isCanonical(made.text)).toBe(true)
        expect(toBinary(made.text)).toEqual({ ok: true, bytes })
      }),
      3000,
    )
  })
})

describe('a General JWE', () => {
  const entry = fc.record(
    { header: written.map((text) => JSON.parse(text) as JsonObject), encrypted_key: octets },
    { requiredKeys: [] },
  )
  const general = fc
    .tuple(fc.array(entry, { minLength: 1, maxLength: 4 }), octets, octets, octets, fc.constantFrom(0, 1, 2))
    .map(([recipients, iv, ciphertext, tag, indent]) =>
      JSON.stringify(
        { protected: Buffer.from('{"enc":"A256GCM"}').toString('base64url'), recipients, iv, ciphertext, tag },
        null,
        indent,
      ),
    )

  it('cut into what all share and the entries is joined again as it was', () => {
    check(
      fc.property(general, (text) => {
        const cut = splitGeneral(text)
        // A header that collides with the shared one is found when the object is read for somebody.
        if (!cut.ok) return
        expect(
          joinGeneral(
            cut.shared,
            cut.entries.map((entry) => entry),
          ),
        ).toMatchObject({ ok: true })
        const joined = joinGeneral(cut.shared, cut.entries)
        if (!joined.ok) throw new Error(joined.code)
        expect(JSON.parse(joined.text)).toEqual(JSON.parse(text))
        if (!/\s/.test(text)) expect(joined.text).toBe(text)
        for (const entry of cut.entries) {
          const one = joinFlattened(cut.shared, entry)
          expect(one.ok).toBe(true)
          if (one.ok) expect(utf8(one.text).length).toBeLessThanOrEqual(utf8(text).length + 20)
        }
      }),
      400,
    )
  })
})
