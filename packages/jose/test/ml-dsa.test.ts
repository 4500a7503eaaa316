import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { utf8 } from '@parley/core'
import { importKey, type Jwk, publicJwk, readCompactJws, readKey, signCompact, signJws, verifyJws } from '@parley/jose'
import { generateMlDsaKey, mlDsa } from '@parley/jose/ml-dsa'
import { describe, expect, test } from 'vitest'
import { backends, seeded } from './setup.ts'

const random = seeded(9964)
const payload = utf8('signed for a long time')
const algs = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const
const extensions = [mlDsa]

describe.each(backends.map((backend) => [backend.name, backend] as const))('ML-DSA with the %s backend', (_, backend) => {
  test.each(algs)('%s signs, and the key alone verifies', (alg) => {
    const jwk = generateMlDsaKey(alg, { random })
    const key = importKey(jwk, { backend, extensions })
    expect(key).toMatchObject({ kty: 'AKP', alg, kid: jwk.kid, thumbprint: jwk.kid, secret: true })
    expect(key.publicJwk).toEqual(publicJwk(jwk))
    const text = signCompact(payload, { key })
    const read = readCompactJws(text)
    if (!read.ok) throw new Error(read.code)
    const verifying = importKey(publicJwk(jwk), { backend, extensions })
    expect(verifyJws(read.jws, { keys: [verifying] })).toMatchObject({ ok: true, payload, signatures: [{ alg, kid: jwk.kid }] })
    const other = importKey(publicJwk(generateMlDsaKey(alg, { random })), { kid: jwk.kid ?? '', backend, extensions })
    expect(verifyJws(read.jws, { keys: [other] })).toEqual({ ok: false, code: 'signature-invalid' })
    const signature = read.jws.signatures[0]?.signature ?? new Uint8Array(0)
    for (const changed of [signature.subarray(1), Uint8Array.of(...signature, 0), signature.with(7, (signature[7] ?? 0) ^ 1)]) {
      const forged = { ...read.jws, signatures: read.jws.signatures.map((one) => ({ ...one, signature: changed })) }
      expect(verifyJws(forged, { keys: [verifying] })).toEqual({ ok: false, code: 'signature-invalid' })
    }
  })

  test('a printed private key shows nothing secret, and its public part has no seed', () => {
    const jwk = generateMlDsaKey('ML-DSA-44', { random })
    expect(JSON.stringify(importKey(jwk, { backend, extensions }))).not.toContain(jwk.priv)
    expect(publicJwk(jwk)).not.toHaveProperty('priv')
  })

  test('a key of one parameter set does nothing for another', () => {
    const key = importKey(generateMlDsaKey('ML-DSA-44', { random }), { backend, extensions })
    expect(() => signCompact(payload, { key, alg: 'ML-DSA-65' })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
    expect(() => signCompact(payload, { key, alg: 'EdDSA' })).toThrow(expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }))
  })

  test('without the extension the key type is unavailable, and the rest of the table goes on', () => {
    const jwk = generateMlDsaKey('ML-DSA-44', { random })
    expect(readKey(jwk, { backend })).toEqual({ ok: false, code: 'key-unavailable' })
    const signed = signJws(payload, { signers: [{ key: importKey(jwk, { backend, extensions }) }] })
    expect(verifyJws(signed, { keys: [] })).toEqual({ ok: false, code: 'key-unknown' })
  })

  test.each<[string, (jwk: Jwk) => unknown]>([
    ['no alg', ({ alg: _, ...jwk }) => jwk],
    ['no pub', ({ pub: _, ...jwk }) => jwk],
    ['a short pub', (jwk) => ({ ...jwk, pub: jwk.pub?.slice(4) })],
    ['the pub of another seed', (jwk) => ({ ...jwk, pub: generateMlDsaKey('ML-DSA-44', { random }).pub })],
    ['a long seed', (jwk) => ({ ...jwk, priv: backend.base64url(new Uint8Array(33)) })],
    ['a seed that is no text', (jwk) => ({ ...jwk, priv: 7 })],
    ['a member of another key type', (jwk) => ({ ...jwk, d: jwk.priv })],
    ['the alg of another parameter set', (jwk) => ({ ...jwk, alg: 'ML-DSA-65' })],
  ])('refuses a key with %s', (_name, change) => {
    const jwk = generateMlDsaKey('ML-DSA-44', { random })
    expect(readKey(change(jwk), { backend, extensions })).toEqual({ ok: false, code: 'key-malformed' })
  })
})

test('the same seed gives the same key and the same signature, and nothing else is drawn', () => {
  const made = backends.map((backend) => {
    const drawn: number[] = []
    const source = seeded(3)
    const counted = {
      bytes(length: number) {
        drawn.push(length)
        return source.bytes(length)
      },
    }
    const jwk = generateMlDsaKey('ML-DSA-65', { random: counted })
    return { drawn, text: signCompact(payload, { key: importKey(jwk, { backend, extensions }) }) }
  })
  expect(made[0]).toEqual(made[1])
  expect(made[0]?.drawn).toEqual([32])
})

test('nobody carries its code who does not import it', () => {
  const source = join(import.meta.dirname, '../src')
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    if (!existsSync(file)) return
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/from '([^']+)'/g)) {
      if (specifier === '#backend') for (const name of ['node', 'noble']) visit(join(source, `backend/${name}.ts`))
      else visit(specifier.startsWith('.') ? join(dirname(file), specifier) : specifier)
    }
  }
  for (const entry of ['index.ts', 'noble.ts']) visit(join(source, entry))
  expect(reached.size).toBeGreaterThan(20)
  expect([...reached].filter((name) => /ml-dsa|post-quantum/.test(name))).toEqual([])
})
