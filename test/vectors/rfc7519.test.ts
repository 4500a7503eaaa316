import { type JsonObject, parseJsonObject } from '@parley/core'
import { importKey, type Jwk } from '@parley/jose'
import { inspectJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { fixture } from './folder.ts'

const jwt = fixture<{ readonly key: Jwk; readonly claims: JsonObject; readonly [example: string]: unknown }>('rfc7519.json')
const text = (example: string): string => String(jwt[example])

describe('RFC 7519, whose compact forms a JWM is read in', () => {
  test('3.1 verifies, and its claims are a JSON object', () => {
    const opened = openJwm(text('3.1'), { verifyKeys: [importKey(jwt.key)] })
    expect(opened).toMatchObject({ ok: true, layers: [{ kind: 'jws', signatures: [{ alg: 'HS256', verified: true }] }] })
    expect(opened.ok && parseJsonObject(opened.payload)).toEqual({ ok: true, value: jwt.claims })
  })

  test('6.1, unsecured, is read on request alone', () => {
    expect(openJwm(text('6.1'))).toMatchObject({ ok: false, code: 'alg-not-allowed' })
    expect(openJwm(text('6.1'), { algorithms: { jws: ['none'] } })).toMatchObject({ ok: true })
  })

  test('A.1 shows its header, and its RSA1_5 is taken by nobody', () => {
    expect(inspectJwm(text('A.1'))).toMatchObject({ ok: true, layers: [{ kind: 'jwe', protected: { alg: 'RSA1_5' } }] })
    expect(openJwm(text('A.1'), { keys: [] })).toMatchObject({ ok: false, code: 'alg-not-allowed' })
  })
})
