/**
 * RSA keys to test with.
 * @module
 */
import { generateKeyPairSync } from 'node:crypto'
import type { Jwk } from '@parley/jose'

/** A fresh private key. Exporting one as JWK can hang Node 20: the members come out of the PKCS #1 structure. */
export function rsaJwk(modulusLength: number): Jwk {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'pkcs1', format: 'der' },
    privateKeyEncoding: { type: 'pkcs1', format: 'der' },
  })
  const integers: string[] = []
  for (let at = 4; at < privateKey.length; ) {
    const short = privateKey[at + 1] ?? 0
    const sizeBytes = short < 0x80 ? 0 : short & 0x7f
    const size = sizeBytes === 0 ? short : privateKey.readUIntBE(at + 2, sizeBytes)
    const start = at + 2 + sizeBytes
    const octets = privateKey.subarray(start, start + size)
    integers.push(octets.subarray(octets[0] === 0 && octets.length > 1 ? 1 : 0).toString('base64url'))
    at = start + size
  }
  const [, n = '', e = '', d = '', p = '', q = '', dp = '', dq = '', qi = ''] = integers
  return { kty: 'RSA', n, e, d, p, q, dp, dq, qi }
}
