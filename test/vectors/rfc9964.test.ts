import { utf8 } from '@parley/core'
import { importKey, type Jwk, backend as node, publicJwk, readCompactJws, signCompact, verifyJws } from '@parley/jose'
import { mlDsa } from '@parley/jose/ml-dsa'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

type Example = { readonly jwk: Jwk; readonly jws: string }

const { payload, examples } = fixture<{ readonly payload: string; readonly examples: readonly Example[] }>('rfc9964.json')

describe.each(examples)('RFC 9964 $jwk.alg', ({ jwk, jws }) => {
  for (const backend of [node, noble]) {
    const options = { backend, extensions: [mlDsa] }

    test(`verifies, and is made again character by character, with the ${backend.name} backend`, () => {
      const read = readCompactJws(jws)
      if (!read.ok) throw new Error(read.code)
      expect(verifyJws(read.jws, { keys: [importKey(publicJwk(jwk), options)] })).toMatchObject({
        ok: true,
        payload: utf8(payload),
      })
      expect(signCompact(utf8(payload), { key: importKey(jwk, options) })).toBe(jws)
    })

    test(`is named by its thumbprint with the ${backend.name} backend`, () => {
      expect(importKey(jwk, options).thumbprint).toBe(jwk.kid)
    })
  }
})
