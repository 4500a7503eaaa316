import { base64url, fromUtf8, type JsonObject, utf8 } from '@parley/core'
import { type Jws, sealJwe, signJws, toCompactJwe, toCompactJws, toFlattenedJws, toGeneralJwe, toGeneralJws } from '@parley/jose'
import { inspectJwm, type MadeJwm, type MakeOptions, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { octets, pair, random, refused, secret } from './people.ts'
import { mustRead } from './setup.ts'

const alice = pair('Ed25519', 'alice')
const carol = pair('P-256', 'carol')
const bob = pair('X25519', 'bob')
const dave = pair('P-256', 'dave')
const smk = secret('sid')
const object = { id: 'urn:uuid:1', body: { text: 'hi' } }
const all = { keys: [bob.secret, dave.secret, smk], verifyKeys: [alice.open, carol.open] }

const make = (options: Partial<MakeOptions>, payload: unknown = object) =>
  makeJwm(octets(payload), { random, form: 'general', ...options })
const made = (options: Partial<MakeOptions>, payload?: unknown): MadeJwm => mustRead(make(options, payload)).jwm
const open = (jwm: MadeJwm) => openJwm(jwm, all)
const headersOf = (jwm: MadeJwm): readonly JsonObject[] =>
  mustRead(inspectJwm(jwm)).layers.flatMap((layer) =>
    layer.kind === 'jwe' ? [layer.protected] : layer.signatures.map((signature) => signature.protected),
  )
const jws = (text: string, header: JsonObject = {}): Jws =>
  signJws(utf8(text), { signers: [{ key: alice.secret, protected: header }] })

describe('making (§6.1)', () => {
  test('the exact octets of the attributes set are what is secured, white space included', () => {
    const text = ' {\n  "zeta": 1.0,\t"body": {"b":2,"a":1},  "id" : "urn:\\u0075uid:1"\r\n} '
    for (const options of [
      { signers: [alice.secret] },
      { recipients: [bob.open] },
      { signers: [alice.secret], recipients: [bob.open] },
    ]) {
      for (const form of ['general', 'compact', 'urlsafe'] as const) {
        expect(fromUtf8(mustRead(open(made({ ...options, form }, text))).payload)).toBe(text)
      }
    }
    const signed = made({ signers: [alice.secret], form: 'compact' }, text) as string
    expect(signed.split('.')[1]).toBe(base64url(utf8(text)))
  })

  test('the message is the UTF-8 of the attributes set', () => {
    const text = '{"body":{"text":"ä 𝄞 \u2028"}}'
    const signed = made({ signers: [alice.secret], form: 'compact' }, text) as string
    expect(Buffer.from(signed.split('.')[1] ?? '', 'base64url').toString('utf8')).toBe(text)
  })

  test('typ is JWM in every header, cty in that of an outer layer alone', () => {
    const nested = made({ signers: [alice.secret, carol.secret], recipients: [bob.open], order: 'encrypt-sign' })
    expect(headersOf(nested)).toMatchObject([{ typ: 'JWM', cty: 'JWM' }, { typ: 'JWM', cty: 'JWM' }, { typ: 'JWM' }])
    expect(headersOf(nested).at(-1)).not.toHaveProperty('cty')
    expect(headersOf(made({ signers: [alice.secret], recipients: [bob.open] }))).toMatchObject([{ typ: 'JWM', cty: 'JWM' }])
    for (const header of [
      ...headersOf(made({ signers: [alice.secret] })),
      ...headersOf(made({ recipients: [bob.open] })),
      ...headersOf(made({ unsecured: true })),
    ]) {
      expect(header['typ']).toBe('JWM')
      expect(header).not.toHaveProperty('cty')
    }
  })

  test('several signatures: base64url of the whole JSON where URLs are asked for, else JSON; never compact', () => {
    const signers = [alice.secret, carol.secret]
    const general = made({ signers }) as JsonObject
    expect(general['signatures']).toHaveLength(2)
    const urlsafe = made({ signers, form: 'urlsafe' }) as string
    expect(urlsafe).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(JSON.parse(Buffer.from(urlsafe, 'base64url').toString())).toHaveProperty('signatures')
    expect(make({ signers, form: 'compact' })).toEqual({ ok: false, code: 'form-impossible' })
    for (const jwm of [general, urlsafe]) expect(open(jwm)).toMatchObject({ ok: true, object })
  })

  test('several recipients: base64url of the whole JSON where URLs are asked for, else JSON; never compact', () => {
    const recipients = [bob.open, dave.open, smk]
    const general = made({ recipients }) as JsonObject
    expect(general['recipients']).toHaveLength(3)
    const urlsafe = made({ recipients, form: 'urlsafe' }) as string
    expect(urlsafe).toMatch(/^[A-Za-z0-9_-]+$/)
    for (const form of ['compact', 'flattened', 'binary'] as const)
      expect(make({ recipients, form })).toEqual({ ok: false, code: 'form-impossible' })
    for (const jwm of [general, urlsafe]) expect(open(jwm)).toMatchObject({ ok: true, object })
  })

  test('one signature with unprotected members has a URL-safe form, though no compact one', () => {
    const signers = [{ key: alice.secret, unprotected: { hint: 'see https://a.example' } }]
    expect(make({ signers, form: 'compact' })).toEqual({ ok: false, code: 'form-impossible' })
    const urlsafe = made({ signers, form: 'urlsafe' })
    expect(urlsafe).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(open(urlsafe)).toMatchObject({ ok: true, object })
    // Inside of an encryption it is General instead of compact.
    expect(open(made({ signers, recipients: [bob.open], form: 'compact' }))).toMatchObject({ ok: true, object })
  })

  test('a nested message is signed first unless the maker says otherwise, and each way opens', () => {
    const parts = { signers: [alice.secret], recipients: [bob.open] }
    expect(mustRead(open(made(parts))).proved.order).toBe('sign-encrypt')
    expect(mustRead(open(made({ ...parts, order: 'sign-encrypt' }))).proved.order).toBe('sign-encrypt')
    expect(mustRead(open(made({ ...parts, order: 'encrypt-sign' }))).proved.order).toBe('encrypt-sign')
  })

  test('unencoded payloads are signed alone, and are neither nested nor taken nested', () => {
    const unencoded = { signers: [alice.secret], unencoded: true }
    const flattened = made({ ...unencoded, form: 'flattened' }) as JsonObject
    expect(flattened['payload']).toBe(JSON.stringify(object))
    expect(open(flattened)).toMatchObject({ ok: true, object })
    expect(make({ ...unencoded, recipients: [bob.open] })).toEqual({ ok: false, code: 'form-impossible' })
    const inner = toFlattenedJws(signJws(octets(object), { signers: [{ key: alice.secret }], unencoded: true }))
    const around = sealJwe(octets(inner), { recipients: [{ key: bob.open }], random, protected: { cty: 'JWM' } })
    expect(open(toGeneralJwe(around))).toEqual(refused('nested-unencoded'))
    const compact = toCompactJws(jws(JSON.stringify(object)))
    const outer = signJws(utf8(compact), { signers: [{ key: carol.secret, protected: { cty: 'JWM' } }], unencoded: true })
    expect(open(toGeneralJws(outer))).toEqual(refused('nested-unencoded'))
  })

  test('a payload may travel apart, and comes back from aside', () => {
    for (const form of ['general', 'flattened', 'compact'] as const) {
      const jwm = made({ signers: [alice.secret], detached: true, form })
      expect(JSON.stringify(jwm)).not.toContain(base64url(octets(object)))
      expect(open(jwm)).toEqual(refused(form === 'compact' ? 'signature-invalid' : 'jws-malformed'))
      expect(openJwm(jwm, { ...all, payload: octets(object) })).toMatchObject({ ok: true, object })
      expect(openJwm(jwm, { ...all, payload: octets({ ...object, id: 'b' }) })).toEqual(refused('signature-invalid'))
    }
    expect(make({ signers: [alice.secret], recipients: [bob.open], detached: true })).toEqual({
      ok: false,
      code: 'form-impossible',
    })
    expect(openJwm(made({ recipients: [bob.open] }), { ...all, payload: octets(object) })).toEqual(
      refused('serialization-malformed'),
    )
  })

  test('data beside the content is authenticated and comes back, unprotected members are written', () => {
    const jwm = made({ recipients: [bob.open], aad: utf8('beside'), unprotected: { hint: 1 }, form: 'flattened' }) as JsonObject
    expect(jwm['unprotected']).toEqual({ hint: 1 })
    expect(open(jwm)).toMatchObject({ ok: true, layers: [{ aad: utf8('beside'), recipient: 0 }] })
    expect(open({ ...jwm, aad: base64url(utf8('beside!')) })).toEqual({ ...refused('decryption-failed'), cause: 'content' })
    expect(make({ signers: [alice.secret], aad: utf8('beside') })).toEqual({ ok: false, code: 'form-impossible' })
  })
})

test('compressed content is made and read on request alone, and in no profile', () => {
  const long = { body: { text: 'x'.repeat(5000) } }
  const { jwm, bytes } = mustRead(make({ recipients: [bob.open], zip: 'DEF', form: 'compact' }, long))
  expect(bytes).toBeLessThan(1000)
  expect(open(jwm)).toEqual(refused('zip-unsupported'))
  expect(openJwm(jwm, { ...all, zip: true })).toMatchObject({ ok: true, object: long })
  expect(openJwm(jwm, { ...all, zip: true, profile: 'anonymous' })).toEqual(refused('zip-unsupported'))
  expect(make({ recipients: [bob.open], zip: 'DEF', profile: 'anonymous' }, long)).toEqual({
    ok: false,
    code: 'profile-conflict',
  })
  expect(make({ signers: [alice.secret], zip: 'DEF' }, long)).toEqual({ ok: false, code: 'form-impossible' })
})

describe('validating (§6.2)', () => {
  const compact = made({ signers: [alice.secret], form: 'compact' }) as string
  const sealed = made({ recipients: [bob.open], form: 'compact' }) as string

  test('a text with a period has three parts or five, and nothing else', () => {
    expect(open(compact)).toMatchObject({ ok: true })
    expect(open(sealed)).toMatchObject({ ok: true })
    const [a = '', b = '', c = ''] = compact.split('.')
    for (const text of [
      `${a}.`,
      `${a}.${b}`,
      `.${compact}`,
      `${compact}.`,
      `${compact}.${c}`,
      `${sealed}.`,
      `${sealed}.AA`,
      '.',
      '..',
      '....',
    ])
      expect(open(text).ok).toBe(false)
  })

  test.each([' ', '\n', '=', '+', '/', '\t', 'ä', '\0'])('%j in base64url is refused', (character) => {
    for (const text of [compact, sealed, base64url(octets(made({ signers: [alice.secret] })))]) {
      for (const at of [0, 10, text.length]) {
        expect(open(text.slice(0, at) + character + text.slice(at)).ok).toBe(false)
        expect(open(utf8(text.slice(0, at) + character + text.slice(at))).ok).toBe(false)
      }
    }
  })

  test('a text without a period is base64url of one complete JSON serialization', () => {
    const general = JSON.stringify(made({ signers: [alice.secret] }))
    expect(open(base64url(utf8(general)))).toMatchObject({ ok: true })
    for (const text of [general.slice(0, -1), `${general}x`, `[${general}]`, '"x"', '{}', ''])
      expect(open(base64url(utf8(text))).ok).toBe(false)
    expect(open(base64url(utf8(compact))).ok).toBe(false)
  })

  test('a JSON text is General or Flattened, whichever it is, and one recognised by its first character', () => {
    const parts = { signers: [alice.secret], recipients: [bob.open] }
    for (const form of ['general', 'flattened'] as const) {
      const text = JSON.stringify(made({ ...parts, form }))
      for (const input of [text, ` \r\n\t${text} `, utf8(text)]) expect(open(input)).toMatchObject({ ok: true, object })
    }
    // A period inside of JSON does not make it compact.
    const dotted = { ...(made({ signers: [{ key: alice.secret, unprotected: { dot: 'a.b.c' } }] }) as JsonObject) }
    expect(open(JSON.stringify(dotted))).toMatchObject({ ok: true, object })
  })

  test.each<[string, string | Uint8Array]>([
    ['a BOM', '\ufeff{"alg":"EdDSA"}'],
    ['an overlong form', Uint8Array.of(0x7b, 0x22, 0xc1, 0xa1, 0x22, 0x3a, 0x31, 0x7d)],
    ['half a surrogate pair', Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d)],
    ['half a surrogate pair as an escape', '{"alg":"EdDSA","x":"\\ud800"}'],
    ['something behind it', '{"alg":"EdDSA"}{}'],
    ['a list', '["alg","EdDSA"]'],
    ['a name twice', '{"alg":"EdDSA","\\u0061lg":"none"}'],
    ['too little', '{"alg":"EdDSA"'],
  ])('a header that is UTF-8 JSON but for %s is refused', (_, header) => {
    const text = base64url(typeof header === 'string' ? utf8(header) : header)
    const [, payload = '', signature = ''] = compact.split('.')
    expect(open(`${text}.${payload}.${signature}`)).toEqual(refused('header-malformed'))
    expect(open({ payload, protected: text, signature }).ok).toBe(false)
  })

  test('JWS or JWE shows in the members; both at once is refused', () => {
    const signed = made({ signers: [alice.secret], form: 'flattened' }) as JsonObject
    const encrypted = made({ recipients: [bob.open], form: 'flattened' }) as JsonObject
    for (const both of [
      { ...signed, ...encrypted },
      { ...signed, ciphertext: 'AA' },
      { ...encrypted, payload: 'AA' },
      { ...encrypted, signatures: [] },
    ])
      expect(open(both)).toEqual(refused('serialization-malformed'))
    expect(open({ protected: signed['protected'] ?? '' })).toEqual(refused('serialization-malformed'))
  })

  test('nothing of the content is used before the whole of it is validated', () => {
    // The payload is no sound attributes set; the signature fails first, and its code says so.
    const bad = toFlattenedJws(jws('{"id":1}'))
    expect(open(bad)).toEqual(refused('attributes-malformed'))
    expect(open({ ...bad, signature: base64url(new Uint8Array(64)) })).toEqual(refused('signature-invalid'))
    const nested = sealJwe(octets({ ...bad, signature: base64url(new Uint8Array(64)) }), {
      recipients: [{ key: bob.open }],
      random,
      protected: { cty: 'JWM' },
    })
    expect(Object.keys(open(toGeneralJwe(nested))).sort()).toEqual(['code', 'ok', 'opaque'])
  })

  test('the plaintext is not decoded a second time', () => {
    const twice = toCompactJwe(
      sealJwe(utf8(base64url(octets(object))), {
        recipients: [{ key: bob.open }],
        random,
        allProtected: true,
        protected: { typ: 'JWM' },
      }),
    )
    expect(open(twice)).toMatchObject({ ok: true, object: undefined, payload: utf8(base64url(octets(object))) })
  })

  test('cty says JWM in any case, with or without application/, in protected headers alone', () => {
    for (const cty of ['JWM', 'jwm', 'application/jwm', 'Application/JWM'])
      expect(mustRead(open(toGeneralJws(jws(compact, { cty })))).layers).toHaveLength(2)
    for (const cty of ['JWT', 'text/jwm', 'jwm ', 'application/jwm;v=1'])
      expect(mustRead(open(toGeneralJws(jws(compact, { cty })))).layers).toHaveLength(1)
    const unprotected = signJws(utf8(compact), { signers: [{ key: alice.secret, unprotected: { cty: 'JWM' } }] })
    expect(mustRead(open(toGeneralJws(unprotected))).layers).toHaveLength(1)
  })
})

describe('the examples of the draft', () => {
  test('§2.2: a message may expire before it was written, and has expired then', () => {
    const early = { id: 'urn:uuid:1', time_stamp: 1516269022, expiry: 1516239022, body: {} }
    const jwm = made({ signers: [alice.secret] }, early)
    expect(open(jwm)).toMatchObject({ ok: true, object: early })
    expect(openJwm(jwm, { ...all, nowMs: 1516269022_000 })).toEqual(refused('expired'))
  })

  test('§5.1: an Unsecured JWM with JWT claims and line feeds parses where "none" is allowed by name', () => {
    const text = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    const jwm = `${base64url(utf8('{"alg":"none"}'))}.${base64url(utf8(text))}.`
    expect(openJwm(jwm)).toEqual(refused('alg-not-allowed'))
    const opened = mustRead(openJwm(jwm, { algorithms: { jws: ['none'] }, nowMs: 2_000_000_000_000 }))
    expect(opened.object).toMatchObject({ iss: 'joe', exp: 1300819380 })
    expect(opened.proved).toMatchObject({ signedBy: [], order: 'unsecured', origin: undefined })
  })

  test('§5: the header of an Unsecured JWM travels with a payload that the transport protects', () => {
    const jwm = made({ unsecured: true, form: 'compact' }) as string
    expect(jwm.endsWith('.')).toBe(true)
    expect(headersOf(jwm)).toEqual([{ alg: 'none', typ: 'JWM' }])
    expect(openJwm(jwm, { algorithms: { jws: ['none'] } })).toMatchObject({ ok: true, object })
  })

  test('§8.1.1: attributes have names of more than eight characters', () => {
    expect(open(made({ signers: [alice.secret] }, { referent_id: 'urn:uuid:2', a_private_name: 1 }))).toMatchObject({ ok: true })
  })
})
