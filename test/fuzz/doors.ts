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
// What JSON texts of objects are held to: a few levels around the headers.
const jsonLimits = { bytesMax: limits.bytesMax, depthMax: limits.headerDepthMax + 4 }
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
  if (first instanceof Uint8Array && isBinary(first)) {
    const read = readBinary(first, limits)
    return read.ok ? openObject({ kind: 'jwe', jwe: read.jwe }, reader, aside) : read
  }
  const read = readJose(first, limits)
  const outcome = read.ok ? openObject(read, reader, aside) : read
  if (isObjectText(first)) requireSame(outcome, { first, reader, aside })
  return outcome
}

function isObjectText(part: string | Uint8Array): boolean {
  return (typeof part === 'string' ? part.charCodeAt(0) : part[0]) === 0x7b
}

type Again = { readonly first: string | Uint8Array; readonly reader: Reader; readonly aside: Uint8Array | undefined }

/** A text, the object that it is, and the text for a reader who names its keys must all be read alike. */
function requireSame(outcome: Outcome, { first, reader, aside }: Again): void {
  const parsed = parseJsonObject(first, jsonLimits)
  const read: ReturnType<typeof readJose> = parsed.ok
    ? readJose(parsed.value, limits)
    : { ok: false, code: 'serialization-malformed' }
  const careful = read.ok ? openObject(read, reader, aside) : read
  if (shown(careful) !== shown(outcome)) throw new Error(`a text is read as ${shown(outcome)}, its object as ${shown(careful)}`)
  const kids = reader.open.map(({ kid }) => kid ?? '')
  const sought = readJose(first, limits, { kids })
  const found = sought.ok ? openObject(sought, reader, aside) : sought
  // Entries for others are not looked into then, so that a refusal may have another reason.
  if (found.ok !== outcome.ok || (found.ok && shown(found) !== shown(outcome)))
    throw new Error(`a text is read as ${shown(outcome)}, for a reader with names as ${shown(found)}`)
}

function shown(outcome: Outcome): string {
  return outcome.ok ? `${Buffer.from(outcome.payload).toString('base64')} ${JSON.stringify(outcome.layers)}` : outcome.code
}

const octets = (part: string | Uint8Array): Uint8Array => (typeof part === 'string' ? new TextEncoder().encode(part) : part)

function openObject(object: JoseObject, { open, verify, require }: Reader, payload: Uint8Array | undefined): Outcome {
  if (object.kind === 'jwe') {
    const opened = openJwe(object.jwe, { keys: open, algorithms, limits, zip: true })
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
  const parsed = isObjectText(input) && input.length % 2 === 0 ? parseJsonObject(input, jsonLimits) : undefined
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
