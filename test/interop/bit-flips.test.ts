import { type Random, utf8 } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  generateKey,
  importKey,
  type Jwk,
  keyManagementAlgorithms,
  backend as node,
  openJwe,
  publicJwk,
  readJose,
  sealJwe,
  signatureAlgorithms,
  signJws,
  toFlattenedJwe,
  toFlattenedJws,
  verifyJws,
} from '@parley/jose'
import { generateMlDsaKey, type MlDsaAlgorithm, mlDsa } from '@parley/jose/ml-dsa'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { rsaJwk } from './rsa.ts'

// Every bit of one small object per row of the tables: what comes out is an error with a code, or the very same content.
// A verification of ML-DSA costs a hundred of the others and its signature has a hundred times their bits: the short form
// flips those of every 31st character.

const isLong = process.env['PARLEY_SOAK'] !== undefined
const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const content = utf8('x')
const rsa = rsaJwk(2048)
const secret = (length: number): Jwk => ({ kty: 'oct', k: node.base64url(random.bytes(length)) })
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))

type Outcome = { readonly ok: boolean; readonly code?: string }

// How many of the changed texts were refused and how many told the same; any other outcome ends the test.
function flipAll(
  text: string,
  attempt: (text: string) => Outcome,
  strideOf: (at: number) => number = () => 1,
): { refused: number; same: number } {
  const count = { refused: 0, same: 0 }
  for (let at = 0; at < text.length; at += strideOf(at)) {
    for (let bit = 0; bit < 7; bit++) {
      const changed = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1)
      const { ok, code } = attempt(changed)
      if (ok) count.same++
      else if (/^[a-z]+(?:-[a-z0-9]+)+$/.test(code ?? '')) count.refused++
      else throw new Error(`bit ${bit} of ${at}: ${code}`)
    }
  }
  return count
}

const curveOf = {
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  ES256K: 'secp256k1',
} as const

function signatureJwk(alg: string): Jwk {
  if (Object.hasOwn(curveOf, alg)) return generateKey(curveOf[alg as keyof typeof curveOf], { random })
  if (alg.startsWith('HS')) return secret(64)
  return alg.startsWith('ML-DSA') ? generateMlDsaKey(alg as MlDsaAlgorithm, { random }) : rsa
}

// noble takes minutes for what OpenSSL does in a second; what it does fast, it does here.
const backendsFor = (isFast: boolean): readonly Backend[] => (isFast || isLong ? [node, noble] : [node])

describe.each([...signatureAlgorithms.keys()])('a JWS with %s', (alg) => {
  const jwk = { ...signatureJwk(alg), kid: 'a' }
  for (const backend of backendsFor(alg.startsWith('HS'))) {
    if (jwk.kty === 'RSA' && backend.rsa === undefined) continue

    test(`with any bit flipped is refused or the same, with the ${backend.name} backend`, () => {
      const signing = importKey(jwk, { backend, extensions: [mlDsa] })
      const key = importKey(shown(jwk), { backend, extensions: [mlDsa] })
      const jws = signJws(content, { signers: [{ key: signing, alg, unprotected: { n: 1 } }] })
      const text = JSON.stringify(toFlattenedJws(jws))
      const header = jws.signatures[0]?.protected.header
      const start = text.indexOf('"signature"')
      const isSlow = alg.startsWith('ML-DSA') && !isLong
      const count = flipAll(
        text,
        (changed) => {
          const read = readJose(changed)
          if (!read.ok) return read
          if (read.kind !== 'jws') throw new Error('read as a JWE')
          const verified = verifyJws(read.jws, { keys: [key] })
          if (!verified.ok) return verified
          expect(verified.payload).toEqual(content)
          expect(verified.signatures).toMatchObject([{ alg, verified: true, key, protectedHeader: header }])
          return verified
        },
        (at) => (isSlow && at > start ? 31 : 1),
      )
      expect(count.refused).toBeGreaterThan(count.same)
    })
  }
})

function encryptionJwk(alg: string, keyBytes: number): Jwk {
  if (alg.startsWith('ECDH')) return generateKey('P-256', { random })
  if (alg.startsWith('RSA')) return rsa
  return secret(keyManagementAlgorithms.get(alg)?.kekBytes ?? keyBytes)
}

const rows: readonly (readonly [string, string])[] = [
  ...[...keyManagementAlgorithms.keys()].filter((alg) => alg !== 'dir').map((alg) => [alg, 'A256GCM'] as const),
  ...[...contentAlgorithms.keys()].map((enc) => ['dir', enc] as const),
]

describe.each(rows)('a JWE with %s and %s', (alg, enc) => {
  const mode = keyManagementAlgorithms.get(alg)?.mode
  const jwk = { ...encryptionJwk(alg, contentAlgorithms.get(enc)?.keyBytes ?? 0), kid: 'a' }
  for (const backend of backendsFor(mode === 'wrap' || mode === 'gcm-wrap' || mode === 'direct')) {
    if (jwk.kty === 'RSA' && backend.rsa === undefined) continue

    test(`with any bit flipped is refused or the same, with the ${backend.name} backend`, () => {
      const key = importKey(jwk, { backend })
      const recipients = [{ key: importKey(shown(jwk), { backend }), alg }]
      const jwe = sealJwe(content, { recipients, random, enc, unprotected: { n: 1 }, passwordIterations: 1000 })
      const count = flipAll(JSON.stringify(toFlattenedJwe(jwe)), (changed) => {
        const read = readJose(changed)
        if (!read.ok) return read
        if (read.kind !== 'jwe') throw new Error('read as a JWS')
        // Passwords are opt-in; what the flip makes of p2c must stay within the limit.
        const opened = openJwe(read.jwe, { keys: [key], algorithms: [alg] })
        if (!opened.ok) return opened
        expect(opened.plaintext).toEqual(content)
        expect(opened).toMatchObject({ alg, enc, key, protectedHeader: jwe.protected.header, aad: undefined })
        return opened
      })
      expect(count.refused).toBeGreaterThan(count.same)
    })
  }
})
