import { base64url, fromBase64url, type JsonObject, utf8 } from '@parley/core'
import { generateKey, importKey, type Key, publicJwk, signJws, toGeneralJws } from '@parley/jose'
import { inspectJwm, type JwmForm, type MadeJwm, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { mustRead, seeded } from './setup.ts'

const random = seeded(41)
const pair = (kind: 'Ed25519' | 'X25519' | 'P-256'): { secret: Key; open: Key } => {
  const jwk = generateKey(kind, { random })
  return { secret: importKey(jwk), open: importKey(publicJwk(jwk)) }
}
const ed = pair('Ed25519')
const es = pair('P-256')
const x = pair('X25519')
const p = pair('P-256')
const smk = importKey(generateKey('oct-256', { random }), { kid: 'sid' })
const object: JsonObject = { id: 'urn:uuid:1', body: { text: 'hi' } }
const payload = utf8(JSON.stringify(object))
const forms: readonly JwmForm[] = ['general', 'flattened', 'compact', 'urlsafe', 'binary']
const refused = (code: string) => ({ ok: false, code, opaque: 'not-accepted' })
const texts = (made: MadeJwm): readonly (string | Uint8Array | JsonObject)[] =>
  typeof made === 'string'
    ? [made, utf8(made)]
    : made instanceof Uint8Array
      ? [made]
      : [made, JSON.stringify(made), utf8(JSON.stringify(made)), base64url(utf8(JSON.stringify(made)))]

describe('every form and order', () => {
  test.each(forms)('%s: signed then encrypted', (form) => {
    const { jwm } = mustRead(makeJwm(payload, { signers: [ed.secret], recipients: [x.open], random, form }))
    for (const input of texts(jwm)) {
      const opened = mustRead(openJwm(input, { keys: [x.secret], verifyKeys: [ed.open], requireSignature: true }))
      expect(opened).toMatchObject({ object, committed: true })
      expect(opened.layers).toMatchObject([
        { kind: 'jwe', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: x.open.kid, header: { cty: 'JWM' } },
        { kind: 'jws', signatures: [{ alg: 'EdDSA', kid: ed.open.kid, verified: true }] },
      ])
    }
  })

  test.each(forms)('%s: encrypted then signed', (form) => {
    const made = makeJwm(payload, { signers: [ed.secret], recipients: [x.open], random, form, order: 'encrypt-sign' })
    if (form === 'binary') return expect(made).toEqual({ ok: false, code: 'form-impossible' })
    for (const input of texts(mustRead(made).jwm)) {
      const opened = mustRead(openJwm(input, { keys: [x.secret], verifyKeys: [ed.open] }))
      expect(opened.layers.map(({ kind }) => kind)).toEqual(['jws', 'jwe'])
      expect(opened.object).toEqual(object)
    }
  })

  test.each(forms)('%s: several signers and several recipients', (form) => {
    const made = makeJwm(payload, { signers: [ed.secret, es.secret], recipients: [x.open, p.open, smk], random, form })
    if (form !== 'general' && form !== 'urlsafe') return expect(made).toEqual({ ok: false, code: 'form-impossible' })
    for (const key of [x.secret, p.secret, smk]) {
      const opened = mustRead(openJwm(mustRead(made).jwm, { keys: [key], verifyKeys: [ed.open, es.open] }))
      expect(opened.layers).toMatchObject([{ kid: key.kid }, { signatures: [{ verified: true }, { verified: true }] }])
    }
  })

  test.each(forms)('%s: signed alone, encrypted alone', (form) => {
    const signed = makeJwm(payload, { signers: [es.secret], random, form })
    if (form === 'binary') expect(signed).toEqual({ ok: false, code: 'form-impossible' })
    else expect(openJwm(mustRead(signed).jwm, { verifyKeys: [es.open] })).toMatchObject({ ok: true, object, committed: false })
    const sealed = mustRead(makeJwm(payload, { recipients: [smk], random, form })).jwm
    expect(openJwm(sealed, { keys: [smk] })).toMatchObject({
      ok: true,
      object,
      committed: true,
      layers: [{ alg: 'A256KW', kid: 'sid' }],
    })
    expect(openJwm(sealed, { keys: [smk], requireSignature: true })).toEqual(refused('signature-required'))
  })
})

describe('opening', () => {
  const nested = mustRead(makeJwm(payload, { signers: [ed.secret], recipients: [x.open], random, form: 'general' })).jwm

  test('tells an unknown key from a failed decryption', () => {
    expect(openJwm(nested, { keys: [p.secret], verifyKeys: [ed.open] })).toEqual(refused('key-unknown'))
    const other = importKey(generateKey('X25519', { random }), { kid: x.secret.kid ?? '' })
    expect(openJwm(nested, { keys: [other], verifyKeys: [ed.open] })).toEqual({
      ...refused('decryption-failed'),
      cause: 'unwrap',
    })
    expect(openJwm(nested, { keys: [x.secret] })).toEqual(refused('key-unknown'))
  })

  test('takes only what the list allows, per kind', () => {
    const open = (algorithms: Parameters<typeof openJwm>[1] extends infer O ? O : never) =>
      openJwm(nested, { keys: [x.secret], verifyKeys: [ed.open], ...algorithms })
    expect(open({ algorithms: { jws: ['EdDSA'], jwe: ['ECDH-ES+A256KW'], enc: ['A256GCM'] } })).toMatchObject({ ok: true })
    for (const algorithms of [{ jws: ['ES256'] }, { jwe: ['A256KW'] }, { enc: ['A128GCM'] }]) {
      expect(open({ algorithms })).toEqual(refused('alg-not-allowed'))
    }
  })

  test('reports which of several signatures held when one is enough', () => {
    const { jwm } = mustRead(makeJwm(payload, { signers: [ed.secret, es.secret], random, form: 'general' }))
    expect(openJwm(jwm, { verifyKeys: [es.open] })).toEqual(refused('key-unknown'))
    expect(mustRead(openJwm(jwm, { verifyKeys: [es.open], require: 'any' })).layers).toMatchObject([
      {
        signatures: [
          { kid: ed.open.kid, verified: false },
          { kid: es.open.kid, verified: true },
        ],
      },
    ])
  })

  test('an unsecured message is made and read on request alone, and is never signed', () => {
    expect(makeJwm(payload, { random, form: 'compact' })).toEqual({ ok: false, code: 'nothing-secures-it' })
    const { jwm } = mustRead(makeJwm(payload, { random, form: 'compact', unsecured: true }))
    expect(openJwm(jwm)).toEqual(refused('alg-not-allowed'))
    expect(openJwm(jwm, { algorithms: { jws: ['none'] } })).toMatchObject({
      ok: true,
      layers: [{ signatures: [{ alg: 'none', verified: false }] }],
    })
    expect(openJwm(jwm, { algorithms: { jws: ['none'] }, requireSignature: true })).toEqual(refused('signature-required'))
  })

  test('a payload that is no JSON object comes as octets, a broken attributes set not at all', () => {
    const through = (text: string) =>
      openJwm(toGeneralJws(signJws(utf8(text), { signers: [{ key: ed.secret }] })), { verifyKeys: [ed.open] })
    for (const text of ['', 'plain', '[]', '"x"', '7', '{'])
      expect(through(text)).toMatchObject({ ok: true, object: undefined, payload: utf8(text) })
    for (const text of ['{"id":1}', '{"to":"x"}', '{"id":"a","id":"b"}', `{"body":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}`]) {
      expect(through(text)).toEqual(refused('attributes-malformed'))
    }
    expect(makeJwm(utf8('{"to":"x"}'), { signers: [ed.secret], random, form: 'compact' })).toEqual({
      ok: false,
      code: 'attributes-malformed',
    })
    expect(makeJwm(utf8('no JSON'), { signers: [ed.secret], random, form: 'compact' })).toMatchObject({ ok: true })
  })

  test('layers are bounded, and a layer that is none is refused', () => {
    let inner: Uint8Array = payload
    for (let i = 0; i < 5; i++) {
      const jws = signJws(inner, { signers: [{ key: ed.secret, protected: i === 0 ? {} : { cty: 'jwm' } }] })
      inner = utf8(JSON.stringify(toGeneralJws(jws)))
      const opened = openJwm(inner, { verifyKeys: [ed.open] })
      if (i < 4) expect(mustRead(opened).layers).toHaveLength(i + 1)
      else expect(opened).toEqual(refused('nesting-too-deep'))
    }
    const lie = toGeneralJws(signJws(payload, { signers: [{ key: ed.secret, protected: { cty: 'JWM' } }] }))
    expect(openJwm(lie, { verifyKeys: [ed.open] })).toEqual(refused('serialization-malformed'))
  })

  test('signatures that disagree on the content are refused', () => {
    const signers = [{ key: ed.secret, protected: { cty: 'JWM' } }, { key: es.secret }]
    expect(openJwm(toGeneralJws(signJws(payload, { signers })), { verifyKeys: [ed.open, es.open] })).toEqual(
      refused('content-type-conflict'),
    )
  })
})

describe('mutation', () => {
  test.each(['general', 'compact', 'binary'] as const)(
    'no bit flip of a %s message yields another payload or other signers',
    (form) => {
      const { jwm } = mustRead(makeJwm(payload, { signers: [ed.secret], recipients: [x.open], random, form }))
      const octets = jwm instanceof Uint8Array ? jwm : utf8(typeof jwm === 'string' ? jwm : JSON.stringify(jwm))
      const options = { keys: [x.secret], verifyKeys: [ed.open], requireSignature: true }
      const honest = mustRead(openJwm(octets, options))
      for (let i = 0; i < octets.length; i++) {
        for (let bit = 0; bit < 8; bit++) {
          const mutated = octets.slice()
          mutated[i] = (mutated[i] ?? 0) ^ (1 << bit)
          const opened = openJwm(mutated, options)
          if (opened.ok) expect(opened).toEqual(honest)
        }
      }
      for (let i = 0; i < octets.length; i++) expect(openJwm(octets.subarray(0, i), options).ok).toBe(false)
    },
    60_000,
  )
})

describe('inspection', () => {
  test('shows headers and sizes down to the first encrypted layer, and no content', () => {
    const { jwm } = mustRead(
      makeJwm(payload, { signers: [ed.secret], recipients: [x.open, smk], random, form: 'urlsafe', order: 'encrypt-sign' }),
    )
    const shown = mustRead(inspectJwm(jwm))
    expect(shown.layers).toMatchObject([
      { kind: 'jws', signatures: [{ protected: { alg: 'EdDSA', kid: ed.open.kid, cty: 'JWM' } }] },
      { kind: 'jwe', commitment: true, recipients: [{ kid: x.open.kid }, { kid: 'sid' }], ciphertextBytes: payload.length },
    ])
    expect(JSON.stringify(shown)).not.toContain('"hi"')
  })

  test('refuses what is no message', () => {
    expect(inspectJwm('hello')).toMatchObject({ ok: false })
    expect(inspectJwm(fromBase64url('-0pXTQE') ?? '')).toEqual({ ok: false, code: 'binary-malformed' })
  })
})
