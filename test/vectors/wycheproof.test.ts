import { isJsonObject, type Json, type JsonObject } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  type Key,
  keyManagementAlgorithms,
  backend as node,
  openJwe,
  readJose,
  readKey,
  signatureAlgorithms,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { vectors } from './folder.ts'

type Case = {
  readonly tcId: number
  readonly comment: string
  readonly jwe?: string | JsonObject
  readonly jws?: string | JsonObject
  readonly pt?: string
  readonly enc?: string
  readonly result: 'valid' | 'invalid'
  readonly flags: readonly string[]
}
type Group = {
  readonly comment: string
  readonly private: JsonObject
  readonly public?: JsonObject
  readonly tests: readonly Case[]
}

// SOURCE.txt beside the vectors: these are the same octets as a valid one, or hold a character that base64url has not.
// The JSON text of 17 lacks its last two brackets.
const skipped = new Set([367, 370])
// The keys of 346 and 350 say PS256 where the header says PS384, which we refuse as the vectors do elsewhere.
const contested = new Set([17, 346, 350, 372, 373])
// Called ambiguous: one set holds a MAC key and a public key. Each is bound to its own algorithm here, so none passes for the other.
const mixedKeySet = 1

// Whoever verifies has the public key; the private one of 349 names its operations in one string.
function isSignedGroup(open: JsonObject | undefined): open is JsonObject {
  return open !== undefined && (open['use'] === 'sig' || (Array.isArray(open['key_ops']) && open['key_ops'].includes('verify')))
}

function jwksOf({ private: secret, public: open }: Group): readonly Json[] {
  const own = isSignedGroup(open) ? open : secret
  const jwks = Array.isArray(own['keys']) ? (own['keys'] as readonly Json[]) : [own]
  // SOURCE.txt: the P-521 key says "ES521" and means ES512.
  return jwks.map((jwk) => (isJsonObject(jwk) && jwk['alg'] === 'ES521' ? { ...jwk, alg: 'ES512' } : jwk))
}

function keysOf(group: Group, backend: Backend): readonly Key[] {
  return jwksOf(group).flatMap((jwk) => {
    const read = readKey(jwk, { backend })
    return read.ok ? [read.key] : []
  })
}

// The algorithm a valid case needs and the tables or this backend lack.
function lacks(group: Group, { enc, jwe, jws }: Case, backend: Backend): string | undefined {
  if (jwksOf(group).every((jwk) => !readKey(jwk, { backend }).ok)) return 'this key type'
  const read = readJose(jwe ?? jws ?? '')
  if (!read.ok) return undefined
  const headers =
    read.kind === 'jwe' ? [read.jwe.protected.header] : read.jws.signatures.map((signature) => signature.protected.header)
  for (const { alg, enc: named, zip } of headers) {
    if (typeof alg === 'string' && !signatureAlgorithms.has(alg) && !keyManagementAlgorithms.has(alg)) return alg
    if (typeof named === 'string' && !contentAlgorithms.has(named)) return named
    if (zip !== undefined && backend.inflate === undefined) return 'zip'
  }
  return enc !== undefined && !contentAlgorithms.has(enc) ? enc : undefined
}

function isOpened({ jwe, jws, pt }: Case, keys: readonly Key[]): boolean {
  const read = readJose(jwe ?? jws ?? '')
  if (!read.ok) return false
  if (read.kind === 'jws') return verifyJws(read.jws, { keys }).ok
  const opened = openJwe(read.jwe, { keys, zip: true })
  return opened.ok && (pt === undefined || Buffer.from(opened.plaintext).toString('hex') === pt)
}

for (const [file, value] of vectors('wycheproof-jose')) {
  const { testGroups } = value as { readonly testGroups: readonly Group[] }
  const isSignature = file.includes('signature')
  const isKeys = file.includes('web_key')
  for (const backend of [node, noble]) {
    describe(`Wycheproof ${file} with the ${backend.name} backend`, () => {
      for (const group of testGroups) {
        const keys = keysOf(group, backend)
        for (const one of group.tests) {
          if (isSignature && skipped.has(one.tcId)) continue
          const missing = lacks(group, one, backend)
          const isValid =
            isSignature && contested.has(one.tcId)
              ? false
              : (isKeys && one.tcId === mixedKeySet) || one.result === 'valid' || one.flags.includes('JsonSerialization')
          const outcome = !isValid
            ? 'is refused'
            : missing === undefined
              ? 'opens'
              : `needs ${missing}, which is not there: is refused`
          test(`${one.tcId} ${group.comment} ${one.comment} ${outcome}`, () => {
            expect(isOpened(one, keys)).toBe(isValid && missing === undefined)
          })
        }
      }
    })
  }
}
