import { isJsonObject, type JsonObject, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import {
  type Backend,
  contentAlgorithms,
  generateKey,
  importKey,
  type Jwk,
  type Key,
  type KeyKind,
  backend as node,
  publicJwk,
  readJose,
  signatureAlgorithms,
  signJws,
  toCompactJws,
  toFlattenedJws,
  toGeneralJws,
  toUrlSafe,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import {
  decryptEnvelope,
  encodeAttributes,
  makeJwm,
  openJwm,
  readEnvelope,
  readSigned,
  sealMessage,
  verifySigned,
} from '@parley/jwm'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('messages')))

const random = createSimRandom('properties')
const backends = [node, noble] as const

type Pair = { readonly kid: string; readonly secret: ReadonlyMap<Backend, Key>; readonly shown: ReadonlyMap<Backend, Key> }

function pairOf(jwk: Jwk, kid: string): Pair {
  const shown = jwk.kty === 'oct' ? jwk : publicJwk(jwk)
  const prepare = (one: Jwk): ReadonlyMap<Backend, Key> =>
    new Map(backends.map((backend) => [backend, importKey({ ...one, kid }, { backend })]))
  return { kid, secret: prepare(jwk), shown: prepare(shown) }
}

const made = (kind: KeyKind, kid: string): Pair => pairOf(generateKey(kind, { random }), kid)
const secret = (bytes: number, kid: string): Pair => pairOf({ kty: 'oct', k: node.base64url(random.bytes(bytes)) }, kid)

const signers = [made('Ed25519', 'ed'), made('P-256', 'es256'), made('secp256k1', 'es256k'), secret(64, 'mac')]
const recipients = [
  made('X25519', 'x'),
  made('X25519', 'y'),
  made('P-256', 'p'),
  secret(16, 'kw16'),
  secret(24, 'kw24'),
  secret(32, 'kw32'),
]

function of(pair: Pair, which: 'secret' | 'shown', backend: Backend): Key {
  const key = pair[which].get(backend)
  if (key === undefined) throw new Error(`no key ${pair.kid}`)
  return key
}

const backend = fc.constantFrom(...backends)
const texts = fc.string({ unit: 'binary', maxLength: 20 })
const attributes = fc.record({ id: fc.constant('urn:uuid:1'), body: fc.dictionary(texts, texts, { maxKeys: 3 }) })
const payload = fc.oneof(fc.uint8Array({ maxLength: 300 }), attributes.map(encodeAttributes), texts.map(utf8))

describe('a message of any signers and recipients', () => {
  const plan = fc.record({
    payload,
    signers: fc.subarray(signers),
    recipients: fc.subarray(recipients),
    form: fc.constantFrom('general', 'flattened', 'compact', 'urlsafe', 'binary'),
    enc: fc.constantFrom(...contentAlgorithms.keys()),
    order: fc.constantFrom('sign-encrypt', 'encrypt-sign'),
    maker: backend,
    reader: backend,
    mine: fc.nat(),
  } as const)

  it('made by one backend is opened by the other, by each of its recipients and by nobody else', () => {
    const seen = { made: 0, refused: 0 }
    check(
      fc.property(plan, ({ payload, form, enc, order, maker, reader, mine, ...chosen }) => {
        const outer = chosen.recipients.length === 0 || (order === 'encrypt-sign' && chosen.signers.length > 0) ? 'jws' : 'jwe'
        const count = outer === 'jws' ? chosen.signers.length : chosen.recipients.length
        const jwm = makeJwm(payload, {
          signers: chosen.signers.map((pair) => of(pair, 'secret', maker)),
          recipients: chosen.recipients.map((pair) => of(pair, 'shown', maker)),
          random,
          form,
          enc,
          order,
        })
        const code =
          chosen.signers.length + chosen.recipients.length === 0
            ? 'nothing-secures-it'
            : isImpossible(form, outer, count)
              ? 'form-impossible'
              : undefined
        seen[jwm.ok ? 'made' : 'refused']++
        if (!jwm.ok || code !== undefined) {
          expect(jwm).toEqual({ ok: false, code })
          return
        }
        const one = chosen.recipients[mine % Math.max(1, chosen.recipients.length)]
        const keys = one === undefined ? [] : [of(one, 'secret', reader)]
        const verifyKeys = signers.map((pair) => of(pair, 'shown', reader))
        const opened = openJwm(jwm.jwm, { keys, verifyKeys })
        if (!opened.ok) throw new Error(opened.code)
        expect(Buffer.from(opened.payload).equals(payload)).toBe(true)
        const proved = opened.layers.flatMap((layer) =>
          layer.kind === 'jws' ? layer.signatures.map(({ kid, verified }) => [kid, verified]) : [],
        )
        expect(proved).toEqual(chosen.signers.map(({ kid }) => [kid, true]))
        expect(opened.layers.map((layer) => (layer.kind === 'jwe' ? layer.kid : undefined)).filter(Boolean)).toEqual(
          one === undefined ? [] : [one.kid],
        )
        const others = recipients.filter((pair) => !chosen.recipients.includes(pair)).map((pair) => of(pair, 'secret', reader))
        if (one !== undefined) expect(openJwm(jwm.jwm, { keys: others, verifyKeys }).ok).toBe(false)
        if (chosen.signers.length > 0) expect(openJwm(jwm.jwm, { keys, verifyKeys: [] }).ok).toBe(false)
      }),
      250,
    )
    expect(Math.min(seen.made, seen.refused)).toBeGreaterThan(20)
  })
})

function isImpossible(form: string, outer: 'jws' | 'jwe', count: number): boolean {
  if (form === 'binary') return outer === 'jws' || count !== 1
  return (form === 'compact' || form === 'flattened') && count !== 1
}

describe('a message of the profile', () => {
  it('is opened by each recipient, with its entry and the body, on either backend', () => {
    const plan = fc.tuple(
      attributes,
      fc.constantFrom(...signers.slice(0, 2)),
      fc.subarray([...recipients.slice(0, 3), ...recipients.slice(5)], { minLength: 1 }),
      backend,
      backend,
    )
    check(
      fc.property(plan, ([attributes, device, readers, maker, reader]) => {
        const { body, entries } = sealMessage(attributes, {
          signer: of(device, 'secret', maker),
          recipients: readers.map((pair) => ({ kid: pair.kid, key: of(pair, 'shown', maker) })),
          random,
        })
        for (const [i, pair] of readers.entries()) {
          const read = readEnvelope(entries[i]?.entry ?? new Uint8Array(0), body)
          if (!read.ok) throw new Error(read.code)
          expect(read.envelope.kid).toBe(pair.kid)
          const decrypted = decryptEnvelope(read.envelope, of(pair, 'secret', reader))
          if (!decrypted.ok) throw new Error(decrypted.code)
          const signed = readSigned(decrypted.message)
          if (!signed.ok) throw new Error(signed.code)
          expect(verifySigned(signed.signed, of(device, 'shown', reader))).toMatchObject({ ok: true, attributes })
        }
      }),
      60,
    )
  })
})

describe('signatures', () => {
  const forms = {
    compact: toCompactJws,
    flattened: toFlattenedJws,
    general: toGeneralJws,
    urlsafe: (jws: Parameters<typeof toGeneralJws>[0]) => toUrlSafe(toGeneralJws(jws)),
  } as const
  type Form = keyof typeof forms
  const names = Object.keys(forms) as Form[]

  it('hold through any row of serializations', () => {
    const able = [...signatureAlgorithms.values()].filter(({ crv, kty }) =>
      signers.some(({ secret }) => secret.get(node)?.crv === crv && secret.get(node)?.kty === kty),
    )
    const plan = fc.record({
      payload,
      row: fc.constantFrom(...able),
      path: fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 5 }),
      maker: backend,
      reader: backend,
    })
    check(
      fc.property(plan, ({ payload, row, path, maker, reader }) => {
        const pair = signers.find(({ secret }) => secret.get(node)?.crv === row.crv && secret.get(node)?.kty === row.kty)
        if (pair === undefined) throw new Error(row.alg)
        let jws = signJws(payload, { signers: [{ key: of(pair, 'secret', maker), alg: row.alg, protected: { typ: 'JWM' } }] })
        for (const form of path) {
          const text: string | JsonObject = forms[form](jws)
          const read = readJose(isJsonObject(text) ? JSON.stringify(text) : text)
          if (!read.ok || read.kind !== 'jws') throw new Error(`not read: ${form}`)
          jws = read.jws
        }
        const verified = verifyJws(jws, { keys: [of(pair, 'shown', reader)] })
        if (!verified.ok) throw new Error(verified.code)
        expect(Buffer.from(verified.payload).equals(payload)).toBe(true)
        expect(verified.signatures).toMatchObject([{ verified: true, kid: pair.kid, alg: row.alg }])
      }),
      150,
    )
  })
})
