import { createHmac, webcrypto } from 'node:crypto'
import { base64url, type JsonObject, parseJsonObject, utf8 } from '@parley/core'
import {
  contentAlgorithms,
  importKey,
  type Jwe,
  type Jwk,
  keyManagementAlgorithms,
  openJwe,
  publicJwk,
  readJose,
  readKey,
  sealJwe,
  signatureAlgorithms,
  signJws,
  toCompactJwe,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
  verifyJws,
} from '@parley/jose'
import { makeJwm, openJwm } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { must, oct, octets, pair, random } from './people.ts'

const ed = pair('Ed25519', 'a')
const es = pair('P-256', 'c')
const x = pair('X25519', 'b')
const object = { id: 'urn:uuid:1', body: { n: 1.5 } }
const payload = octets(object)
const bare = (jwk: Jwk): Jwk => {
  const { kid: _, alg: _alg, ...rest } = jwk
  return rest
}
const headerOf = (text: string): JsonObject => JSON.parse(Buffer.from(text, 'base64url').toString()) as JsonObject
const withHeader = (jwe: Jwe, change: (header: { [name: string]: unknown }) => unknown): Jwe => {
  const header = { ...jwe.protected.header }
  change(header)
  return { ...jwe, protected: { header, text: base64url(octets(header)) } }
}

describe('an object says all but the keys', () => {
  const encs = [...contentAlgorithms.keys()]

  test('keys without name or algorithm open every alg and enc', () => {
    const wraps = [16, 24, 32].map((bytes) => ({ alg: `A${bytes * 8}KW`, jwk: oct(bytes).jwk }))
    const gcms = [16, 24, 32].map((bytes) => ({ alg: `A${bytes * 8}GCMKW`, jwk: oct(bytes).jwk }))
    const agreements = ['ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW', 'ECDH-ES'].flatMap((alg) => [
      { alg, jwk: x.jwk },
      { alg, jwk: es.jwk },
    ])
    let opened = 0
    for (const { alg, jwk } of [...wraps, ...gcms, ...agreements]) {
      for (const enc of encs) {
        const key = importKey(bare(jwk.kty === 'oct' ? jwk : publicJwk(jwk)))
        const text = toCompactJwe(sealJwe(payload, { recipients: [{ key, alg }], enc, random, allProtected: true }))
        expect(headerOf(text.split('.')[0] ?? '')).toMatchObject({ alg, enc })
        expect(openJwm(text, { keys: [importKey(bare(jwk))] })).toMatchObject({ ok: true, object, layers: [{ alg, enc }] })
        opened++
      }
    }
    expect(opened).toBe(14 * encs.length)
  })

  test('a signature names its algorithm, and the key needs no name', () => {
    for (const alg of ['EdDSA', 'Ed25519']) {
      const jws = signJws(payload, { signers: [{ key: importKey(bare(ed.jwk)), alg }] })
      expect(jws.signatures[0]?.protected.header).toEqual({ alg })
      expect(verifyJws(jws, { keys: [importKey(bare(publicJwk(ed.jwk)))] })).toMatchObject({ ok: true })
    }
  })

  test('the header is apart from content and signature, and opens to the same object whatever stands in the content', () => {
    const [header = '', content = '', signature = '', ...rest] = (
      must(makeJwm(payload, { signers: [ed.secret], random, form: 'compact' })).jwm as string
    ).split('.')
    expect(rest).toEqual([])
    expect(headerOf(header)).toEqual({ alg: 'EdDSA', kid: 'a', typ: 'JWM' })
    expect(Buffer.from(content, 'base64url').toString()).toBe(JSON.stringify(object))
    expect(Buffer.from(signature, 'base64url')).toHaveLength(64)
  })

  test('an agreed key is signalled by its name and the algorithm: which key, and that nothing else is needed', () => {
    const { key } = oct(32, { kid: 'agreed-in-spring', alg: 'A256GCM' })
    const text = must(makeJwm(payload, { recipients: [key], random, form: 'compact' })).jwm as string
    expect(headerOf(text.split('.')[0] ?? '')).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: 'agreed-in-spring' })
    expect(text.split('.')[1]).toBe('')
    expect(openJwm(text, { keys: [oct(32, { kid: 'agreed-in-autumn' }).key] })).toMatchObject({ ok: false, code: 'key-unknown' })
    expect(openJwm(text, { keys: [key] })).toMatchObject({ ok: true, object })
  })
})

describe('what an algorithm needs', () => {
  const password = importKey({ kty: 'oct', k: base64url(utf8('correct horse')), alg: 'PBES2-HS256+A128KW' })
  const wrapping = oct(32).key
  const jwes: readonly (readonly [string, Jwe, readonly string[], Parameters<typeof openJwe>[1]])[] = [
    [
      'ECDH-ES',
      sealJwe(payload, { recipients: [{ key: x.open, alg: 'ECDH-ES' }], random, allProtected: true }),
      ['alg', 'enc', 'epk'],
      { keys: [x.secret] },
    ],
    [
      'ECDH-ES+A256KW',
      sealJwe(payload, { recipients: [{ key: es.open }], random, allProtected: true }),
      ['alg', 'enc', 'epk'],
      { keys: [es.secret] },
    ],
    [
      'A256GCMKW',
      sealJwe(payload, { recipients: [{ key: wrapping, alg: 'A256GCMKW' }], random, allProtected: true }),
      ['alg', 'enc', 'iv', 'tag'],
      { keys: [wrapping] },
    ],
    [
      'PBES2-HS256+A128KW',
      sealJwe(payload, { recipients: [{ key: password }], random, allProtected: true, passwordIterations: 1000 }),
      ['alg', 'enc', 'p2s', 'p2c'],
      { keys: [password], algorithms: ['PBES2-HS256+A128KW'] },
    ],
  ]

  test.each(jwes)('%s is refused without one of its parameters, before it is used', (_, jwe, names, options) => {
    expect(openJwe(jwe, options).ok).toBe(true)
    for (const name of names) {
      const without = withHeader(jwe, (header) => delete header[name])
      const opened = openJwe(without, options)
      expect(opened.ok).toBe(false)
      if (!opened.ok) expect(['content', 'commitment']).not.toContain(opened.cause)
      expect(
        openJwe(
          withHeader(jwe, (header) => Object.assign(header, { [name]: 7 })),
          options,
        ).ok,
      ).toBe(false)
    }
  })

  test('a signature without alg is refused', () => {
    const jws = signJws(payload, { signers: [{ key: ed.secret }] })
    const [signature] = jws.signatures
    const without = {
      ...signature,
      protected: { text: base64url(octets({ kid: 'a' })), header: { kid: 'a' } },
    } as typeof signature & object
    expect(verifyJws({ ...jws, signatures: [without] }, { keys: [ed.open] })).toEqual({ ok: false, code: 'header-malformed' })
  })

  test('IV, tag and content key have exactly the length that enc says, and are fresh each time', () => {
    const { key } = oct(32)
    for (const [enc, row] of contentAlgorithms) {
      const made = [0, 1].map(() => sealJwe(payload, { recipients: [{ key }], enc, random }))
      const [one, two] = made as [Jwe, Jwe]
      expect([one.iv.length, one.tag.length, one.recipients[0]?.encryptedKey.length]).toEqual([
        row.ivBytes,
        row.tagBytes,
        row.keyBytes + 8,
      ])
      expect(one.iv).not.toEqual(two.iv)
      // Another content key: another wrapped one under the same key, deterministic as AES-KW is.
      expect(one.recipients[0]?.encryptedKey).not.toEqual(two.recipients[0]?.encryptedKey)
      expect(one.protected.header['ckc']).not.toEqual(two.protected.header['ckc'])
      const options = { keys: [key] }
      for (const change of [
        { iv: one.iv.subarray(1) },
        { iv: new Uint8Array([...one.iv, 0]) },
        { tag: one.tag.subarray(0, 4) },
        { tag: one.tag.subarray(0, one.tag.length - 1) },
        { tag: new Uint8Array([...one.tag, 0]) },
      ]) {
        expect(openJwe({ ...one, ...change }, options)).toEqual({ ok: false, code: 'jwe-malformed' })
      }
      const [entry] = one.recipients
      const shorter = { header: entry?.header, encryptedKey: (entry?.encryptedKey ?? new Uint8Array(8)).subarray(8) }
      expect(openJwe({ ...one, recipients: [shorter] }, options)).toEqual({ ok: false, code: 'jwe-malformed' })
    }
  })

  test('a session key wraps a fresh content key for each message, and encrypts no content itself', () => {
    const { jwk, key } = oct(32, { kid: 'sid' })
    const ivs = new Set<string>()
    for (let i = 0; i < 50; i++) {
      const jwe = sealJwe(payload, { recipients: [{ key }], random })
      expect(jwe.protected.header).toMatchObject({ alg: 'A256KW', enc: 'A256GCM' })
      ivs.add(base64url(jwe.recipients[0]?.encryptedKey ?? new Uint8Array(0)))
      // Decrypting the content with the session key itself fails.
      const direct = withHeader({ ...jwe, recipients: [{ header: undefined, encryptedKey: new Uint8Array(0) }] }, (header) => {
        header['alg'] = 'dir'
        delete header['ckc']
      })
      expect(openJwe(direct, { keys: [importKey({ ...jwk, alg: 'A256GCM' })] })).toMatchObject({
        ok: false,
        code: 'decryption-failed',
      })
    }
    expect(ivs.size).toBe(50)
  })
})

describe('names of algorithms', () => {
  test('RFC 9864: Ed25519 and EdDSA verify with the same key, EdDSA is what is written', () => {
    expect(signJws(payload, { signers: [{ key: ed.secret }] }).signatures[0]?.protected.header['alg']).toBe('EdDSA')
    for (const alg of ['EdDSA', 'Ed25519'])
      for (const named of [{}, { alg: 'EdDSA' }, { alg: 'Ed25519' }]) {
        const jws = signJws(payload, { signers: [{ key: ed.secret, alg }] })
        expect(verifyJws(jws, { keys: [importKey({ ...publicJwk(ed.jwk), ...named })] })).toMatchObject({ ok: true })
      }
  })

  test('RSA1_5 is in no table, and "none" neither', () => {
    const names = [...signatureAlgorithms.keys(), ...keyManagementAlgorithms.keys(), ...contentAlgorithms.keys()]
    for (const absent of ['RSA1_5', 'none', 'A128CBC', 'ECDH-1PU']) expect(names).not.toContain(absent)
    expect(() => sealJwe(payload, { recipients: [{ key: x.open, alg: 'RSA1_5' }], random })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_ALGORITHM_UNKNOWN' }),
    )
    const jwe = withHeader(sealJwe(payload, { recipients: [{ key: x.open }], random }), (header) => {
      header['alg'] = 'RSA1_5'
    })
    expect(openJwe(jwe, { keys: [x.secret] })).toEqual({ ok: false, code: 'alg-not-allowed' })
  })

  test('the keys work in Web Cryptography under the names of the standard', async () => {
    const { subtle } = webcrypto
    const rows: readonly (readonly [
      Jwk,
      webcrypto.AlgorithmIdentifier | webcrypto.EcKeyImportParams | webcrypto.HmacImportParams,
      webcrypto.KeyUsage[],
    ])[] = [
      [bare(ed.jwk), { name: 'Ed25519' }, ['sign']],
      [bare(es.jwk), { name: 'ECDSA', namedCurve: 'P-256' }, ['sign']],
      [bare(pair('P-521').jwk), { name: 'ECDH', namedCurve: 'P-521' }, ['deriveBits']],
      [bare(x.jwk), { name: 'X25519' }, ['deriveBits']],
      [oct(32, { alg: 'A256KW' }).jwk, { name: 'AES-KW' }, ['wrapKey']],
      [oct(32, { alg: 'A256GCM' }).jwk, { name: 'AES-GCM' }, ['encrypt']],
      [oct(32, { alg: 'HS256' }).jwk, { name: 'HMAC', hash: 'SHA-256' }, ['sign']],
    ]
    for (const [jwk, algorithm, usages] of rows) {
      const key = await subtle.importKey('jwk', jwk as webcrypto.JsonWebKey, algorithm, true, usages)
      const exported = (await subtle.exportKey('jwk', key)) as unknown as Jwk
      expect(readKey(exported)).toMatchObject({ ok: true })
      for (const name of ['kty', 'crv', 'x', 'y', 'd', 'k'] as const) expect(exported[name]).toBe(jwk[name])
    }
    const key = await subtle.importKey(
      'jwk',
      bare(es.jwk) as webcrypto.JsonWebKey,
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    )
    const input = `${base64url(octets({ alg: 'ES256' }))}.${base64url(payload)}`
    const signature = new Uint8Array(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, utf8(input)))
    expect(openJwm(`${input}.${base64url(signature)}`, { verifyKeys: [importKey(bare(publicJwk(es.jwk)))] })).toMatchObject({
      ok: true,
      object,
    })
  })
})

describe('serializations', () => {
  const jws = signJws(payload, { signers: [{ key: ed.secret }] })
  const jwe = sealJwe(payload, { recipients: [{ key: x.open }], random })

  test('every object has a JSON serialization, which is valid JSON', () => {
    for (const made of [toGeneralJws(jws), toFlattenedJws(jws), toGeneralJwe(jwe), toFlattenedJwe(jwe)]) {
      const text = JSON.stringify(made)
      expect(parseJsonObject(text)).toEqual({ ok: true, value: made })
      expect(readJose(text).ok).toBe(true)
    }
  })

  test('signed and encrypted objects have a compact form of URL-safe characters, and the application picks', () => {
    const parts = [{ signers: [ed.secret] }, { recipients: [x.open] }, { signers: [ed.secret], recipients: [x.open] }]
    for (const part of parts) {
      const compact = must(makeJwm(payload, { ...part, random, form: 'compact' })).jwm as string
      expect(compact).toMatch(/^[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2}(?:(?:\.[A-Za-z0-9_-]*){2})?$/)
      expect(encodeURIComponent(compact)).toBe(compact)
      const json = must(makeJwm(payload, { ...part, random, form: 'flattened' })).jwm
      for (const jwm of [compact, json])
        expect(openJwm(jwm, { keys: [x.secret], verifyKeys: [ed.open] })).toMatchObject({ object })
    }
  })

  test('two JSON texts of one payload are two payloads: what is signed are octets, and nothing is canonicalized', () => {
    const texts = ['{"a":1,"b":[]}', '{"b":[],"a":1}', '{"a":1.0,"b":[]}', ' {"a":1,"b":[]}', '{"\\u0061":1,"b":[]}']
    const signatures = texts.map((text) =>
      base64url(signJws(utf8(text), { signers: [{ key: ed.secret }] }).signatures[0]?.signature ?? utf8('')),
    )
    expect(new Set(signatures).size).toBe(texts.length)
    const [first, second] = texts.map((text) => signJws(utf8(text), { signers: [{ key: ed.secret }] }))
    expect(verifyJws({ ...second, signatures: first?.signatures ?? [] } as typeof jws, { keys: [ed.open] })).toEqual({
      ok: false,
      code: 'signature-invalid',
    })
    for (const text of texts) {
      const { jwm } = must(makeJwm(utf8(text), { signers: [ed.secret], random, form: 'compact' }))
      expect(must(openJwm(jwm, { verifyKeys: [ed.open] })).payload).toEqual(utf8(text))
    }
  })

  test('the header is extended deliberately: unknown members are let be, and refused when they are critical', () => {
    const mac = oct(32)
    const extended = (members: JsonObject) => {
      const input = `${base64url(octets({ alg: 'HS256', ...members }))}.${base64url(payload)}`
      const tag = createHmac('sha256', Buffer.from(mac.jwk.k ?? '', 'base64url'))
        .update(input)
        .digest('base64url')
      return openJwm(`${input}.${tag}`, { verifyKeys: [mac.key] })
    }
    expect(extended({ 'https://example.org/x': { y: 1 } })).toMatchObject({ ok: true, object })
    expect(extended({ 'https://example.org/x': 1, crit: ['https://example.org/x'] })).toMatchObject({
      ok: false,
      code: 'crit-unsupported',
    })
  })
})

describe('a JWK', () => {
  test('carries algorithm, curve and identifier along with the key', () => {
    const key = importKey({ ...es.jwk, alg: 'ES256', use: 'sig', key_ops: ['sign'] })
    expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', kid: 'c', alg: 'ES256', use: 'sig', keyOps: ['sign'] })
    expect(oct(32, { kid: 'k', alg: 'A256KW', use: 'enc' }).key).toMatchObject({
      kty: 'oct',
      kid: 'k',
      alg: 'A256KW',
      use: 'enc',
    })
    // What it carries is kept to.
    expect(() => sealJwe(payload, { recipients: [{ key, alg: 'ECDH-ES' }], random })).toThrow(
      expect.objectContaining({ code: 'ERR_JOSE_KEY_UNFIT' }),
    )
  })
})
