import { p256 } from '@noble/curves/nist.js'
import { base64url, type JsonObject, utf8 } from '@parley/core'
import {
  generateKey,
  importKey,
  type Jwe,
  type Jwk,
  type Jws,
  openJwe,
  publicJwk,
  sealJwe,
  signJws,
  verifyJws,
} from '@parley/jose'
import { describe, expect, test } from 'vitest'
import { backends, seeded } from './setup.ts'

const payload = utf8('whom do you trust')
const random = seeded(7515)
const mine = generateKey('Ed25519', { random })
const theirs = generateKey('Ed25519', { random })
const reader = generateKey('X25519', { random })
const other = generateKey('X25519', { random })
const as = (jwk: Jwk, kid: string): Jwk => ({ ...jwk, kid })
const text = (header: JsonObject): string => base64url(utf8(JSON.stringify(header)))

describe.each(backends.map((backend) => [backend.name, backend] as const))('with the %s backend', (_, backend) => {
  const key = (jwk: Jwk) => importKey(jwk, { backend })

  test.each<[string, JsonObject]>([
    ['jwk', { jwk: publicJwk(theirs) as JsonObject }],
    ['jku', { jku: 'https://attacker.example/keys.json' }],
    ['x5u', { x5u: 'https://attacker.example/chain.pem' }],
    ['x5c', { x5c: ['MAMCAf8='] }],
    ['x5t', { x5t: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA', 'x5t#S256': 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
  ])('%s in a header gives no trust, to a signature or to a message', (_name, header) => {
    const jws = signJws(payload, { signers: [{ key: key(theirs), protected: header }] })
    expect(verifyJws(jws, { keys: [] })).toEqual({ ok: false, code: 'key-unknown' })
    expect(verifyJws(jws, { keys: [key(publicJwk(mine))] })).toEqual({ ok: false, code: 'key-unknown' })
    // Nor does it take any away: who has the key verifies as before.
    expect(verifyJws(jws, { keys: [key(publicJwk(theirs))] })).toMatchObject({ ok: true })
    const jwe = sealJwe(payload, { recipients: [{ key: key(publicJwk(other)) }], random, protected: header })
    expect(openJwe(jwe, { keys: [key(reader)] })).toEqual({ ok: false, code: 'key-unknown' })
    expect(openJwe(jwe, { keys: [key(other)] })).toMatchObject({ ok: true })
  })

  test('a signature by another key under my kid is not mine', () => {
    const jws = signJws(payload, { signers: [{ key: key(as(theirs, 'me')) }] })
    expect(verifyJws(jws, { keys: [key(as(publicJwk(mine), 'me'))] })).toEqual({ ok: false, code: 'signature-invalid' })
    // With both at hand the kid decides, not the one that fits.
    const both = [key(as(publicJwk(mine), 'me')), key(as(publicJwk(theirs), 'them'))]
    expect(verifyJws(jws, { keys: both })).toEqual({ ok: false, code: 'signature-invalid' })
  })

  test('a kid in the unprotected header chooses a key and proves nothing', () => {
    const jws = signJws(payload, { signers: [{ key: key(mine), unprotected: { kid: mine.kid ?? '' } }] })
    const relabelled = (kid: string): Jws => ({
      ...jws,
      signatures: jws.signatures.map((signature) => ({ ...signature, unprotected: { kid } })),
    })
    const keys = [key(publicJwk(mine)), key(publicJwk(theirs))]
    expect(verifyJws(relabelled(theirs.kid ?? ''), { keys })).toEqual({ ok: false, code: 'signature-invalid' })
    // What is reported is the key that verified, whatever the label says.
    const unnamed = [key({ ...publicJwk(mine), kid: undefined } as never)]
    expect(verifyJws(relabelled('the king'), { keys: unnamed })).toMatchObject({
      ok: true,
      signatures: [{ key: { thumbprint: mine.kid } }],
    })
  })

  test('an entry under another kid opens for nobody, and entries that change places for nobody else', () => {
    const recipients = [{ key: key(publicJwk(reader)) }, { key: key(publicJwk(other)) }]
    const jwe = sealJwe(payload, { recipients, random })
    const [a, b] = jwe.recipients
    if (a === undefined || b === undefined) throw new Error('two were made')
    const swapped: Jwe = {
      ...jwe,
      recipients: [
        { ...a, encryptedKey: b.encryptedKey },
        { ...b, encryptedKey: a.encryptedKey },
      ],
    }
    for (const jwk of [reader, other])
      expect(openJwe(swapped, { keys: [key(jwk)] })).toEqual({ ok: false, code: 'decryption-failed', cause: 'unwrap' })
    const relabelled: Jwe = { ...jwe, recipients: [{ ...a, header: { kid: other.kid ?? '' } }] }
    expect(openJwe(relabelled, { keys: [key(other)] })).toEqual({ ok: false, code: 'decryption-failed', cause: 'unwrap' })
    expect(openJwe(relabelled, { keys: [key(reader)] })).toEqual({ ok: false, code: 'key-unknown' })
  })

  test('the ephemeral key is not the key of anybody', () => {
    const jwe = sealJwe(payload, { recipients: [{ key: key(publicJwk(reader)) }], random })
    const header = { ...jwe.protected.header, epk: publicJwk(other) as JsonObject }
    expect(openJwe({ ...jwe, protected: { text: text(header), header } }, { keys: [key(reader)] })).toMatchObject({ ok: false })
    const leaked = { ...jwe.protected.header, epk: other as JsonObject }
    expect(openJwe({ ...jwe, protected: { text: text(leaked), header: leaked } }, { keys: [key(reader)] })).toMatchObject({
      ok: false,
      cause: 'agreement',
    })
  })

  test('the other form of an ECDSA signature says the same, and no third one says anything', () => {
    const jwk = generateKey('P-256', { random })
    const jws = signJws(payload, { signers: [{ key: key(jwk) }] })
    const [only] = jws.signatures
    if (only === undefined) throw new Error('one was made')
    const { ORDER: n } = p256.Point.Fn
    const octets = (value: bigint): Uint8Array => Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'))
    const [r, s] = [only.signature.subarray(0, 32), only.signature.subarray(32)]
    const [rValue, sValue] = [r, s].map((half) => BigInt(`0x${Buffer.from(half).toString('hex')}`)) as [bigint, bigint]
    const attempt = (signature: Uint8Array) =>
      verifyJws({ ...jws, signatures: [{ ...only, signature }] }, { keys: [key(publicJwk(jwk))] })
    // RFC 7518 §3.4 has no rule for low s: a signature's octets name nothing, its payload and key do.
    const twin = attempt(Uint8Array.of(...r, ...octets(n - sValue)))
    expect(twin).toMatchObject({ ok: true, payload, signatures: [{ verified: true, key: { thumbprint: jwk.kid } }] })
    for (const [first, second] of [
      [octets(n - rValue), s],
      [r, octets(n)],
      [octets(n), s],
      [octets(0n), s],
      [r, octets(0n)],
      [s, r],
      ...(sValue + n < 2n ** 256n ? [[r, octets(sValue + n)] as const] : []),
    ] as const)
      expect(attempt(Uint8Array.of(...first, ...second))).toEqual({ ok: false, code: 'signature-invalid' })
    for (const signature of [
      Uint8Array.of(0, ...only.signature),
      Uint8Array.of(...only.signature, 0),
      only.signature.subarray(1),
    ])
      expect(attempt(signature)).toEqual({ ok: false, code: 'signature-invalid' })
    const der = Uint8Array.of(0x30, 68, 2, 32, ...r, 2, 32, ...s)
    expect(attempt(der)).toEqual({ ok: false, code: 'signature-invalid' })
    expect(attempt(new Uint8Array(100_000))).toEqual({ ok: false, code: 'signature-invalid' })
  })
})
