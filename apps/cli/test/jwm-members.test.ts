import { base64url, type Json, type JsonObject, utf8 } from '@parley/core'
import { generateKey, type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { generateMlDsaKey } from '@parley/jose/ml-dsa'
import { describe, expect, test } from 'vitest'
import { type JwmVerb, runJwm } from '../src/jwm.ts'

const random = { bytes: (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length)) }
const make = (kind: Parameters<typeof generateKey>[0], kid: string): Jwk => ({ ...generateKey(kind, { random }), kid })
const alice = make('Ed25519', 'alice')
const carol = make('P-256', 'carol')
const bob = make('X25519', 'bob')
const dave = make('P-256', 'dave')
const smk = make('oct-256', 'sid')
const password: Jwk = { kty: 'oct', k: base64url(utf8('correct horse')), alg: 'PBES2-HS256+A128KW', kid: 'pw' }
const payload = { id: 'urn:uuid:1', from: 'im:alice@a.example', to: ['im:bob@b.example'], expiry: 100, body: { text: 'hi' } }
const known = { keys: [bob, smk], verify_keys: [publicJwk(alice), publicJwk(carol)] }

function run(verb: JwmVerb, request: unknown): JsonObject {
  return JSON.parse(runJwm(verb, JSON.stringify(request), { random })) as JsonObject
}
function made(request: object): Json {
  const { jwm = null, ...answer } = run('make', { payload, ...request })
  expect(answer).toMatchObject({ ok: true })
  return jwm
}
const open = (jwm: Json, more: object = {}) => run('open', { jwm, ...known, ...more })

describe('make', () => {
  test('by a named profile, and refuses what does not fit it', () => {
    const jwm = made({ sign_keys: [alice], recipients: [publicJwk(bob)], profile: 'non-repudiation' })
    expect(open(jwm, { profile: 'non-repudiation' })).toMatchObject({
      ok: true,
      proved: { signed_by: ['alice'], origin: 'signature' },
    })
    expect(open(jwm, { profile: 'anonymous' })).toEqual({ ok: false, error: 'order-refused' })
    expect(run('make', { payload, recipients: [publicJwk(bob)], profile: 'non-repudiation' })).toEqual({
      ok: false,
      error: 'profile-conflict',
    })
    expect(run('make', { payload, sign_keys: [alice], profile: 'secure' })).toEqual({ ok: false, error: 'request-malformed' })
  })

  test('shows the attributes that replicate names', () => {
    const jwm = made({ recipients: [publicJwk(bob)], replicate: ['to'], form: 'compact' })
    expect(run('inspect', { jwm })).toMatchObject({ layers: [{ protected: { to: payload.to } }] })
    expect(open(jwm)).toMatchObject({ ok: true, payload })
    expect(run('make', { payload, recipients: [publicJwk(bob)], replicate: ['reply_url'] })).toEqual({
      ok: false,
      error: 'replica-impossible',
    })
  })

  test('with an algorithm and header members for each signer, and an algorithm for each recipient', () => {
    const jwm = made({
      sign_keys: [{ key: alice, alg: 'Ed25519', protected: { hop: 1 }, header: { hint: 2 } }, carol],
      recipients: [
        { key: publicJwk(bob), alg: 'ECDH-ES+A128KW' },
        { key: smk, alg: 'A256GCMKW', kid: 'sid' },
      ],
      enc: 'XC20P',
    })
    for (const [key, alg] of [
      [bob, 'ECDH-ES+A128KW'],
      [smk, 'A256GCMKW'],
    ] as const) {
      expect(open(jwm, { keys: [key] })).toMatchObject({
        layers: [
          { alg, enc: 'XC20P' },
          {
            signatures: [
              { alg: 'Ed25519', kid: 'alice' },
              { alg: 'ES256', kid: 'carol' },
            ],
          },
        ],
      })
    }
  })

  test('with a payload that travels apart, encoded or not', () => {
    for (const unencoded of [false, true]) {
      const jwm = made({ sign_keys: [alice], detached: true, unencoded, form: 'flattened' })
      expect(jwm).not.toHaveProperty('payload')
      const payload_b64u = base64url(utf8(JSON.stringify(payload)))
      expect(open(jwm)).toEqual({ ok: false, error: 'jws-malformed' })
      expect(open(jwm, { payload_b64u })).toMatchObject({ ok: true, payload })
    }
    expect(made({ sign_keys: [alice], unencoded: true, form: 'flattened' })).toMatchObject({ payload: JSON.stringify(payload) })
  })

  test('without any protection when it is asked for, which is read when it is asked for', () => {
    const jwm = made({ unsecured: true, form: 'compact' })
    expect(open(jwm)).toEqual({ ok: false, error: 'alg-not-allowed' })
    expect(open(jwm, { algorithms: ['none'] })).toMatchObject({ ok: true, payload, proved: { order: 'unsecured', origin: null } })
  })

  test('with data beside the content, unprotected members, and compression', () => {
    const aad_b64u = base64url(utf8('beside'))
    const jwm = made({ recipients: [publicJwk(bob)], aad_b64u, unprotected: { hint: 1 }, form: 'flattened' })
    expect(jwm).toMatchObject({ aad: aad_b64u, unprotected: { hint: 1 } })
    expect(open(jwm)).toMatchObject({ ok: true, layers: [{ aad_b64u }] })
    const body = { text: 'x'.repeat(10_000) }
    const small = run('make', { payload: { body }, recipients: [publicJwk(bob)], zip: 'DEF', form: 'compact' })
    expect(small['bytes']).toBeLessThan(1000)
    expect(open(small['jwm'] ?? null)).toEqual({ ok: false, error: 'zip-unsupported' })
    expect(open(small['jwm'] ?? null, { zip: true })).toMatchObject({ ok: true, payload: { body } })
  })

  test('for a password, which opens to who names the algorithm', () => {
    const jwm = made({ recipients: [password], password_iterations: 1000, form: 'compact' })
    expect(open(jwm, { keys: [password] })).toEqual({ ok: false, error: 'alg-not-allowed' })
    expect(open(jwm, { keys: [password], algorithms: { jwe: ['PBES2-HS256+A128KW'] } })).toMatchObject({ ok: true, payload })
  })

  test('with ML-DSA', () => {
    const key = generateMlDsaKey('ML-DSA-44', { random })
    const jwm = made({ sign_keys: [key], form: 'compact' })
    expect(open(jwm, { verify_keys: [publicJwk(key)] })).toMatchObject({
      ok: true,
      layers: [{ signatures: [{ alg: 'ML-DSA-44' }] }],
    })
  })

  test('says the size of what it made', () => {
    const { jwm, bytes } = run('make', { payload, sign_keys: [alice], form: 'compact' })
    expect(bytes).toBe(String(jwm).length)
  })

  test('adds a signature to a message and leaves the others as they are', () => {
    const jwm = made({ sign_keys: [alice], form: 'flattened' }) as JsonObject
    const both = run('make', { jwm, sign_keys: [{ key: carol, protected: { hop: 'gateway' } }] })
    const { signatures } = both['jwm'] as { readonly signatures: readonly JsonObject[] }
    expect(signatures[0]).toEqual({ protected: jwm['protected'], signature: jwm['signature'] })
    expect(open(both['jwm'] ?? null)).toMatchObject({ ok: true, proved: { signed_by: ['alice', 'carol'] } })
    expect(open(both['jwm'] ?? null, { verify_keys: [publicJwk(carol)], require: ['carol'] })).toMatchObject({ ok: true })
    expect(run('make', { jwm: made({ recipients: [smk] }), sign_keys: [carol] })).toEqual({ ok: false, error: 'not-signed' })
    expect(run('make', { jwm, sign_keys: [carol], form: 'compact' })).toEqual({ ok: false, error: 'form-impossible' })
  })

  test('joins what inspect split, all of it or one entry', () => {
    const jwm = JSON.stringify(made({ sign_keys: [alice], recipients: [publicJwk(bob), publicJwk(dave), smk] }))
    const { shared, entries } = run('inspect', { jwm, split: true }) as {
      readonly shared: string
      readonly entries: readonly string[]
    }
    expect(entries).toHaveLength(3)
    expect(run('make', { shared, entries })).toMatchObject({ ok: true, jwm })
    const one = run('make', { shared, entries: [entries[1]], form: 'flattened' })
    expect(open(one['jwm'] ?? null, { keys: [dave] })).toMatchObject({ ok: true, payload })
    expect(open(one['jwm'] ?? null)).toEqual({ ok: false, error: 'key-unknown' })
    expect(run('make', { shared, entries, form: 'flattened' })).toEqual({ ok: false, error: 'form-impossible' })
  })
})

describe('keys', () => {
  test.each(['general', 'flattened', 'compact', 'urlsafe', 'binary'])('are encrypted and come out: %s', (form) => {
    const { jwm = null } = run('make', { jwk: alice, recipients: [publicJwk(bob)], shown: ['kty', 'kid'], form })
    if (form !== 'binary')
      expect(open(jwm, { content: 'jwk' })).toEqual({
        ok: true,
        jwk: alice,
        thumbprint: thumbprint(alice),
      })
    const { jwm: wrapped = null } = run('make', { jwk: smk, recipients: [password], password_iterations: 1000, form: 'compact' })
    const algorithms = { jwe: ['PBES2-HS256+A128KW'] }
    expect(open(wrapped, { content: 'jwk', keys: [password], algorithms })).toEqual({ ok: true, jwk: smk, thumbprint: null })
  })

  test('go as a set', () => {
    const { jwm = null } = run('make', { jwks: [alice, { kty: 'XKP' }, bob], recipients: [smk] })
    expect(open(jwm, { content: 'jwks' })).toEqual({
      ok: true,
      keys: [
        { kid: 'alice', thumbprint: thumbprint(alice) },
        { kid: 'bob', thumbprint: thumbprint(bob) },
      ],
      ignored: [{ position: 1, code: 'key-unsupported' }],
    })
    expect(open(made({ recipients: [smk] }), { content: 'jwk' })).toEqual({ ok: false, error: 'content-mismatch' })
  })

  test('have their thumbprints shown', () => {
    expect(run('inspect', { keys: [publicJwk(alice), smk] })).toEqual({
      ok: true,
      keys: [
        {
          kty: 'OKP',
          kid: 'alice',
          thumbprint: thumbprint(alice),
          thumbprint_uri: `urn:ietf:params:oauth:jwk-thumbprint:sha-256:${thumbprint(alice)}`,
        },
        { kty: 'oct', kid: 'sid', thumbprint: null, thumbprint_uri: null },
      ],
    })
  })
})

describe('open', () => {
  const jwm = made({ sign_keys: [alice], recipients: [publicJwk(bob)] })

  test.each<[string, object, string | undefined]>([
    ['the audience', { audience: 'im:bob@b.example' }, undefined],
    ['another audience', { audience: ['im:eve@e.example'] }, 'audience-mismatch'],
    ['whose the key is', { holders: { alice: 'im:alice@a.example' } }, undefined],
    ['whose it is not', { holders: { alice: 'im:eve@e.example' } }, 'from-unproved'],
    ['the time', { now_ms: 99_000 }, undefined],
    ['a time too late', { now_ms: 101_000 }, 'expired'],
    ['a time too late by less than clocks differ', { now_ms: 101_000, skew_ms: 2000 }, undefined],
    ['attributes', { required_attributes: ['id', 'body'] }, undefined],
    ['attributes that are missing', { required_attributes: ['reply_url'] }, 'attribute-missing'],
    ['the order', { orders: ['sign'] }, 'order-refused'],
    ['the origin', { origin: 'none' }, 'origin-named'],
    ['typ', { typ: 'required' }, undefined],
    ['encryption and commitment', { require_encryption: true, require_commitment: true }, undefined],
    ['fewer layers', { layers_max: 1 }, 'nesting-too-deep'],
    ['a list for each layer', { algorithms: [{ jwe: ['ECDH-ES+A256KW'] }, { jws: ['ES256'] }] }, 'alg-not-allowed'],
    ['a size', { bytes_max: 100 }, 'limit-exceeded'],
    ['named signers', { require: ['carol'] }, 'signer-missing'],
  ])('demands %s', (_, policy, code) => {
    const answer = open(jwm, policy)
    if (code === undefined) expect(answer).toMatchObject({ ok: true, payload })
    else expect(answer).toEqual({ ok: false, error: code })
  })

  test('reports whom it knows by the policy', () => {
    const policy = { audience: 'im:bob@b.example', holders: { alice: 'im:alice@a.example' } }
    expect(open(jwm, policy)).toMatchObject({ proved: { from: 'im:alice@a.example', audience: ['im:bob@b.example'] } })
  })
})

test.each([
  ['make', { payload, sign_keys: [{ key: alice, alg: 7 }] }],
  ['make', { payload, sign_keys: [alice], replicate: 'to' }],
  ['make', { payload, sign_keys: [alice], detached: 'yes' }],
  ['make', { payload, recipients: [smk], aad_b64u: 'a b' }],
  ['make', { payload, jwk: alice, recipients: [smk] }],
  ['make', { payload, recipients: [password], password_iterations: 1e12 }],
  ['make', { jwk: 'alice', recipients: [smk] }],
  ['make', { jwk: alice, recipients: [smk], shown: ['d'] }],
  ['make', { shared: '{}', entries: [1] }],
  ['open', { jwm: 'a.b.c', profile: 'none' }],
  ['open', { jwm: 'a.b.c', holders: { alice: 1 } }],
  ['open', { jwm: 'a.b.c', now_ms: 'now' }],
  ['open', { jwm: 'a.b.c', audience: 7 }],
  ['open', { jwm: 'a.b.c', content: 'key' }],
  ['inspect', { jwm: 'a.b.c', split: 'yes' }],
] as const)('%s refuses a member of another kind: %j', (verb, request) => {
  expect(run(verb, request)).toEqual({ ok: false, error: 'request-malformed' })
})
