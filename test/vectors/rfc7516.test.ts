import { type JsonObject, utf8 } from '@parley/core'
import { importKey, type Jwk, backend as node, openJwe, readJose, readKey } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

type Example = {
  readonly name: string
  readonly keys: readonly Jwk[]
  readonly plaintext: string
  readonly jwe: string | JsonObject
  readonly refused?: string
}

const { examples } = fixture<{ readonly examples: readonly Example[] }>('rfc7516.json')

describe.each(examples)('RFC 7516 $name', ({ keys: jwks, plaintext, jwe, refused }) => {
  for (const backend of [node, noble]) {
    const keys = jwks.filter((jwk) => readKey(jwk, { backend }).ok).map((jwk) => importKey(jwk, { backend }))
    // RSA is not available on noble; of several recipients the other one is.
    if (keys.length === 0) continue
    const outcome = refused === undefined ? 'opens' : `is refused: ${refused}`

    test(`${outcome} with the ${backend.name} backend`, () => {
      for (const input of [jwe, typeof jwe === 'string' ? jwe : JSON.stringify(jwe)]) {
        const read = readJose(input)
        if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
        expect(openJwe(read.jwe, { keys })).toMatchObject(
          refused === undefined ? { ok: true, plaintext: utf8(plaintext) } : { ok: false, code: refused },
        )
      }
    })
  }
})

test('RSA1_5 of A.4 does not stop the other recipient, and opens for nobody', () => {
  const { keys, jwe } = examples.find(({ name }) => name === 'A.4 General') ?? { keys: [], jwe: '' }
  const read = readJose(jwe)
  if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
  expect(openJwe(read.jwe, { keys: keys.map((jwk) => importKey(jwk)) })).toMatchObject({ ok: true, recipient: 1, alg: 'A128KW' })
  for (const algorithms of [undefined, ['RSA1_5']]) {
    const options = { keys: keys.slice(0, 1).map((jwk) => importKey(jwk)), ...(algorithms === undefined ? {} : { algorithms }) }
    expect(openJwe(read.jwe, options)).toEqual({ ok: false, code: 'alg-not-allowed' })
  }
})
