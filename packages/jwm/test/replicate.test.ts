import type { JsonObject } from '@parley/core'
import { sealJwe, toCompactJwe, toFlattenedJwe } from '@parley/jose'
import { inspectJwm, type MakeOptions, makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { octets, pair, random, refused } from './people.ts'
import { mustRead } from './setup.ts'

const bob = pair('X25519')
const alice = pair('Ed25519')
const object = {
  id: 'urn:uuid:1',
  type: 'https://example.org/note',
  to: ['im:bob@b.example', 'im:carol@c.example'],
  expiry: 1516269022.5,
  body: { text: 'hi', list: [1, { deep: null }] },
  nonce: 'a private name',
}
const make = (options: Partial<MakeOptions>) =>
  makeJwm(octets(object), { recipients: [bob.open], random, form: 'flattened', ...options })
const open = (jwm: JsonObject | string | Uint8Array) => openJwm(jwm, { keys: [bob.secret], verifyKeys: [alice.open] })

describe('the maker', () => {
  test('shows no attribute unless asked to', () => {
    for (const signers of [[], [alice.secret]]) {
      const [layer] = mustRead(inspectJwm(mustRead(make({ signers })).jwm)).layers
      const shown = layer?.kind === 'jwe' ? Object.keys(layer.protected) : []
      expect(shown.filter((name) => Object.hasOwn(object, name))).toEqual([])
    }
  })

  test.each(['flattened', 'compact', 'binary', 'general'] as const)(
    'shows those it names, in the protected header: %s',
    (form) => {
      const { jwm } = mustRead(make({ signers: [alice.secret], replicate: ['to', 'expiry', 'body', 'nonce'], form }))
      const [layer] = mustRead(inspectJwm(jwm)).layers
      const { to, expiry, body, nonce } = object
      expect(layer).toMatchObject({ kind: 'jwe', protected: { to, expiry, body, nonce } })
      expect(layer?.kind === 'jwe' && Object.hasOwn(layer.protected, 'id')).toBe(false)
      expect(open(jwm)).toMatchObject({ ok: true, object })
    },
  )

  test.each<[string, Partial<MakeOptions>, string]>([
    ['an attribute that is not there', { replicate: ['from'] }, 'replica-impossible'],
    ['a header parameter of another meaning', { replicate: ['kid'] }, 'replica-impossible'],
    ['anything without an encryption', { replicate: ['to'], recipients: [], signers: [alice.secret] }, 'form-impossible'],
  ])('is refused %s', (_, options, code) => {
    expect(make(options)).toEqual({ ok: false, code })
  })

  test('is refused attributes of a payload without any', () => {
    const made = makeJwm(octets('plain'), { recipients: [bob.open], random, form: 'compact', replicate: ['to'] })
    expect(made).toEqual({ ok: false, code: 'replica-impossible' })
  })
})

describe('the reader', () => {
  const sealed = (header: JsonObject, content: unknown = object) =>
    toCompactJwe(sealJwe(octets(content), { recipients: [{ key: bob.open }], random, allProtected: true, protected: header }))

  test.each<[string, JsonObject]>([
    ['another text', { id: 'urn:uuid:2' }],
    ['another number', { expiry: 1516269022 }],
    ['a shorter list', { to: ['im:bob@b.example'] }],
    ['a list in another order', { to: [...object.to].reverse() }],
    ['a list for a text', { id: ['urn:uuid:1'] }],
    ['an object with a member more', { body: { ...object.body, more: 1 } }],
    ['an object with a member less', { body: { text: 'hi' } }],
    ['a difference in the depth', { body: { text: 'hi', list: [1, { deep: 0 }] } }],
    ['a registered attribute that is not inside', { from: 'im:eve@e.example' }],
    ['another value of a private one', { nonce: 'another' }],
  ])('refuses a message whose header says %s', (_, header) => {
    expect(open(sealed(header))).toEqual(refused('attributes-differ'))
  })

  test('compares parsed values: escapes, number forms and the order of members do not count', () => {
    const inner = '{"expiry":1.5e3,"id":"urn:\\u0075uid:1","body":{"b":[],"a":1.0}}'
    expect(open(sealed({ body: { a: 1, b: [] }, expiry: 1500, id: 'urn:uuid:1' }, inner))).toMatchObject({ ok: true })
  })

  test('lets a header member be that has no attribute inside, and is no name of one', () => {
    expect(open(sealed({ 'https://example.org/hop': 3 }))).toMatchObject({ ok: true, object })
  })

  test('compares with what is inside of all layers', () => {
    const { jwm } = mustRead(make({ signers: [alice.secret], order: 'encrypt-sign', replicate: ['id'] }))
    expect(open(jwm)).toMatchObject({ ok: true, object })
    const signed = mustRead(makeJwm(octets(object), { signers: [alice.secret], random, form: 'compact' })).jwm
    expect(open(sealed({ cty: 'JWM', id: 'urn:uuid:1' }, signed))).toMatchObject({ ok: true })
    expect(open(sealed({ cty: 'JWM', id: 'urn:uuid:2' }, signed))).toEqual(refused('attributes-differ'))
  })

  test('compares what stands in the unprotected headers too', () => {
    const jwe = sealJwe(octets(object), { recipients: [{ key: bob.open }], random, unprotected: { id: 'urn:uuid:2' } })
    expect(open(toFlattenedJwe(jwe))).toEqual(refused('attributes-differ'))
    const own = toFlattenedJwe(sealJwe(octets(object), { recipients: [{ key: bob.open }], random }))
    expect(open(own)).toMatchObject({ ok: true })
    const header = { ...(own['header'] as JsonObject), from: 'im:eve@e.example' }
    expect(open({ ...own, header })).toEqual(refused('attributes-differ'))
  })
})
