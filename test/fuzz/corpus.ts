/**
 * What the fuzzer changes: a valid object per algorithm row and serialization, nested, with several readers and signers,
 * detached and unencoded, and of the message profile. Each bears the truth about itself.
 * @module
 */
import { fromBase64url, fromUtf8, type JsonObject, utf8 } from '@parley/core'
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import {
  contentAlgorithms,
  detachPayload,
  type Jwe,
  type Jws,
  type Key,
  keyManagementAlgorithms,
  type Recipient,
  type SignatureAlgorithm,
  type Signer,
  sealJwe,
  signatureAlgorithms,
  signJws,
  toCompactJwe,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
  toUrlSafe,
} from '@parley/jose'
import { encodeAttributes, readCut, sealSigned, signMessage, writeBinary, writeCut } from '@parley/jwm'
import type { Ring } from './keys.ts'
import type { Layer, TrueLayer, Truth } from './verdict.ts'

export type Form = 'compact' | 'json' | 'urlsafe' | 'binary' | 'cut' | 'profile'

export type Subject = {
  readonly label: string
  readonly form: Form
  /** One text or octet string; entry and body when cut; text and payload when detached. */
  readonly parts: readonly (string | Uint8Array)[]
  readonly detached: boolean
  readonly truth: Truth
  /** The algorithm row it stands for, if one. */
  readonly row: string | undefined
  /** How much an opening costs: dear ones are taken seldom. */
  readonly cost: Cost
}

export type Cost = 'cheap' | 'fair' | 'dear'

/** Fewest PBKDF2 iterations that a reader takes: the fuzzer derives thousands of keys. */
const iterations = 1000

type Lab = { readonly ring: Ring; readonly signing: Ring; readonly random: SimRandom }

/**
 * Makes the corpus with the keys of `ring`. Signatures are made with those of `signing`, where it has them: a backend with
 * deterministic ECDSA makes the same corpus of the same seed (RSA keys use randomness of their own).
 */
export function makeCorpus(seed: number | string, { ring, signing }: { readonly ring: Ring; readonly signing: Ring }): Subject[] {
  const lab: Lab = { ring, signing, random: createSimRandom(`${seed}/corpus`) }
  return [
    ...signatureRows(lab),
    ...severalSignatures(lab),
    ...encryptionRows(lab),
    ...severalRecipients(lab),
    ...compressed(lab),
    ...nested(lab),
    ...profile(lab),
  ]
}

const attributes = {
  id: 'urn:uuid:5f0cdb65-3a55-4dcd-a5d5-77dcf6b3f5ba',
  type: 'urn:parley:fuzz:1:text',
  body: { text: 'hello' },
}

function payloadOf({ random }: Lab): Uint8Array {
  return random.chance(0.5)
    ? encodeAttributes({ ...attributes, threadId: `t${random.int(1e6)}` })
    : random.bytes(8 + random.int(200))
}

/** Long enough that readers have quicker ways for it. */
function longPayload({ random }: Lab): Uint8Array {
  return random.bytes(2000 + random.int(3000))
}

function costOf(kids: readonly string[]): Cost {
  if (kids.some((kid) => /P-384|P-521|password|rsa|ML-DSA/.test(kid))) return 'dear'
  return kids.some((kid) => /P-256|secp256k1/.test(kid)) ? 'fair' : 'cheap'
}

function signerKey({ ring, signing }: Lab, kid: string): Key {
  const key = signing.keys.get(kid) ?? ring.keys.get(kid)
  if (key === undefined) throw new Error(`no key ${kid}`)
  return key
}

function recipientKey({ ring }: Lab, kid: string): Key {
  const key = ring.keys.get(kid)
  if (key === undefined) throw new Error(`no key ${kid}`)
  return key
}

// What a JWS says for sure.
function layerOfJws(jws: Jws): TrueLayer {
  const signatures = jws.signatures.map(({ protected: { header }, unprotected }) => ({
    who: `${String(header['kid'] ?? unprotected?.['kid'])} ${String(header['alg'])}`,
    header: JSON.stringify(header),
  }))
  return { kind: 'jws', content: jws.payload, signatures }
}

type Opened = Extract<Layer, { kind: 'jwe' }>

function layerOfJwe(jwe: Jwe, content: Uint8Array, openers: readonly string[]): TrueLayer {
  const header = jwe.protected.header
  const rest: Omit<Opened, 'opener' | 'aad'> & { readonly committed: boolean } = {
    kind: 'jwe',
    enc: String(header['enc']),
    header: JSON.stringify(header),
    committed: header['ckc'] !== undefined,
  }
  return { ...rest, content, openers, aad: String(jwe.aad ?? '') }
}

type About = { readonly label: string; readonly truth: Truth; readonly row?: string; readonly cost: Cost }

function subject(form: Form, parts: readonly (string | Uint8Array)[], about: About, detached = false): Subject {
  return { row: undefined, ...about, label: `${about.label} ${form}${detached ? ' detached' : ''}`, form, parts, detached }
}

function formsOfJws(jws: Jws, about: About): Subject[] {
  const apart = detachPayload(jws)
  const texts = (object: JsonObject): string => JSON.stringify(object)
  const alone = jws.signatures.length === 1
  const isPlain = jws.signatures.every(({ protected: { header } }) => header['b64'] !== false)
  const isCompact = alone && jws.signatures[0]?.unprotected === undefined
  return [
    ...(isCompact && isPlain ? [subject('compact', [toCompactJws(jws)], about)] : []),
    ...(isCompact ? [subject('compact', [toCompactJws(apart), jws.payload], about, true)] : []),
    ...(alone ? [subject('json', [texts(toFlattenedJws(jws))], about)] : []),
    ...(alone ? [subject('json', [texts(toFlattenedJws(apart)), jws.payload], about, true)] : []),
    subject('json', [texts(toGeneralJws(jws))], about),
    subject('urlsafe', [toUrlSafe(toGeneralJws(jws))], about),
    subject('json', [texts(toGeneralJws(apart)), jws.payload], about, true),
  ]
}

function formsOfJwe(jwe: Jwe, about: About): Subject[] {
  const alone = jwe.recipients.length === 1
  const { body, entries } = writeCut(jwe)
  return [
    ...(alone ? [subject('json', [JSON.stringify(toFlattenedJwe(jwe))], about)] : []),
    ...(alone ? [subject('binary', [writeBinary(jwe)], about)] : []),
    ...entries.map((entry) => subject('cut', [entry, body], about)),
    subject('json', [JSON.stringify(toGeneralJwe(jwe))], about),
    subject('urlsafe', [toUrlSafe(toGeneralJwe(jwe))], about),
  ]
}

function kidOfSignature({ kty, crv, alg }: SignatureAlgorithm): string {
  if (kty === 'RSA') return 'rsa'
  return `sig-${kty === 'oct' ? kty : (crv ?? alg)}`
}

/** The rows whose keys the ring has: RSA stands on Node alone. */
function signatureRows(lab: Lab): Subject[] {
  return [...signatureAlgorithms.values()]
    .filter((row) => lab.ring.keys.has(kidOfSignature(row)))
    .flatMap((row) => {
      const kid = kidOfSignature(row)
      const key = signerKey(lab, kid)
      const about = { row: row.alg, cost: costOf(kid === 'rsa' ? [] : [kid]) }
      const make = (label: string, signer: Omit<Signer, 'key' | 'alg'>, unencoded = false): Subject[] => {
        // A payload of its own: whoever signed the same is a true signer of it.
        const payload = unencoded ? utf8(`in the clear, ${row.alg}`) : payloadOf(lab)
        const jws = signJws(payload, { signers: [{ key, alg: row.alg, ...signer }], unencoded })
        return formsOfJws(jws, { ...about, label: `${row.alg}${label}`, truth: [layerOfJws(jws)] })
      }
      return [
        ...make('', { protected: { typ: 'JWM' } }),
        ...make(' +header', { unprotected: { kid, note: 'x' } }),
        ...make(' unencoded', {}, true),
      ]
    })
}

function severalSignatures(lab: Lab): Subject[] {
  return [
    ['sig-Ed25519', 'sig-P-256'],
    ['sig-Ed25519', 'sig-oct', 'sig-secp256k1'],
  ].flatMap((kids) => {
    const signers = kids.map((kid) => ({ key: signerKey(lab, kid), protected: { typ: 'JWM' } }))
    const jws = signJws(payloadOf(lab), { signers })
    return formsOfJws(jws, { label: kids.join('+'), truth: [layerOfJws(jws)], cost: 'fair' })
  })
}

/** The kids that can stand behind a key management row, for one content algorithm. */
function kidsOf(mode: string, kekBytes: number | undefined, keyBytes: number): readonly string[] {
  if (mode === 'agree' || mode === 'agree-wrap') return ['enc-X25519', 'enc-P-256', 'enc-P-384', 'enc-P-521']
  if (mode === 'encrypt') return ['rsa']
  if (mode === 'password') return ['enc-password']
  return [`enc-oct-${mode === 'direct' ? keyBytes : kekBytes}`]
}

function encryptionRows(lab: Lab): Subject[] {
  const { random } = lab
  const rows = [...keyManagementAlgorithms.values()].flatMap(({ alg, mode, kekBytes }) =>
    [...contentAlgorithms.values()].flatMap(({ enc, keyBytes }) =>
      kidsOf(mode, kekBytes, keyBytes)
        .filter((kid) => lab.ring.keys.has(kid))
        .map((kid) => ({ alg, enc, kid })),
    ),
  )
  return rows.flatMap(({ alg, enc, kid }) => {
    const payload = random.chance(0.15) ? longPayload(lab) : payloadOf(lab)
    const recipients: Recipient[] = [{ key: recipientKey(lab, kid), alg }]
    const shared = { recipients, random, enc, passwordIterations: iterations, protected: { typ: 'JWM' } }
    const jwe = sealJwe(payload, {
      ...shared,
      ...(random.chance(0.3) ? { aad: random.bytes(9) } : {}),
      ...(random.chance(0.3) ? { unprotected: { note: 'shared' } } : {}),
    })
    const packed = sealJwe(payload, { ...shared, allProtected: true })
    const openers = [`${kid} ${alg}`]
    const label = `${alg} ${kid} ${enc}`
    const about = { label, row: alg, cost: costOf([kid]) }
    return [
      subject('compact', [toCompactJwe(packed)], { ...about, truth: [layerOfJwe(packed, payload, openers)] }),
      ...formsOfJwe(jwe, { ...about, truth: [layerOfJwe(jwe, payload, openers)] }),
    ]
  })
}

const mixtures: readonly (readonly (readonly [string, string])[])[] = [
  [
    ['enc-oct-32', 'A256KW'],
    ['enc-X25519', 'ECDH-ES+A256KW'],
  ],
  [
    ['enc-X25519', 'ECDH-ES+A256KW'],
    ['enc-P-256', 'ECDH-ES+A256KW'],
    ['enc-oct-32', 'A256KW'],
  ],
  [
    ['enc-oct-16', 'A128KW'],
    ['enc-oct-24', 'A192GCMKW'],
    ['enc-oct-32', 'A256KW'],
    ['enc-X25519', 'ECDH-ES+A128KW'],
  ],
]

function sealMixture(
  lab: Lab,
  payload: Uint8Array,
  mixture: readonly (readonly [string, string])[],
  more = {},
): [Jwe, TrueLayer] {
  const recipients = mixture.map(([kid, alg]) => ({ key: recipientKey(lab, kid), alg }))
  const jwe = sealJwe(payload, { recipients, random: lab.random, protected: { typ: 'JWM', ...more } })
  const openers = mixture.map(([kid, alg]) => `${kid} ${alg}`)
  return [jwe, layerOfJwe(jwe, payload, openers)]
}

function severalRecipients(lab: Lab): Subject[] {
  return mixtures.flatMap((mixture) =>
    // Several each, so that parts of one can be moved into another for the same readers.
    [1, 2, 3, 4].flatMap((nth) => {
      const [jwe, layer] = sealMixture(lab, nth < 3 ? payloadOf(lab) : longPayload(lab), mixture)
      const cost = costOf(mixture.map(([kid]) => kid))
      return formsOfJwe(jwe, { label: `${mixture.map(([kid]) => kid).join('+')} #${nth}`, truth: [layer], cost })
    }),
  )
}

function compressed(lab: Lab): Subject[] {
  // Only Node has DEFLATE.
  if (lab.ring.backend.deflate === undefined) return []
  return ['A256GCM', 'A128CBC-HS256'].flatMap((enc) => {
    const payload = utf8('again and again, '.repeat(20))
    const recipients = [{ key: recipientKey(lab, 'enc-X25519') }]
    const jwe = sealJwe(payload, { recipients, random: lab.random, enc, zip: 'DEF' })
    const layer = layerOfJwe(jwe, payload, ['enc-X25519 ECDH-ES+A256KW'])
    return formsOfJwe(jwe, { label: `compressed ${enc}`, truth: [layer], cost: 'cheap' }).filter(({ form }) => form !== 'urlsafe')
  })
}

function nested(lab: Lab): Subject[] {
  const text = { typ: 'JWM', cty: 'JWM' }
  const signer = { key: signerKey(lab, 'sig-Ed25519') }
  return mixtures.slice(0, 2).flatMap((mixture) => {
    const signed = signJws(encodeAttributes(attributes), { signers: [{ ...signer, protected: { typ: 'JWM' } }] })
    const [outer, sealedLayer] = sealMixture(lab, utf8(toCompactJws(signed)), mixture, { cty: 'JWM' })
    const [inner, innerLayer] = sealMixture(lab, encodeAttributes(attributes), mixture)
    const around = signJws(utf8(JSON.stringify(toGeneralJwe(inner))), { signers: [{ ...signer, protected: text }] })
    const cost = costOf(mixture.map(([kid]) => kid))
    return [
      ...formsOfJwe(outer, { label: 'signed, encrypted', truth: [sealedLayer, layerOfJws(signed)], cost }),
      ...formsOfJws(around, { label: 'encrypted, signed', truth: [layerOfJws(around), innerLayer], cost }),
    ]
  })
}

function profile(lab: Lab): Subject[] {
  const { random } = lab
  return ['sig-Ed25519', 'sig-P-256'].flatMap((device) => {
    const kids = ['enc-X25519', 'enc-oct-32', 'enc-P-256']
    const recipients = kids.map((kid) => ({ kid, key: recipientKey(lab, kid) }))
    const signed = signMessage(attributes, { signer: signerKey(lab, device) })
    const { body, entries } = sealSigned(signed, { recipients, random })
    const [headerText = ''] = signed.split('.')
    const header = fromUtf8(fromBase64url(headerText) ?? new Uint8Array(0)) ?? ''
    const signature = { who: `${device} ${device === 'sig-Ed25519' ? 'EdDSA' : 'ES256'}`, header }
    const inner: TrueLayer = { kind: 'jws', content: encodeAttributes(attributes), signatures: [signature] }
    return entries.map(({ kid, entry }) => {
      const read = readCut(entry, body)
      if (!read.ok) throw new Error(`not read: ${read.code}`)
      const outer = layerOfJwe(read.jwe, utf8(signed), [`${kid} ${kid === 'enc-oct-32' ? 'A256KW' : 'ECDH-ES+A256KW'}`])
      const cost = costOf([kid, device])
      return subject('profile', [entry, body], { label: `${device} to ${kid}`, truth: [outer, inner], cost })
    })
  })
}
