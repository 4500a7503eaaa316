import { type Random, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  type Jwe,
  type Jwk,
  backend as node,
  openJwe,
  publicJwk,
  readCompactJws,
  sealJwe,
  signCompact,
  thumbprint,
  verifyJws,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { rsaJwk } from './rsa.ts'

const { subtle } = globalThis.crypto
const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const payload = utf8('one key, two libraries')
type Web = Awaited<ReturnType<typeof subtle.importKey>>
type Algorithm = Parameters<typeof subtle.importKey>[2]
const load = (jwk: Jwk, algorithm: Algorithm, usages: readonly string[]): Promise<Web> =>
  subtle.importKey('jwk', jwk as never, algorithm, true, usages as never)

const ecdsa = (namedCurve: string) => ({ name: 'ECDSA', namedCurve })
const signatures: readonly (readonly [string, Jwk, Algorithm, Parameters<typeof subtle.sign>[0]])[] = [
  ['EdDSA', generateKey('Ed25519', { random }), { name: 'Ed25519' }, 'Ed25519'],
  ['ES256', generateKey('P-256', { random }), ecdsa('P-256'), { name: 'ECDSA', hash: 'SHA-256' }],
  ['ES384', generateKey('P-384', { random }), ecdsa('P-384'), { name: 'ECDSA', hash: 'SHA-384' }],
  ['ES512', generateKey('P-521', { random }), ecdsa('P-521'), { name: 'ECDSA', hash: 'SHA-512' }],
  ['RS256', rsaJwk(2048), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, 'RSASSA-PKCS1-v1_5'],
  ['PS384', rsaJwk(2048), { name: 'RSA-PSS', hash: 'SHA-384' }, { name: 'RSA-PSS', saltLength: 48 }],
  ['HS512', { kty: 'oct', k: node.base64url(random.bytes(64)) }, { name: 'HMAC', hash: 'SHA-512' }, 'HMAC'],
]

describe.each(signatures)('%s', (alg, jwk, algorithm, parameters) => {
  const isSecret = jwk.kty === 'oct'
  const shown = isSecret ? jwk : publicJwk(jwk)

  test('a JWK of ours is imported by WebCrypto, which verifies what we sign', async () => {
    const [header, content, signature] = signCompact(payload, { key: importKey(jwk), alg }).split('.')
    const key = await load(shown, algorithm, ['verify'])
    const octets = Buffer.from(signature ?? '', 'base64url')
    expect(await subtle.verify(parameters, key, octets, utf8(`${header}.${content}`))).toBe(true)
  })

  test('a JWK that WebCrypto exports is imported here, and verifies what WebCrypto signs', async () => {
    const key = await load(jwk, algorithm, isSecret ? ['sign', 'verify'] : ['sign'])
    const exported = (await subtle.exportKey('jwk', key)) as Jwk
    expect(thumbprint(exported)).toBe(thumbprint(jwk))
    const input = `${node.base64url(utf8(JSON.stringify({ alg })))}.${node.base64url(payload)}`
    const signature = new Uint8Array(await subtle.sign(parameters, key, utf8(input)))
    const read = readCompactJws(`${input}.${node.base64url(signature)}`)
    if (!read.ok) throw new Error(read.code)
    // `key_ops` and `alg` come along and are obeyed.
    const verifying = importKey(isSecret ? exported : publicJwk(exported))
    expect(verifying.keyOps).toContain('verify')
    expect(verifyJws(read.jws, { keys: [verifying] })).toMatchObject({ ok: true, payload })
  })
})

const agreements: readonly (readonly [string, Jwk, Algorithm])[] = [
  ['X25519', generateKey('X25519', { random }), { name: 'X25519' }],
  ['P-256', generateKey('P-256', { random }), { name: 'ECDH', namedCurve: 'P-256' } as Algorithm],
  ['P-384', generateKey('P-384', { random }), { name: 'ECDH', namedCurve: 'P-384' } as Algorithm],
  ['P-521', generateKey('P-521', { random }), { name: 'ECDH', namedCurve: 'P-521' } as Algorithm],
]

describe.each(agreements)('%s', (crv, jwk, algorithm) => {
  test('WebCrypto agrees with the ephemeral key of a message on the secret that opens it', async () => {
    const jwe = sealJwe(payload, { recipients: [{ key: importKey(publicJwk(jwk)), alg: 'ECDH-ES' }], random })
    const epk = jwe.protected.header['epk'] as Jwk
    const mine = await load(jwk, algorithm, ['deriveBits'])
    const name = crv === 'X25519' ? 'X25519' : 'ECDH'
    const bits = await subtle.deriveBits(
      { name, public: await load(epk, algorithm, []) } as never,
      mine,
      crv === 'P-521' ? 528 : 8 * 32 + (crv === 'P-384' ? 128 : 0),
    )
    const agreement = node.agreements[crv]
    const x = node.fromBase64url(epk.x ?? '') ?? new Uint8Array(0)
    const y = node.fromBase64url(epk.y ?? '') ?? new Uint8Array(0)
    const ours = agreement?.agree(
      agreement.importPrivate(node.fromBase64url(jwk.d ?? '') ?? x),
      agreement.importPublic(Uint8Array.of(...x, ...y)),
    )
    expect(new Uint8Array(bits)).toEqual(ours)
    expect(openJwe(jwe, { keys: [importKey((await subtle.exportKey('jwk', mine)) as Jwk)] })).toMatchObject({
      ok: true,
      plaintext: payload,
    })
  })
})

test('symmetric keys wrap and encrypt on both sides', async () => {
  const jwk: Jwk = { kty: 'oct', k: node.base64url(random.bytes(32)) }
  const jwe: Jwe = sealJwe(payload, { recipients: [{ key: importKey(jwk) }], random })
  const kek = await load(jwk, { name: 'AES-KW' }, ['unwrapKey', 'wrapKey'])
  const encryptedKey = Uint8Array.from(jwe.recipients[0]?.encryptedKey ?? [])
  const cek = await subtle.unwrapKey('raw', encryptedKey, kek, 'AES-KW', 'AES-GCM', true, ['decrypt'])
  const options = { name: 'AES-GCM', iv: Uint8Array.from(jwe.iv), additionalData: Uint8Array.from(utf8(jwe.protected.text)) }
  const plaintext = await subtle.decrypt(options, cek, Uint8Array.of(...jwe.ciphertext, ...jwe.tag))
  expect(new Uint8Array(plaintext)).toEqual(payload)
  const exported = (await subtle.exportKey('jwk', kek)) as Jwk
  expect(exported.alg).toBe('A256KW')
  expect(openJwe(jwe, { keys: [importKey(exported)] })).toMatchObject({ ok: true, plaintext: payload })
})
