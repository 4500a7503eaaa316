import { type Key, signJws, toGeneralJws } from '@parley/jose'
import { type JwmPolicy, type MakeOptions, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { octets, pair, random, refused, secret } from './people.ts'
import { mustRead } from './setup.ts'

const alice = pair('Ed25519', 'alice-device')
const carol = pair('P-256', 'carol-device')
const gateway = pair('Ed25519', 'gateway')
const bob = pair('X25519', 'bob-device')
const smk = secret('sid')
const mac = secret('mac')
const object = { id: 'urn:uuid:1', from: 'im:alice@a.example', to: ['im:bob@b.example'], expiry: 100, body: {} }
const all = { keys: [bob.secret, smk], verifyKeys: [alice.open, carol.open, gateway.open, mac] }

const make = (options: Partial<MakeOptions>, content: unknown = object) =>
  mustRead(makeJwm(octets(content), { random, form: 'general', ...options })).jwm
const open = (jwm: ReturnType<typeof make>, policy: JwmPolicy = {}) => openJwm(jwm, { ...all, ...policy })

const signed = make({ signers: [alice.secret] })
const sealed = make({ recipients: [bob.open] })
const nested = make({ signers: [alice.secret], recipients: [bob.open] })
const outside = make({ signers: [gateway.secret], recipients: [bob.open], order: 'encrypt-sign' })

describe('what is proved', () => {
  test.each<[string, ReturnType<typeof make>, object]>([
    ['signed', signed, { signedBy: ['alice-device'], order: 'sign', origin: 'signature', encryptedTo: [], committed: false }],
    [
      'signed, then encrypted',
      nested,
      { signedBy: ['alice-device'], order: 'sign-encrypt', encryptedTo: ['bob-device'], committed: true },
    ],
    ['encrypted to a public key', sealed, { signedBy: [], order: 'encrypt', origin: undefined, encryptedTo: ['bob-device'] }],
    [
      'encrypted under a shared key',
      make({ recipients: [smk] }),
      { order: 'encrypt', origin: 'shared-key', encryptedTo: ['sid'] },
    ],
    ['MACed', make({ signers: [mac] }), { signedBy: ['mac'], order: 'sign', origin: 'mac' }],
    ['unsecured', make({ unsecured: true }), { signedBy: [], order: 'unsecured', origin: undefined, anonymous: false }],
  ])('%s', (_, jwm, proved) => {
    expect(open(jwm, { algorithms: { jws: ['none', 'EdDSA', 'HS256'] } })).toMatchObject({ ok: true, proved })
  })

  test('who signs ciphertext passed it on, and is never its author', () => {
    const opened = mustRead(open(outside))
    expect(opened.proved).toMatchObject({ signedBy: [], passedOnBy: ['gateway'], order: 'encrypt-sign', origin: undefined })
    expect(open(outside, { origin: 'signature' })).toEqual(refused('origin-unproved'))
    expect(open(outside, { holders: { gateway: 'im:alice@a.example' } })).toEqual(refused('from-unproved'))
    expect(open(outside, { requireSignature: true })).toMatchObject({ ok: true })
  })

  test('who signs a signed message passed it on too', () => {
    const inner = octets(make({ signers: [alice.secret], form: 'compact' }))
    const around = toGeneralJws(signJws(inner, { signers: [{ key: gateway.secret, protected: { cty: 'JWM' } }] }))
    expect(mustRead(open(around)).proved).toMatchObject({
      signedBy: ['alice-device'],
      passedOnBy: ['gateway'],
      order: 'sign-sign',
    })
  })

  test('a message is anonymous when nothing in it says by whom', () => {
    expect(mustRead(open(sealed)).proved.anonymous).toBe(false)
    const { from: _, ...without } = object
    expect(mustRead(open(make({ recipients: [bob.open] }, without))).proved.anonymous).toBe(true)
    expect(mustRead(open(make({ recipients: [smk] }, without))).proved.anonymous).toBe(false)
    expect(mustRead(open(make({ signers: [alice.secret], recipients: [bob.open] }, without))).proved.anonymous).toBe(false)
    expect(mustRead(open(make({ signers: [alice.secret] }, without))).proved.anonymous).toBe(false)
  })
})

describe('a policy refuses', () => {
  test.each<[string, ReturnType<typeof make>, JwmPolicy, string]>([
    ['what is not signed', sealed, { requireSignature: true }, 'signature-required'],
    ['what is not encrypted', signed, { requireEncryption: true }, 'encryption-required'],
    ['an order', outside, { orders: ['sign-encrypt'] }, 'order-refused'],
    ['a MAC for a signature', make({ signers: [mac] }), { origin: 'signature' }, 'origin-unproved'],
    ['a message of nobody', sealed, { origin: 'any' }, 'origin-unproved'],
    ['a message of somebody', signed, { origin: 'none' }, 'origin-named'],
    [
      'an attribute that is missing',
      make({ signers: [alice.secret] }, { id: 'a' }),
      { requiredAttributes: ['id', 'to'] },
      'attribute-missing',
    ],
    ['what is addressed to others', signed, { audience: 'im:dave@d.example' }, 'audience-mismatch'],
    [
      'what is addressed to nobody',
      make({ signers: [alice.secret] }, { id: 'a' }),
      { audience: ['im:bob@b.example'] },
      'audience-mismatch',
    ],
    ['a from that is another’s', signed, { holders: { 'alice-device': 'im:eve@e.example' } }, 'from-unproved'],
    ['a from whose key nobody knows', signed, { holders: {} }, 'from-unproved'],
    [
      'a from that is missing',
      make({ signers: [alice.secret] }, {}),
      { holders: { 'alice-device': 'im:alice@a.example' } },
      'from-unproved',
    ],
    ['a from that is only encrypted', sealed, { holders: () => 'im:alice@a.example' }, 'from-unproved'],
    ['what has expired', signed, { nowMs: 100_000 }, 'expired'],
    ['one layer too many', nested, { layersMax: 1 }, 'nesting-too-deep'],
    [
      'an algorithm of one layer in another',
      nested,
      { algorithms: [{ jwe: ['ECDH-ES+A256KW'] }, { jws: ['ES256'] }] },
      'alg-not-allowed',
    ],
    ['a layer without a list', nested, { algorithms: [{}] }, 'alg-not-allowed'],
    ['a signer that is missing', signed, { require: ['alice-device', 'carol-device'] }, 'signer-missing'],
  ])('%s', (_, jwm, policy, code) => {
    expect(open(jwm, policy)).toEqual(refused(code))
  })

  test('a content key that nobody committed to', () => {
    const dir = make({ recipients: [{ key: smk, alg: 'dir' }] })
    expect(open(dir, { requireEncryption: true })).toMatchObject({ ok: true, committed: false })
    expect(open(dir, { requireCommitment: true })).toEqual(refused('commitment-required'))
  })

  test('nothing of the content comes out with a refusal', () => {
    expect(JSON.stringify(open(signed, { audience: 'im:dave@d.example' }))).not.toContain('urn:uuid:1')
  })
})

describe('a policy takes', () => {
  test.each<[string, ReturnType<typeof make>, JwmPolicy]>([
    ['an allow list for each layer', nested, { algorithms: [{ jwe: ['ECDH-ES+A256KW'], enc: ['A256GCM'] }, { jws: ['EdDSA'] }] }],
    ['one of several names', signed, { audience: ['im:room@r.example', 'im:bob@b.example'] }],
    ['what expires a moment later, or without an expiry', signed, { nowMs: 99_999 }],
    ['what the clocks may differ by', signed, { nowMs: 100_500, skewMs: 501 }],
    ['the attributes it asks for', signed, { requiredAttributes: ['id', 'from', 'to'] }],
  ])('%s', (_, jwm, policy) => {
    expect(open(jwm, policy)).toMatchObject({ ok: true })
  })

  test('a from whose holder signed the content, and reports it', () => {
    for (const holders of [
      { 'alice-device': 'im:alice@a.example' },
      (key: Key) => (key.kid === 'alice-device' ? object.from : undefined),
    ]) {
      expect(mustRead(open(signed, { holders, audience: ['im:bob@b.example'] })).proved).toMatchObject({
        from: 'im:alice@a.example',
        audience: ['im:bob@b.example'],
      })
    }
    expect(mustRead(open(signed)).proved).toMatchObject({ from: undefined, audience: [] })
  })

  test('named signers, whoever else signed', () => {
    const jwm = make({ signers: [alice.secret, carol.secret, gateway.secret] })
    const some = { keys: [], verifyKeys: [alice.open, gateway.open] }
    expect(openJwm(jwm, some)).toEqual(refused('key-unknown'))
    expect(openJwm(jwm, { ...some, require: ['alice-device', 'gateway'] })).toMatchObject({
      ok: true,
      proved: { signedBy: ['alice-device', 'gateway'] },
    })
    expect(openJwm(jwm, { ...some, require: ['carol-device'] })).toEqual(refused('signer-missing'))
  })

  test('typ as it is told to: ignored, checked, required', () => {
    const typed = (typ: string | undefined) =>
      toGeneralJws(signJws(octets(object), { signers: [{ key: alice.secret, protected: typ === undefined ? {} : { typ } }] }))
    for (const typ of [undefined, 'JWM', 'jwm', 'application/jwm', 'APPLICATION/JWM', 'JWT']) {
      expect(open(typed(typ))).toMatchObject({ ok: true })
      const isJwm = typ !== undefined && typ !== 'JWT'
      expect(open(typed(typ), { typ: 'checked' }).ok).toBe(isJwm || typ === undefined)
      expect(open(typed(typ), { typ: 'required' }).ok).toBe(isJwm)
    }
    expect(open(typed('JWT'), { typ: 'checked' })).toEqual(refused('typ-conflict'))
    expect(open(nested, { typ: 'required' })).toMatchObject({ ok: true })
  })
})

test('a failed decryption has its cause inside, and one value for the other end', () => {
  const stranger = pair('X25519', 'bob-device').secret
  const failures = [
    openJwm(sealed, { keys: [stranger] }),
    openJwm(sealed, { keys: [] }),
    openJwm(signed, { verifyKeys: [] }),
    openJwm('nothing', {}),
    open(signed, { audience: 'x' }),
  ]
  expect(failures[0]).toEqual({ ...refused('decryption-failed'), cause: 'unwrap' })
  expect(failures[1]).toEqual(refused('key-unknown'))
  expect(new Set(failures.map((failure) => (failure.ok ? '' : failure.opaque)))).toEqual(new Set(['not-accepted']))
})
