import { type JsonObject, utf8 } from '@parley/core'
import { importKey, type Jwk, backend as node, publicJwk, readJose, signCompact, verifyJws } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

type Example = {
  readonly name: string
  readonly keys: readonly Jwk[]
  readonly payload: string
  readonly jws: string | JsonObject
  readonly refused?: string
}

const { examples } = fixture<{ readonly examples: readonly Example[] }>('rfc7515.json')
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))

describe.each(examples)('RFC 7515 $name', ({ keys, payload, jws, refused }) => {
  for (const backend of [node, noble]) {
    // RSA is not available on noble, and says so: see signatures.test.ts.
    if (backend.rsa === undefined && keys.some(({ kty }) => kty === 'RSA')) continue
    const outcome = refused === undefined ? 'verifies' : `is refused: ${refused}`

    test(`${outcome} with the ${backend.name} backend`, () => {
      for (const input of [jws, typeof jws === 'string' ? jws : JSON.stringify(jws)]) {
        const read = readJose(input)
        if (!read.ok || read.kind !== 'jws') throw new Error('not a JWS')
        expect(verifyJws(read.jws, { keys: keys.map((jwk) => importKey(shown(jwk), { backend })) })).toMatchObject(
          refused === undefined ? { ok: true, payload: utf8(payload) } : { ok: false, code: refused },
        )
      }
    })
  }
})

test('RFC 7515 A.2 is made again, character by character', () => {
  const { keys, payload, jws } = examples.find(({ name }) => name === 'A.2 RS256') ?? { keys: [], payload: '', jws: '' }
  const [jwk] = keys
  if (jwk === undefined) throw new Error('no key')
  expect(signCompact(utf8(payload), { key: importKey(jwk), alg: 'RS256' })).toBe(jws)
})

test('A.5 is read only by who asks for it', () => {
  const { jws, payload } = examples.find(({ name }) => name === 'A.5 unsecured') ?? { jws: '', payload: '' }
  expect(openJwm(jws)).toMatchObject({ ok: false, code: 'alg-not-allowed' })
  expect(openJwm(jws, { algorithms: { jws: ['none'] } })).toMatchObject({
    ok: true,
    payload: utf8(payload),
    layers: [{ signatures: [{ verified: false }] }],
  })
})
