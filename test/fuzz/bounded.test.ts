import { base64url, type JsonObject, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import {
  generateKey,
  importKey,
  openJwe,
  readCompactJws,
  readJose,
  sealJwe,
  signCompact,
  toGeneralJwe,
  verifyJws,
} from '@parley/jose'
import { makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, it } from 'vitest'

const random = createSimRandom('bounded')
const key = importKey({ kty: 'oct', k: base64url(random.bytes(32)), kid: 'k' })
const general = toGeneralJwe(sealJwe(utf8('x'), { recipients: [{ key }], random }))
const many = (count: number): JsonObject => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, 0]))
const empty = Array.from({ length: 1024 }, () => ({}))

function openingMs(object: JsonObject): number {
  const text = JSON.stringify(object)
  const started = performance.now()
  const read = readJose(text)
  if (read.ok && read.kind === 'jwe') openJwe(read.jwe, { keys: [key] })
  return performance.now() - started
}

describe('a header that all entries share is not joined again for each', () => {
  it('protected: 68 KB of text', () => {
    const header = base64url(utf8(JSON.stringify({ enc: 'A256GCM', alg: 'A256KW', ...many(5000) })))
    expect(openingMs({ ...general, protected: header, recipients: empty })).toBeLessThan(1000)
  })
  it('unprotected: 212 KB of text', () => {
    expect(openingMs({ ...general, unprotected: many(20_000), recipients: empty })).toBeLessThan(1000)
  })
})

describe('what a signature covers is what is reported', () => {
  const signer = importKey(generateKey('Ed25519', { random }))
  const read = readCompactJws(signCompact(utf8('hello'), { key: signer, typ: 'JWM' }))
  if (!read.ok) throw new Error(read.code)
  const [signature] = read.jws.signatures
  if (signature === undefined) throw new Error('none')

  it('under another protected header a signature does not hold', () => {
    const header = { alg: 'EdDSA', typ: 'ADMIN' }
    const text = base64url(utf8(JSON.stringify(header)))
    const jws = { ...read.jws, signatures: [{ ...signature, protected: { text, header } }] }
    expect(verifyJws(jws, { keys: [signer] })).toMatchObject({ ok: false, code: 'signature-invalid' })
  })
})

describe('what is made can be opened', () => {
  const signer = importKey(generateKey('Ed25519', { random }))
  it.each(['{"a":1,"a":2}', '['.repeat(40) + ']'.repeat(40)])('%s is refused by both or by neither', (text) => {
    const made = makeJwm(utf8(text), { signers: [signer], random, form: 'compact' })
    const opened = made.ok ? openJwm(made.jwm, { verifyKeys: [signer] }) : made
    expect(opened.ok).toBe(made.ok)
  })
})
