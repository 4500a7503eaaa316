import { describe, expect, it } from 'vitest'
import {
  generateKey,
  importKey,
  type Key,
  openJwe,
  publicJwk,
  type Recipient,
  readJose,
  sealJwe,
  toFlattenedJwe,
  toGeneralJwe,
  toGeneralJweOctets,
} from '../src/index.ts'
import { joseLimits } from '../src/limits.ts'
import { readQuickly } from '../src/quick.ts'
import { seeded } from './setup.ts'

const random = seeded(7)
const jwks = Array.from({ length: 12 }, () => generateKey('X25519', { random }))
const shared = importKey({ ...generateKey('oct-256', { random }), kid: 'a session' })
const recipients = jwks.map((jwk): Recipient => ({ key: importKey(publicJwk(jwk)) }))
const mine = importKey(jwks[5] ?? (jwks[0] as never))
const kids = [mine.kid ?? '']
const content = random.bytes(3000)
const one = sealJwe(content, { recipients: recipients.slice(5, 6), random })
const many = sealJwe(content, { recipients, random })
const mixed = sealJwe(content, { recipients: [...recipients, { key: shared }], random })
const limits = joseLimits

const texts: readonly string[] = [
  JSON.stringify(toGeneralJwe(many)),
  JSON.stringify(toGeneralJwe(mixed)),
  JSON.stringify(toGeneralJwe(one)),
  JSON.stringify(toFlattenedJwe(one)),
  JSON.stringify(toGeneralJwe(sealJwe(content, { recipients, random, aad: random.bytes(20) }))),
]

/** What the strict parser makes of it: white space sends every text there. */
const careful = (text: string) => readJose(`${text} `)

describe('a text that is written as this package writes it', () => {
  it.each(texts)('is read quickly: %#', (text) => {
    const quick = readQuickly(text, { limits, kids })
    const slow = careful(text)
    expect(slow.ok && slow.kind === 'jwe' && { ...slow.jwe, recipients: [] }).toEqual({ ...quick, recipients: [] })
    expect(quick?.recipients.length).toBe(slow.ok && slow.kind === 'jwe' ? slow.jwe.recipients.length : 0)
    expect(quick === undefined || openJwe(quick, { keys: [mine] })).toMatchObject({ ok: true, plaintext: content })
  })

  it('says of none of the reader’s keys what the careful reading says', () => {
    const other: Key = importKey(generateKey('X25519', { random }))
    const read = readJose(texts[0] ?? '', limits, { kids: [other.kid ?? ''] })
    expect(read.ok && read.kind === 'jwe' && openJwe(read.jwe, { keys: [other] })).toEqual({ ok: false, code: 'key-unknown' })
  })

  it('counts its recipients', () => {
    const few = { ...limits, recipientsMax: 11 }
    expect(readJose(texts[0] ?? '', few, { kids })).toEqual({ ok: false, code: 'limit-exceeded' })
  })
})

describe('any other text', () => {
  const replacements = [
    '',
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\n',
    'A',
    '=',
    '+',
    '\u00e9',
    '\ud800',
    '"a":1,',
    '"iv":"",',
    '{},',
  ]

  it('is read as the strict parser reads it, or refused with its code', () => {
    const dice = seeded(11)
    const below = (max: number): number => {
      const [a = 0, b = 0, c = 0] = dice.bytes(3)
      return ((a << 16) | (b << 8) | c) % max
    }
    let read = 0
    for (let i = 0; i < 4000; i++) {
      const text = texts[i % texts.length] ?? ''
      // Most of a text is ciphertext; its ends hold the structure.
      const at = below(3) === 0 ? below(text.length) : below(2) === 0 ? below(1400) : text.length - below(60)
      const end = at + below(4)
      const changed = text.slice(0, at) + (replacements[below(replacements.length)] ?? '') + text.slice(end)
      const strict = careful(changed)
      const quick = readJose(changed, limits, { kids })
      if (strict.ok && quick.ok && strict.kind === 'jwe' && quick.kind === 'jwe') {
        read++
        expect({ ...quick.jwe, recipients: quick.jwe.recipients.length }).toEqual({
          ...strict.jwe,
          recipients: strict.jwe.recipients.length,
        })
        for (const [n, recipient] of quick.jwe.recipients.entries()) {
          if (recipient !== undefined) expect(recipient).toEqual(strict.jwe.recipients[n])
        }
        expect(openJwe(quick.jwe, { keys: [mine] }).ok).toBe(openJwe(strict.jwe, { keys: [mine] }).ok)
      } else expect(quick).toEqual(strict)
    }
    expect(read).toBeGreaterThan(500)
  })
})

it('octets of the General serialization are those of its JSON text', () => {
  for (const jwe of [
    one,
    many,
    mixed,
    sealJwe(content.subarray(0, 9), { recipients, random }),
    { ...one, unprotected: { a: '"ciphertext":"' } },
  ]) {
    expect(new TextDecoder().decode(toGeneralJweOctets(jwe))).toBe(JSON.stringify(toGeneralJwe(jwe)))
  }
})
