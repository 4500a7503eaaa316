/**
 * The ways in that a hostile object can take: read and open (@parley/jose), open a message of any layers, an entry with
 * its body, and the message profile (@parley/jwm). Each answers with what it proved, in one form.
 * @module
 */
import { type JsonObject, parseJsonObject } from '@parley/core'
import { type JoseObject, joseLimits, type Key, keyManagementAlgorithms, openJwe, readJose, verifyJws } from '@parley/jose'
import {
  decryptEnvelope,
  isBinary,
  jwmLimits,
  openJwm,
  readBinary,
  readCut,
  readEnvelope,
  readSigned,
  verifySigned,
} from '@parley/jwm'
import type { Layer, Outcome, Signature } from './verdict.ts'

export type Door = 'jose' | 'jwm' | 'cut' | 'profile'

/** What is handed in: one text, octet string or object; two where an object travels in two parts. */
export type Input = { readonly parts: readonly (string | Uint8Array)[]; readonly detached: boolean }

export type Reader = {
  readonly open: readonly Key[]
  readonly verify: readonly Key[]
  /** Which signatures must hold. */
  readonly require?: 'all' | 'any'
}

export type Opener = (door: Door, input: Input, reader: Reader) => Outcome

// Passwords are the one work that a header asks for by a number; the fuzzer has thousands of them.
const limits = { ...joseLimits, passwordIterationsMax: 20_000 }
const jwm = { ...jwmLimits, jose: limits }
const algorithms: readonly string[] = [...keyManagementAlgorithms.keys()]

/** Opens `input` through `door`. */
export const open: Opener = (door, { parts, detached }, reader) => {
  const [first = '', second = ''] = parts
  const aside = detached && second instanceof Uint8Array ? second : undefined
  if (door === 'profile') return openProfile(octets(first), octets(second), reader)
  if (door === 'cut') {
    const read = readCut(octets(first), octets(second), limits)
    return read.ok ? openObject({ kind: 'jwe', jwe: read.jwe }, reader, undefined) : read
  }
  if (door === 'jwm') return openLayers(first, reader, aside)
  const read = first instanceof Uint8Array && isBinary(first) ? readBinary(first, limits) : readJose(first, limits)
  if (!read.ok) return read
  return openObject('kind' in read ? read : { kind: 'jwe', jwe: read.jwe }, reader, aside)
}

const octets = (part: string | Uint8Array): Uint8Array => (typeof part === 'string' ? new TextEncoder().encode(part) : part)

function openObject(object: JoseObject, { open, verify, require }: Reader, payload: Uint8Array | undefined): Outcome {
  if (object.kind === 'jwe') {
    const opened = openJwe(object.jwe, { keys: open, algorithms, limits })
    if (!opened.ok) return opened
    const { key, alg, enc, protectedHeader, aad, committed, plaintext } = opened
    const layer: Layer = {
      kind: 'jwe',
      opener: `${nameOf(key, open)} ${alg}`,
      enc,
      header: JSON.stringify(protectedHeader),
      aad: String(aad ?? ''),
      committed,
    }
    return { ok: true, payload: plaintext, layers: [layer] }
  }
  const verified = verifyJws(object.jws, {
    keys: verify,
    limits,
    ...(payload === undefined ? {} : { payload }),
    ...(require === undefined ? {} : { require }),
  })
  if (!verified.ok) return verified
  const signatures: Signature[] = verified.signatures
    .filter((report) => report.verified)
    .map(({ key, alg, protectedHeader }) => ({ who: `${nameOf(key, verify)} ${alg}`, header: JSON.stringify(protectedHeader) }))
  return { ok: true, payload: verified.payload, layers: [{ kind: 'jws', signatures }] }
}

// A key that the reader did not hold has no name here, whatever it calls itself.
function nameOf(key: Key | undefined, held: readonly Key[]): string {
  return key !== undefined && held.includes(key) ? (key.kid ?? '') : 'a stranger'
}

function openLayers(input: string | Uint8Array, { open, verify, require }: Reader, payload: Uint8Array | undefined): Outcome {
  const parsed = typeof input === 'string' && input.startsWith('{') && input.length % 2 === 0 ? parseJsonObject(input) : undefined
  // Callers hand over parsed objects as well; texts that no strict parser takes stay texts.
  const given: string | Uint8Array | JsonObject = parsed?.ok === true ? parsed.value : input
  const opened = openJwm(given, {
    keys: open,
    verifyKeys: verify,
    algorithms: { jwe: algorithms },
    limits: jwm,
    ...(payload === undefined ? {} : { payload }),
    ...(require === undefined ? {} : { require }),
  })
  if (!opened.ok) return opened
  const layers = opened.layers.map((layer): Layer => {
    if (layer.kind === 'jwe') {
      const { kid, alg, enc, header, aad } = layer
      return { kind: 'jwe', opener: `${kid} ${alg}`, enc, header: JSON.stringify(header), aad: String(aad ?? '') }
    }
    const held = layer.signatures.filter(({ verified }) => verified)
    return { kind: 'jws', signatures: held.map(({ kid, alg }) => ({ who: `${kid} ${alg}` })) }
  })
  const { signedBy, passedOnBy } = opened.proved
  return { ok: true, payload: opened.payload, layers, authors: signedBy, carriers: passedOnBy }
}

function openProfile(entry: Uint8Array, body: Uint8Array, { open, verify }: Reader): Outcome {
  const read = readEnvelope(entry, body, { limits: jwm })
  if (!read.ok) return read
  const key = open.find(({ kid }) => kid === read.envelope.kid)
  if (key === undefined) return { ok: false, code: 'key-unknown' }
  const decrypted = decryptEnvelope(read.envelope, key, jwm)
  if (!decrypted.ok) return decrypted
  const signed = readSigned(decrypted.message, jwm)
  if (!signed.ok) return signed
  const device = verify.find(({ kid }) => kid === signed.signed.kid)
  if (device === undefined) return { ok: false, code: 'key-unknown' }
  const verified = verifySigned(signed.signed, device, jwm)
  if (!verified.ok) return verified
  const { alg, enc, jwe } = read.envelope
  const outer: Layer = { kind: 'jwe', opener: `${key.kid} ${alg}`, enc, header: JSON.stringify(jwe.protected.header) }
  const header = JSON.stringify(signed.signed.jws.signatures[0]?.protected.header)
  const inner: Layer = { kind: 'jws', signatures: [{ who: `${device.kid} ${signed.signed.alg}`, header }] }
  return { ok: true, payload: signed.signed.payload, layers: [outer, inner] }
}
