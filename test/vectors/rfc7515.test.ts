import { utf8 } from '@parley/core'
import { importKey, type Jwk, backend as node, readJose, verifyJws } from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'

// RFC 7515 Appendix A.3 and A.5: the same payload, with a CRLF inside, signed with ES256 and unsecured.
const payload = utf8('{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}')
const encoded = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
const signed = `eyJhbGciOiJFUzI1NiJ9.${encoded}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`
const unsecured = `eyJhbGciOiJub25lIn0.${encoded}.`
const jwk: Jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
}

describe('RFC 7515', () => {
  for (const backend of [node, noble]) {
    test(`A.3 verifies with the ${backend.name} backend`, () => {
      const read = readJose(signed)
      expect(read.ok && read.kind === 'jws' && verifyJws(read.jws, { keys: [importKey(jwk, { backend })] })).toMatchObject({
        ok: true,
        payload,
      })
    })
  }

  test('A.5 is read only by who asks for it', () => {
    expect(openJwm(unsecured)).toEqual({ ok: false, code: 'alg-not-allowed' })
    expect(openJwm(unsecured, { algorithms: { jws: ['none'] } })).toMatchObject({
      ok: true,
      payload,
      layers: [{ signatures: [{ verified: false }] }],
    })
  })
})
