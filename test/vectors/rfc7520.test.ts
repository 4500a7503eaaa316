import { base64url, isJsonObject, type Json, type JsonObject, utf8 } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  importKey,
  type Jwk,
  type Key,
  keyManagementAlgorithms,
  backend as node,
  openJwe,
  publicJwk,
  readJose,
  readKey,
  signatureAlgorithms,
  signCompact,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { describe, expect, test } from 'vitest'
import { fixture, vectors } from './folder.ts'

// The examples as fixtures of our own; the shared folder has a few more, of other RFCs.
const { files } = fixture<{ readonly files: { readonly [file: string]: unknown } }>('rfc7520.json')
const cookbook: ReadonlyMap<string, unknown> = new Map([...Object.entries(files), ...vectors('rfc7520-cookbook')])

type Example = {
  readonly title: string
  readonly reproducible?: boolean
  readonly input: {
    readonly payload?: string
    readonly plaintext?: string
    readonly key?: Json
    readonly pwd?: string
    readonly alg: Json
    readonly enc?: string
    readonly aad?: string
    readonly zip?: string
  }
  readonly output: { readonly [form: string]: string | JsonObject }
}

function isExample(value: unknown): value is Example {
  return isJsonObject(value) && isJsonObject(value['input']) && isJsonObject(value['output'])
}

const list = (value: Json): readonly Json[] => (Array.isArray(value) ? value : [value])

// What an example asks for that the tables or this backend do not have, and what it meets then.
function lacks(example: Example, backend: Backend): string | undefined {
  const { input, title } = example
  const table = input.enc === undefined ? signatureAlgorithms : keyManagementAlgorithms
  const algs = list(input.alg)
  const absent = algs.filter((alg) => typeof alg === 'string' && !table.has(alg))
  // Of several recipients or signers one that can be served is enough to open, and all are needed to verify.
  const missing = absent.length === algs.length || input.enc === undefined ? absent : []
  // The example with several recipients says "A128CBC-H256" and means what its header says.
  if (input.enc !== undefined && !contentAlgorithms.has(input.enc.replace('-H2', '-HS2'))) missing.push(input.enc)
  const jwks = jwksOf(example)
  const unread = jwks.filter((jwk) => isJsonObject(jwk) && !readKey(jwk, { backend }).ok)
  if (unread.length === jwks.length || (input.enc === undefined && unread.length > 0)) {
    missing.push(...unread.map((jwk) => (isJsonObject(jwk) ? String(jwk['crv'] ?? jwk['kty']) : '')))
  }
  if (input.zip !== undefined && backend.inflate === undefined) missing.push('zip')
  // Its protected header has `b64` without the `crit` that RFC 7797 §6 demands.
  if (title === "'b64'=false JSON only") missing.push('crit')
  return missing.length === 0 ? undefined : missing.join(', ')
}

// A password is a key of its octets.
function jwksOf({ input: { key, pwd } }: Example): readonly Json[] {
  return pwd === undefined ? list(key ?? []) : [{ kty: 'oct', k: base64url(utf8(pwd)) }]
}

function keysOf(example: Example, backend: Backend): readonly Key[] {
  return jwksOf(example).flatMap((jwk) => {
    const read = readKey(jwk, { backend })
    return read.ok ? [read.key] : []
  })
}

for (const [file, value] of cookbook) {
  if (!isExample(value)) continue
  const content = utf8(value.input.payload ?? value.input.plaintext ?? '')
  describe(`RFC 7520 ${file}`, () => {
    for (const backend of [node, noble]) {
      const missing = lacks(value, backend)
      const keys = keysOf(value, backend)
      for (const [form, output] of Object.entries(value.output)) {
        const outcome = missing === undefined ? 'opens' : `needs ${missing}, which is not there: is refused`
        test(`${form} ${outcome} with the ${backend.name} backend`, () => {
          for (const text of [output, typeof output === 'string' ? output : JSON.stringify(output)]) {
            const read = readJose(text)
            if (!read.ok) expect(missing).toBeDefined()
            else if (read.kind === 'jws') {
              // Some examples carry their payload apart.
              const apart = read.jws.payload.length === 0 ? { payload: content } : {}
              const verified = verifyJws(read.jws, { keys, ...apart })
              if (missing === undefined) expect(verified).toMatchObject({ ok: true, payload: content })
              else
                expect(verified).toMatchObject({
                  ok: false,
                  code: expect.stringMatching(/^alg-not-allowed$|^key-un|^header-malformed$/),
                })
            } else {
              const named = list(value.input.alg).filter((alg) => typeof alg === 'string')
              const opened = openJwe(read.jwe, { keys, algorithms: named, zip: true })
              if (value.input.zip !== undefined)
                expect(openJwe(read.jwe, { keys, algorithms: named })).toMatchObject({ ok: false })
              if (missing === undefined) {
                expect(opened).toMatchObject({ ok: true, plaintext: content, committed: false })
                if (value.input.aad !== undefined) expect(opened).toMatchObject({ aad: utf8(value.input.aad) })
              } else
                expect(opened).toMatchObject({
                  ok: false,
                  code: expect.stringMatching(/^alg-not-allowed$|^zip-unsupported$|^key-un/),
                })
            }
          }
        })
      }
    }
  })
}

describe('RFC 7520 keys', () => {
  const jwks = [...cookbook].filter(([file]) => file.startsWith('jwk/'))
  test.each(jwks)('%s is read where its type is there', (file, value) => {
    const isPrivate = /private|symmetric/.test(file)
    for (const backend of [node, noble]) {
      const read = readKey(value, { backend })
      if (file.includes('rsa') && backend.rsa === undefined) expect(read).toEqual({ ok: false, code: 'key-unavailable' })
      else expect(read).toMatchObject({ ok: true, key: { kid: (value as Jwk).kid, secret: isPrivate } })
    }
  })
})

describe('RFC 7520 §6, nested', () => {
  const value = cookbook.get('6.nesting_signatures_and_encryption.json')
  test('is decrypted, and the signature inside verified', () => {
    const { sign, encrypt } = value as { readonly sign: Example; readonly encrypt: Example }
    for (const output of Object.values(encrypt.output)) {
      const read = readJose(output)
      const opened = read.ok && read.kind === 'jwe' && openJwe(read.jwe, { keys: keysOf(encrypt, node) })
      if (opened === false || !opened.ok) throw new Error('not opened')
      const inner = readJose(opened.plaintext)
      const verified = inner.ok && inner.kind === 'jws' && verifyJws(inner.jws, { keys: keysOf(sign, node) })
      expect(verified).toMatchObject({ ok: true, payload: utf8(sign.input.payload ?? '') })
    }
  })
})

describe('RFC 8037 Appendix A', () => {
  for (const value of vectors('rfc8037').values()) {
    if (!isJsonObject(value)) continue
    const jwk = value['A.1_private_jwk'] as Jwk
    const signing = value['A.4_A.5_eddsa'] as { readonly payload: string; readonly compact: string }
    for (const backend of [node, noble]) {
      test(`the key, its thumbprint and its signature with the ${backend.name} backend`, () => {
        const key = importKey(jwk, { backend })
        expect(publicJwk(jwk)).toEqual(value['A.2_public_jwk'])
        expect(value['A.3_thumbprint_sha256']).toMatchObject({ b64url: key.thumbprint })
        expect(signCompact(utf8(signing.payload), { key })).toBe(signing.compact)
      })

      test(`the shared secret of A.6 with the ${backend.name} backend`, () => {
        const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
        const a6 = value['A.6_x25519'] as { readonly [name: string]: string }
        const agreement = backend.agreements['X25519']
        const ephemeral = agreement?.importPrivate(hex(a6['ephemeral_secret_hex'] ?? ''))
        const bob = agreement?.importPrivate(hex(a6['recipient_private_hex_from_RFC7748'] ?? ''))
        const bobPublic = agreement?.publicOf(bob) ?? new Uint8Array(0)
        expect(a6['recipient_public_jwk']).toMatchObject({ x: base64url(bobPublic) })
        expect(agreement?.agree(ephemeral, agreement.importPublic(bobPublic))).toEqual(hex(a6['Z_hex'] ?? ''))
      })
    }
    test('X448 (A.7) is refused by name: the tables lack it', () => {
      const a7 = value['A.7_x448'] as { readonly recipient_public_jwk: Jwk }
      expect(readKey(a7.recipient_public_jwk)).toEqual({ ok: false, code: 'key-unsupported' })
    })
  }
})
