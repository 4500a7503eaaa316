import type { webcrypto } from 'node:crypto'
import { fromBase64url, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import {
  addSignatureAsync,
  generateKey,
  importKey,
  type Jwk,
  opaqueKey,
  openJwe,
  openJweAsync,
  publicJwk,
  readCompactJws,
  type Signing,
  sealJwe,
  signCompact,
  signCompactAsync,
  signCompactOctetsAsync,
  signJwsAsync,
  verifyJws,
} from '../src/index.ts'
import { noble } from '../src/noble.ts'
import { seeded } from './setup.ts'

const random = seeded(1)

const { subtle } = globalThis.crypto
const payload = utf8('signed elsewhere')

/** A key pair that WebCrypto made and will not give away. */
async function webSigner() {
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  const exported = await subtle.exportKey('jwk', pair.publicKey)
  const jwk = { kty: 'EC', crv: 'P-256', x: exported.x, y: exported.y, kid: 'web' } as Jwk
  const key = opaqueKey(jwk, {
    async sign(octets, alg) {
      expect(alg).toBe('ES256')
      return new Uint8Array(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, octets.slice()))
    },
  })
  return { key, pair, verifying: importKey(jwk) }
}

async function webReader() {
  const pair = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits'])
  const exported = await subtle.exportKey('jwk', pair.publicKey)
  const jwk = { kty: 'EC', crv: 'P-256', x: exported.x, y: exported.y, kid: 'web' } as Jwk
  const key = opaqueKey(jwk, {
    async agree({ kty, crv, x, y }) {
      const epk = { kty, crv, x, y } as webcrypto.JsonWebKey
      const publicKey = await subtle.importKey('jwk', epk, { name: 'ECDH', namedCurve: 'P-256' }, true, []).catch(() => undefined)
      if (publicKey === undefined) return undefined
      return new Uint8Array(await subtle.deriveBits({ name: 'ECDH', public: publicKey }, pair.privateKey, 256))
    },
  })
  return { key, pair, sealing: importKey(jwk) }
}

describe('a WebCrypto key that cannot be extracted', () => {
  it('signs, and anybody verifies', async () => {
    const { key, pair, verifying } = await webSigner()
    await expect(subtle.exportKey('jwk', pair.privateKey)).rejects.toThrow()
    const text = await signCompactAsync(payload, { key, typ: 'JWM' })
    const read = readCompactJws(text)
    expect(read.ok && verifyJws(read.jws, { keys: [verifying] })).toMatchObject({ ok: true, payload })
    const octets = readCompactJws(await signCompactOctetsAsync(payload, { key }))
    expect(octets.ok && verifyJws(octets.jws, { keys: [verifying] }).ok).toBe(true)
  })

  it('signs beside another, and adds its signature as a gateway', async () => {
    const { key, verifying } = await webSigner()
    const own = generateKey('Ed25519', { random })
    const keys = [verifying, importKey(publicJwk(own))]
    const both = await signJwsAsync(payload, { signers: [{ key: importKey(own) }, { key }] })
    expect(verifyJws(both, { keys })).toMatchObject({ ok: true, signatures: [{ verified: true }, { verified: true }] })
    const first = await signJwsAsync(payload, { signers: [{ key: importKey(own) }] })
    expect(verifyJws(await addSignatureAsync(first, { key }), { keys }).ok).toBe(true)
  })

  it('opens what is sealed to its public part, directly and with a wrapped key', async () => {
    const { key, pair, sealing } = await webReader()
    await expect(subtle.exportKey('jwk', pair.privateKey)).rejects.toThrow()
    for (const alg of ['ECDH-ES+A256KW', 'ECDH-ES']) {
      const jwe = sealJwe(payload, { recipients: [{ key: sealing, alg }], random })
      expect(await openJweAsync(jwe, { keys: [key] })).toMatchObject({ ok: true, plaintext: payload })
      const tag = jwe.tag.map((octet) => octet ^ 1)
      expect(await openJweAsync({ ...jwe, tag }, { keys: [key] })).toMatchObject({ ok: false, code: 'decryption-failed' })
    }
  })

  it('is asked in vain by the functions that answer at once', async () => {
    const signer = await webSigner()
    const reader = await webReader()
    expect(() => signCompact(payload, { key: signer.key })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_KEY_ASYNCHRONOUS' }),
    )
    const jwe = sealJwe(payload, { recipients: [{ key: reader.sealing }], random })
    expect(() => openJwe(jwe, { keys: [reader.key] })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_ASYNCHRONOUS' }))
  })
})

describe('an opaque key', () => {
  const jwk = generateKey('Ed25519', { random })

  it('that answers at once serves every function', () => {
    const { Ed25519: scheme } = noble.signatures
    const held = scheme?.importPrivate(fromBase64url(jwk.d ?? '') as Uint8Array, fromBase64url(jwk.x ?? '') as Uint8Array)
    const key = opaqueKey(publicJwk(jwk), { sign: (octets, alg) => (scheme as Signing).sign(octets, held, alg) })
    expect(signCompact(payload, { key })).toBe(signCompact(payload, { key: importKey(jwk) }))
  })

  it('does only what it has an operation for', async () => {
    const agreeing = opaqueKey(publicJwk(generateKey('X25519', { random })), { agree: () => undefined })
    expect(() => signCompact(payload, { key: agreeing })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
    const jwe = sealJwe(payload, { recipients: [{ key: agreeing }], random })
    expect(openJwe(jwe, { keys: [agreeing] })).toEqual({ ok: false, code: 'decryption-failed', cause: 'agreement' })
  })

  it('is bound by alg, use and key_ops of its JWK', () => {
    const key = opaqueKey({ ...publicJwk(jwk), key_ops: ['verify'] }, { sign: () => new Uint8Array(64) })
    expect(() => signCompact(payload, { key })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
  })

  it('lets out what its holder throws', async () => {
    const key = opaqueKey(publicJwk(jwk), { sign: () => Promise.reject(new Error('the card was drawn')) })
    await expect(signCompactAsync(payload, { key })).rejects.toThrow('the card was drawn')
  })

  it('is not made of a private or symmetric key', () => {
    for (const wrong of [jwk, generateKey('oct-256', { random })]) {
      expect(() => opaqueKey(wrong, {})).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_MALFORMED' }))
    }
  })
})
