import { base64url, type JsonObject, utf8 } from '@parley/core'
import { generateKey, type Jwk, publicJwk } from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { type JwmVerb, runJwm, runJwmLines } from '../src/jwm.ts'

let state = 1
function octet(): number {
  state = Math.imul(state, 48271) >>> 0
  return (state >>> 16) & 0xff
}
// A reproducible stream of octets to test with.
const random = { bytes: (length: number): Uint8Array => Uint8Array.from({ length }, octet) }
const ed = generateKey('Ed25519', { random })
const es = generateKey('P-256', { random })
const x = generateKey('X25519', { random })
const smk: Jwk = { ...generateKey('oct-256', { random }), kid: 'sid' }
const payload = { id: 'urn:uuid:1', body: { text: 'hi \u2028' } }

function run(verb: JwmVerb, request: unknown): JsonObject {
  const line = runJwm(verb, JSON.stringify(request), { random })
  expect(line).not.toMatch(/[\n\u2028]/)
  return JSON.parse(line) as JsonObject
}

describe('make and open', () => {
  test.each(['general', 'flattened', 'compact', 'urlsafe', 'binary'])('%s', (form) => {
    const made = run('make', {
      payload,
      sign_keys: [ed],
      recipients: [publicJwk(x)],
      enc: 'A256GCM',
      form,
      order: 'sign-encrypt',
    })
    expect(made).toMatchObject({ ok: true })
    const requests: JsonObject[] = [{ jwm: made['jwm'] ?? null }]
    if (form === 'binary') requests.push({ jwm_b64u: made['jwm_b64u'] ?? null })
    if (form !== 'binary')
      requests.push({ jwm_b64u: base64url(utf8(typeof made['jwm'] === 'string' ? made['jwm'] : JSON.stringify(made['jwm']))) })
    for (const request of requests) {
      const opened = run('open', { ...request, keys: [x], verify_keys: [publicJwk(ed)], require: 'all', require_signature: true })
      expect(opened).toEqual({
        ok: true,
        payload,
        committed: true,
        layers: [
          {
            kind: 'jwe',
            alg: 'ECDH-ES+A256KW',
            enc: 'A256GCM',
            kid: x.kid,
            header: expect.objectContaining({ typ: 'JWM', cty: 'JWM' }),
          },
          { kind: 'jws', signatures: [{ alg: 'EdDSA', kid: ed.kid, verified: true }] },
        ],
        proved: {
          signed_by: [ed.kid],
          passed_on_by: [],
          encrypted_to: [x.kid],
          committed: true,
          order: 'sign-encrypt',
          origin: 'signature',
          anonymous: false,
          from: null,
          audience: [],
        },
      })
    }
  })

  test('several signers and recipients, either order', () => {
    for (const order of ['sign-encrypt', 'encrypt-sign']) {
      const made = run('make', { payload, sign_keys: [ed, es], recipients: [publicJwk(x), smk], form: 'general', order })
      for (const key of [x, smk]) {
        expect(run('open', { jwm: made['jwm'], keys: [key], verify_keys: [publicJwk(ed), publicJwk(es)] })).toMatchObject({
          ok: true,
          payload,
        })
      }
      expect(run('make', { payload, sign_keys: [ed, es], recipients: [publicJwk(x), smk], form: 'compact', order })).toEqual({
        ok: false,
        error: 'form-impossible',
      })
    }
  })

  test('a payload that is no JSON object goes in and comes out as octets', () => {
    const made = run('make', { payload_b64u: base64url(utf8('plain')), sign_keys: [ed], form: 'compact' })
    expect(run('open', { jwm: made['jwm'], verify_keys: [publicJwk(ed)] })).toMatchObject({
      ok: true,
      payload_b64u: base64url(utf8('plain')),
      committed: false,
    })
  })

  test('an allow list is one list, or one per kind', () => {
    const { jwm } = run('make', { payload, sign_keys: [ed], recipients: [smk], form: 'general' })
    const open = (algorithms: unknown) => run('open', { jwm, keys: [smk], verify_keys: [publicJwk(ed)], algorithms })
    for (const algorithms of [
      ['EdDSA', 'A256KW', 'A256GCM'],
      { jws: ['EdDSA'], jwe: ['A256KW'], enc: ['A256GCM'] },
      { alg: ['EdDSA', 'A256KW'] },
      {},
    ]) {
      expect(open(algorithms)).toMatchObject({ ok: true })
    }
    for (const algorithms of [['EdDSA', 'A256KW'], { jws: ['ES256'] }, { alg: ['EdDSA'] }, { enc: [] }, []]) {
      expect(open(algorithms)).toEqual({ ok: false, error: 'alg-not-allowed' })
    }
    for (const algorithms of ['EdDSA', { sig: ['EdDSA'] }, { jws: 'EdDSA' }, [1], null]) {
      expect(open(algorithms)).toEqual({ ok: false, error: 'request-malformed' })
    }
  })

  test('what fails says how', () => {
    const { jwm } = run('make', { payload, sign_keys: [ed], recipients: [publicJwk(x)], form: 'general' })
    expect(run('open', { jwm, keys: [], verify_keys: [] })).toEqual({ ok: false, error: 'key-unknown' })
    expect(run('open', { jwm, keys: [{ ...generateKey('X25519', { random }), kid: x.kid }], verify_keys: [] })).toEqual({
      ok: false,
      error: 'decryption-failed',
    })
    expect(
      run('open', { jwm, keys: [x], verify_keys: [{ ...publicJwk(generateKey('Ed25519', { random })), kid: ed.kid }] }),
    ).toEqual({ ok: false, error: 'signature-invalid' })
    expect(run('open', { jwm, keys: [{ kty: 'OKP', crv: 'X448', x: 'AQAB' }, x], verify_keys: [publicJwk(ed)] })).toMatchObject({
      ok: true,
    })
    expect(run('open', { jwm, keys: [{ ...x, d: 'AAAA' }] })).toEqual({ ok: false, error: 'key-malformed' })
    expect(run('make', { payload, recipients: [{ kty: 'XKP' }], form: 'general' })).toEqual({
      ok: false,
      error: 'key-unsupported',
    })
    expect(run('make', { payload, recipients: [publicJwk(ed)], form: 'general' })).toEqual({ ok: false, error: 'key-unfit' })
    expect(run('make', { payload, recipients: [smk], enc: 'A256CBC', form: 'general' })).toEqual({
      ok: false,
      error: 'alg-unknown',
    })
    expect(run('make', { payload, form: 'general' })).toEqual({ ok: false, error: 'nothing-secures-it' })
    expect(run('make', { payload: { to: 'bob' }, sign_keys: [ed], form: 'general' })).toEqual({
      ok: false,
      error: 'attributes-malformed',
    })
  })

  test.each([
    ['no JSON', 'open', 'hello'],
    ['an array', 'open', '[]'],
    ['nothing', 'open', ''],
    ['a member twice', 'open', '{"jwm":"a.b.c","jwm":"d.e.f"}'],
    ['no message', 'open', '{}'],
    ['two messages', 'open', '{"jwm":"a.b.c","jwm_b64u":"AAAA"}'],
    ['keys that are no list', 'open', '{"jwm":"a.b.c","keys":{}}'],
    ['another requirement', 'open', '{"jwm":"a.b.c","require":"some"}'],
    ['no payload', 'make', '{"form":"general"}'],
    ['two payloads', 'make', '{"payload":{},"payload_b64u":"AAAA","form":"general"}'],
    ['another form', 'make', '{"payload":{},"form":"xml"}'],
    ['another order', 'make', '{"payload":{},"order":"both"}'],
    ['no message to inspect', 'inspect', '{"jwm":7}'],
  ] as const)('a request with %s is refused', (_, verb, line) => {
    expect(JSON.parse(runJwm(verb, line, { random }))).toEqual({ ok: false, error: 'request-malformed' })
  })
})

test('inspect shows what is seen without a key', () => {
  const { jwm } = run('make', { payload, recipients: [publicJwk(x)], form: 'binary' })
  expect(run('inspect', { jwm })).toMatchObject({
    ok: true,
    layers: [{ kind: 'jwe', commitment: true, recipients: [{ kid: x.kid }] }],
  })
})

test('lines are answered in order, however they arrive', async () => {
  const requests = [...Array(20).keys()].map((i) =>
    JSON.stringify({ payload: { id: `urn:n:${i}`, body: { text: 'ä\u2028' } }, sign_keys: [ed], form: 'compact' }),
  )
  const octets = utf8(`${requests.join('\n')}\n\nno JSON`)
  for (const size of [1, 7, 1000, octets.length]) {
    const answers: string[] = []
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < octets.length; i += size) yield octets.subarray(i, i + size)
    }
    await runJwmLines('make', chunks(), { random, write: (text) => void answers.push(text) })
    expect(answers).toHaveLength(22)
    answers.slice(0, 20).forEach((line, i) => {
      const made = JSON.parse(line) as { jwm: string }
      expect(run('open', { jwm: made.jwm, verify_keys: [publicJwk(ed)] })).toMatchObject({
        ok: true,
        payload: { id: `urn:n:${i}` },
      })
    })
    expect(answers.slice(20)).toEqual([
      '{"ok":false,"error":"request-malformed"}\n',
      '{"ok":false,"error":"request-malformed"}\n',
    ])
  }
})
