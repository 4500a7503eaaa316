import { type JsonObject, utf8 } from '@parley/core'
import { generateKey, headerCertificates, headerKey, importKey, type Jws, publicJwk, signJws, verifyJws } from '@parley/jose'
import { expect, test } from 'vitest'
import { seeded } from './setup.ts'

const random = seeded(72)
const jwk = generateKey('Ed25519', { random })
const payload = utf8('signed by the key enclosed')
const sign = (header: JsonObject, secret = jwk): Jws =>
  signJws(payload, { signers: [{ key: importKey({ ...secret, kid: undefined } as never), protected: header }] })
const enclosed = (key: object): JsonObject => ({ jwk: key as JsonObject })

// What an application does that pins thumbprints: the enclosed key counts only when it is one of those.
function verifyPinned(jws: Jws, pinned: ReadonlySet<string>): string {
  const [signature] = jws.signatures
  const found = signature === undefined ? undefined : headerKey(signature)
  if (found?.ok !== true) return found?.code ?? 'no signature'
  if (!pinned.has(found.thumbprint)) return 'not pinned'
  const verified = verifyJws(jws, { keys: [found.untrustedKey] })
  return verified.ok ? 'verified' : verified.code
}

test('an enclosed key verifies where its thumbprint is pinned, and nowhere else', () => {
  const jws = sign(enclosed(publicJwk(jwk)))
  const pinned = new Set([jwk.kid ?? ''])
  expect(verifyPinned(jws, pinned)).toBe('verified')
  expect(verifyPinned(jws, new Set())).toBe('not pinned')
  // Of itself it is not even looked at.
  expect(verifyJws(jws, { keys: [] })).toEqual({ ok: false, code: 'key-unknown' })
  const other = generateKey('Ed25519', { random })
  expect(verifyPinned(sign(enclosed(publicJwk(other)), other), pinned)).toBe('not pinned')
  expect(verifyPinned(sign(enclosed(publicJwk(jwk)), other), pinned)).toBe('signature-invalid')
  // Another's kid in the enclosed key changes nothing: the thumbprint is computed.
  expect(verifyPinned(sign(enclosed({ ...publicJwk(other), kid: jwk.kid }), other), pinned)).toBe('not pinned')
})

test.each<[string, JsonObject, string]>([
  ['no key', {}, 'key-absent'],
  ['a text', { jwk: 'AAAA' }, 'key-malformed'],
  ['a private key', enclosed(jwk), 'key-malformed'],
  ['a symmetric key', enclosed({ kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }), 'key-malformed'],
  ['a key of no known type', enclosed({ kty: 'XYZ' }), 'key-unsupported'],
  ['a key off the curve', enclosed({ kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }), 'key-malformed'],
])('a header with %s gives none', (_, header, code) => {
  const [signature] = sign(header).signatures
  expect(signature === undefined ? undefined : headerKey(signature)).toEqual({ ok: false, code })
})

test('a key in the unprotected header is not found', () => {
  const jws = signJws(payload, { signers: [{ key: importKey(jwk), unprotected: enclosed(publicJwk(jwk)) }] })
  const [signature] = jws.signatures
  expect(signature === undefined ? undefined : headerKey(signature)).toEqual({ ok: false, code: 'key-absent' })
})

test('certificates come out as octets, for the application to validate', () => {
  const certificate = Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0xff)
  const chain = [Buffer.from(certificate).toString('base64'), Buffer.from([0x30, 0xfb, 0xff]).toString('base64')]
  const read = (x5c: unknown) => {
    const [signature] = sign(x5c === undefined ? {} : ({ x5c } as JsonObject)).signatures
    return signature === undefined ? undefined : headerCertificates(signature)
  }
  expect(chain[1]).toContain('/')
  expect(read(chain)).toEqual({ ok: true, certificates: [certificate, Uint8Array.of(0x30, 0xfb, 0xff)] })
  expect(read(undefined)).toEqual({ ok: false, code: 'certificates-absent' })
  for (const x5c of [
    [],
    'MAA=',
    [7],
    [''],
    ['MAMCAf8'],
    ['MAMCAf8==='],
    ['MAMC Af8='],
    ['MAMCAf9='],
    ['MPv_'],
    ['AAAA'],
    [...chain, '!'],
  ])
    expect(read(x5c)).toEqual({ ok: false, code: 'certificates-malformed' })
  expect(read(Array.from({ length: 17 }, () => chain[0]))).toEqual({ ok: false, code: 'limit-exceeded' })
  expect(verifyJws(sign({ x5c: chain }), { keys: [] })).toEqual({ ok: false, code: 'key-unknown' })
})
