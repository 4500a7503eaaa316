/**
 * The texts of JOSE objects: compact, Flattened, General, and base64url of a whole JSON serialization
 * (RFC 7515 §7, RFC 7516 §7 and §9, draft-looker-jwm-01 §6). Reading tells JWS from JWE and checks form, not secrets.
 * @module
 */
import {
  base64urlLength,
  fromUtf8,
  isJsonObject,
  type Json,
  type JsonObject,
  parseJsonObject,
  type Result,
  utf8,
} from '@parley/core'
import { backend } from '#backend'
import { JoseError } from './errors.ts'
import { type HeaderCode, isUnencoded, type ProtectedHeader, readProtected } from './header.ts'
import type { Jwe, JweRecipient } from './jwe.ts'
import type { Jws, JwsSignature } from './jws.ts'
import { type JoseLimits, joseLimits } from './limits.ts'
import { readQuickly } from './quick.ts'

/** What a text turned out to be. */
export type JoseObject = { readonly kind: 'jws'; readonly jws: Jws } | { readonly kind: 'jwe'; readonly jwe: Jwe }

/** Why a text is no JOSE object. */
export type SerializationCode = HeaderCode | 'serialization-malformed' | 'jws-malformed' | 'jwe-malformed'

type Read<T> = Result<T, SerializationCode>

/** How a text is read. */
export type ReadOptions = {
  /**
   * The key ids of a reader all of whose keys have one: entries of a JWE for others may come as `undefined`, unread, so
   * that a reader finds its own among a thousand without paying for them.
   */
  readonly kids?: readonly string[]
}

/** Reads a JWS or JWE in any text serialization. The octets or text must be one whole serialization and nothing else. */
export function readJose(
  input: string | Uint8Array | JsonObject,
  limits: JoseLimits = joseLimits,
  { kids }: ReadOptions = {},
): Read<JoseObject> {
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) return readObject(input, limits)
  if (input.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  const content = typeof input === 'string' ? input : backend.asciiText(input)
  // Octets that are not ASCII can only be JSON, whose parser checks their UTF-8.
  if (content === undefined) return readText(input, limits)
  if (startsObject(content)) {
    const quick = readQuickly(content, { limits, kids })
    return quick === undefined ? readText(input, limits) : { ok: true, kind: 'jwe', jwe: quick }
  }
  if (content.includes('.')) return readCompact(content, limits)
  const octets = backend.fromBase64url(content)
  return octets === undefined || octets.length === 0 ? { ok: false, code: 'serialization-malformed' } : readText(octets, limits)
}

/** Reads a compact JWS: a text, or its ASCII octets. */
export function readCompactJws(input: string | Uint8Array, limits: JoseLimits = joseLimits): Read<{ readonly jws: Jws }> {
  if (input.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  if (typeof input !== 'string' && input.length >= longOctets) return readLongJws(input, limits)
  const text = typeof input === 'string' ? input : backend.asciiText(input)
  const headerEnd = text?.indexOf('.') ?? -1
  const end = text?.indexOf('.', headerEnd + 1) ?? -1
  if (text === undefined || headerEnd < 0 || end < 0 || text.includes('.', end + 1)) return { ok: false, code: 'jws-malformed' }
  const header = readProtected(text.slice(0, headerEnd), limits)
  if (!header.ok) return header
  const content = text.slice(headerEnd + 1, end)
  const payload = isUnencoded(header.value.header) ? unencodedOctets(content) : backend.fromBase64url(content)
  const octets = typeof input === 'string' ? backend.ascii(text.slice(0, end)) : input.subarray(0, end)
  return compactJws({ header: header.value, payload, octets, signature: backend.fromBase64url(text.slice(end + 1)) })
}

// From here on a text in between costs more than all the rest of reading.
const longOctets = 4096
const period = 0x2e

function readLongJws(input: Uint8Array, limits: JoseLimits): Read<{ readonly jws: Jws }> {
  const headerEnd = input.indexOf(period)
  const end = input.lastIndexOf(period)
  const headerText = headerEnd < end ? backend.asciiText(input.subarray(0, headerEnd)) : undefined
  if (headerText === undefined) return { ok: false, code: 'jws-malformed' }
  const header = readProtected(headerText, limits)
  if (!header.ok) return header
  const content = input.subarray(headerEnd + 1, end)
  // Neither of them takes another period.
  const payload = isUnencoded(header.value.header)
    ? unencodedOctets(backend.asciiText(content) ?? '.')
    : backend.readBase64url(content)
  const signature = backend.readBase64url(input.subarray(end + 1))
  return compactJws({ header: header.value, payload, octets: input.subarray(0, end), signature })
}

type CompactParts = {
  readonly header: ProtectedHeader
  readonly payload: Uint8Array | undefined
  readonly octets: Uint8Array
  readonly signature: Uint8Array | undefined
}

function compactJws({ header, payload, octets, signature }: CompactParts): Read<{ readonly jws: Jws }> {
  if (payload === undefined || signature === undefined) return { ok: false, code: 'jws-malformed' }
  // Only canonical base64url was read, so these octets are what the payload gives again.
  const read: JwsSignature = {
    protected: header,
    unprotected: undefined,
    signature,
    covers: { protected: header, payload, octets },
  }
  return { ok: true, jws: { payload, signatures: [read] } }
}

/** The compact serialization: one signature, everything in its protected header. */
export function toCompactJws(jws: Jws): string {
  const [only, ...rest] = jws.signatures
  if (only === undefined || rest.length > 0 || only.unprotected !== undefined) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the compact form holds one signature without unprotected members')
  }
  const content =
    jws.detached === true ? '' : isUnencoded(only.protected.header) ? unencodedText(jws.payload) : backend.base64url(jws.payload)
  if (content === undefined) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the compact form cannot hold this payload unencoded: detach it')
  }
  return `${only.protected.text}.${content}.${backend.base64url(only.signature)}`
}

/** The Flattened serialization: one signature. */
export function toFlattenedJws(jws: Jws): JsonObject {
  const [only, ...rest] = jws.signatures
  if (only === undefined || rest.length > 0)
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the Flattened form holds one signature')
  const { signature, ...headers } = signatureMembers(only)
  return { ...headers, ...payloadMember(jws), signature }
}

/** The General serialization: any number of signatures. */
export function toGeneralJws(jws: Jws): JsonObject {
  return { ...payloadMember(jws), signatures: jws.signatures.map(signatureMembers) }
}

/** The compact serialization: one recipient, everything protected. */
export function toCompactJwe(jwe: Jwe): string {
  const [only, ...rest] = jwe.recipients
  if (
    only === undefined ||
    rest.length > 0 ||
    only.header !== undefined ||
    jwe.unprotected !== undefined ||
    jwe.aad !== undefined
  ) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the compact form holds one recipient, no unprotected members and no aad')
  }
  return [jwe.protected.text, ...[only.encryptedKey, jwe.iv, jwe.ciphertext, jwe.tag].map(backend.base64url)].join('.')
}

/** The Flattened serialization: one recipient. */
export function toFlattenedJwe(jwe: Jwe): JsonObject {
  const [only, ...rest] = jwe.recipients
  if (only === undefined || rest.length > 0)
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the Flattened form holds one recipient')
  return { ...headersOf(jwe), ...recipientMembers(only), ...contentOf(jwe) }
}

/** The General serialization: any number of recipients. */
export function toGeneralJwe(jwe: Jwe): JsonObject {
  return {
    ...headersOf(jwe),
    recipients: jwe.recipients.map((recipient) => (recipient === undefined ? {} : recipientMembers(recipient))),
    ...contentOf(jwe),
  }
}

/** The octets of the General serialization, as `JSON.stringify` of it; a long ciphertext never becomes a text. */
export function toGeneralJweOctets(jwe: Jwe): Uint8Array {
  const { ciphertext, ...head } = jwe
  if (ciphertext.length < 2048) return utf8(JSON.stringify(toGeneralJwe(jwe)))
  // Only base64url and a tag stand behind it.
  const text = JSON.stringify(toGeneralJwe({ ...head, ciphertext: nothing }))
  const mark = '"ciphertext":"'
  const split = text.lastIndexOf(mark) + mark.length
  const [before, behind] = [utf8(text.slice(0, split)), utf8(text.slice(split))]
  const octets = new Uint8Array(before.length + base64urlLength(ciphertext.length) + behind.length)
  octets.set(before)
  octets.set(behind, backend.writeBase64url(ciphertext, octets, before.length))
  return octets
}

const nothing = new Uint8Array(0)

/** Base64url of a whole JSON serialization, for where only URL-safe characters pass. */
export function toUrlSafe(object: JsonObject): string {
  return backend.base64url(utf8(JSON.stringify(object)))
}

function payloadMember(jws: Jws): JsonObject {
  if (jws.detached === true) return {}
  const unencoded = jws.signatures.some(({ protected: shared }) => isUnencoded(shared.header))
  const payload = unencoded ? fromUtf8(jws.payload) : backend.base64url(jws.payload)
  if (payload === undefined)
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the JSON forms hold unencoded payloads of UTF-8 only')
  return { payload }
}

// RFC 7797 §5.2: what is not printable ASCII, or holds a period, must travel apart.
function unencodedText(payload: Uint8Array): string | undefined {
  const text = backend.asciiText(payload)
  return text !== undefined && /^[ -~]*$/.test(text) && !text.includes('.') ? text : undefined
}

// RFC 7797 §5.2: printable ASCII but the period, which has no second form.
function unencodedOctets(content: string): Uint8Array | undefined {
  return /^[ --/-~]*$/.test(content) ? utf8(content) : undefined
}

function signatureMembers({
  protected: { text },
  unprotected,
  signature,
}: JwsSignature): JsonObject & { readonly signature: string } {
  return {
    ...(text === '' ? {} : { protected: text }),
    ...(unprotected === undefined ? {} : { header: unprotected }),
    signature: backend.base64url(signature),
  }
}

function headersOf({ protected: { text }, unprotected }: Jwe): JsonObject {
  return { ...(text === '' ? {} : { protected: text }), ...(unprotected === undefined ? {} : { unprotected }) }
}

function recipientMembers({ header, encryptedKey }: JweRecipient): JsonObject {
  return {
    ...(header === undefined ? {} : { header }),
    ...(encryptedKey.length === 0 ? {} : { encrypted_key: backend.base64url(encryptedKey) }),
  }
}

function contentOf({ aad, iv, ciphertext, tag }: Jwe): JsonObject {
  return {
    ...(aad === undefined ? {} : { aad: backend.base64url(aad) }),
    iv: backend.base64url(iv),
    ciphertext: backend.base64url(ciphertext),
    tag: backend.base64url(tag),
  }
}

function readText(input: string | Uint8Array, limits: JoseLimits): Read<JoseObject> {
  const { bytesMax, headerDepthMax, namesMax } = limits
  const parsed = parseJsonObject(input, { bytesMax, depthMax: headerDepthMax + 4, namesMax })
  if (parsed.ok) return readObject(parsed.value, limits)
  return { ok: false, code: parsed.code === 'json-too-large' ? 'limit-exceeded' : 'serialization-malformed' }
}

function readCompact(text: string, limits: JoseLimits): Read<JoseObject> {
  // One more than a JWE has, so that a longer text is seen to be longer.
  const parts = text.split('.', 6)
  if (parts.length === 3) {
    const read = readCompactJws(text, limits)
    return read.ok ? { ok: true, kind: 'jws', jws: read.jws } : read
  }
  const [protectedText, ...others] = parts
  if (parts.length !== 5 || protectedText === undefined) return { ok: false, code: 'serialization-malformed' }
  const header = readProtected(protectedText, limits)
  if (!header.ok) return header
  const [encryptedKey, iv, ciphertext, tag] = others.map(backend.fromBase64url)
  if (encryptedKey === undefined || iv === undefined || ciphertext === undefined || tag === undefined) {
    return { ok: false, code: 'jwe-malformed' }
  }
  const recipients = [{ header: undefined, encryptedKey }]
  return {
    ok: true,
    kind: 'jwe',
    jwe: { protected: header.value, unprotected: undefined, recipients, aad: undefined, iv, ciphertext, tag },
  }
}

function readObject(object: JsonObject, limits: JoseLimits): Read<JoseObject> {
  const isJws = Object.hasOwn(object, 'payload') || Object.hasOwn(object, 'signatures') || Object.hasOwn(object, 'signature')
  const isJwe = Object.hasOwn(object, 'ciphertext')
  if (isJws === isJwe) return { ok: false, code: 'serialization-malformed' }
  return isJws ? readJwsObject(object, limits) : readJweObject(object, limits)
}

function readJwsObject(object: JsonObject, limits: JoseLimits): Read<JoseObject> {
  const malformed = { ok: false, code: 'jws-malformed' } as const
  const content = object['payload']
  if (content !== undefined && typeof content !== 'string') return malformed
  const isGeneral = Object.hasOwn(object, 'signatures')
  // RFC 7515 §7.2.2: the members of one signature stand inside `signatures` or beside the payload, never both.
  if (isGeneral && ['signature', 'protected', 'header'].some((name) => Object.hasOwn(object, name))) return malformed
  const entries = isGeneral ? object['signatures'] : [object]
  if (!Array.isArray(entries) || entries.length === 0) return malformed
  if (entries.length > limits.signaturesMax) return { ok: false, code: 'limit-exceeded' }
  const signatures: JwsSignature[] = []
  for (const entry of entries as readonly Json[]) {
    if (!isJsonObject(entry)) return malformed
    const headers = readHeaders(entry, { unprotected: 'header', limits })
    if (!headers.ok) return headers
    const signature = octets(entry['signature'])
    if (signature === undefined) return malformed
    signatures.push({ protected: headers.protected, unprotected: headers.unprotected, signature })
  }
  const detached = content === undefined
  // RFC 7797 §3: one value for all; verifying refuses a mixture.
  const unencoded = signatures.some(({ protected: shared }) => isUnencoded(shared.header))
  // Half of a surrogate pair, which UTF-8 cannot say, comes back as another text.
  const payload = unencoded ? utf8(content ?? '') : octets(content ?? '')
  if (payload === undefined || (unencoded && fromUtf8(payload) !== (content ?? ''))) return malformed
  return { ok: true, kind: 'jws', jws: { payload, signatures, ...(detached ? { detached } : {}) } }
}

function readJweObject(object: JsonObject, limits: JoseLimits): Read<JoseObject> {
  const malformed = { ok: false, code: 'jwe-malformed' } as const
  const headers = readHeaders(object, { unprotected: 'unprotected', limits })
  if (!headers.ok) return headers
  const isGeneral = Object.hasOwn(object, 'recipients')
  if (isGeneral && ['encrypted_key', 'header'].some((name) => Object.hasOwn(object, name))) return malformed
  const entries = isGeneral ? object['recipients'] : [object]
  if (!Array.isArray(entries) || entries.length === 0) return malformed
  if (entries.length > limits.recipientsMax) return { ok: false, code: 'limit-exceeded' }
  const recipients = (entries as readonly Json[]).map(readRecipient)
  // RFC 7516 §7.2.1: `enc` is one for all, wherever it stands.
  const readable = recipients.filter((recipient) => recipient !== undefined)
  const encs = new Set(readable.map(({ header }) => header?.['enc']))
  if (readable.length === 0 || encs.size > 1) return malformed
  const aad = object['aad'] === undefined ? undefined : octets(object['aad'])
  const [iv, ciphertext, tag] = ['iv', 'ciphertext', 'tag'].map((name) => octets(object[name] ?? ''))
  if (iv === undefined || ciphertext === undefined || tag === undefined) return malformed
  // RFC 7516 §7.2.1: absent when empty.
  if (object['aad'] !== undefined && (aad === undefined || aad.length === 0)) return malformed
  return {
    ok: true,
    kind: 'jwe',
    jwe: { protected: headers.protected, unprotected: headers.unprotected, recipients, aad, iv, ciphertext, tag },
  }
}

function readRecipient(entry: Json): JweRecipient | undefined {
  if (!isJsonObject(entry)) return undefined
  const header = entry['header']
  const encryptedKey = octets(entry['encrypted_key'] ?? '')
  if (encryptedKey === undefined || (header !== undefined && !isJsonObject(header))) return undefined
  return { header, encryptedKey }
}

type Headers = { readonly protected: ProtectedHeader; readonly unprotected: JsonObject | undefined }

function readHeaders(
  object: JsonObject,
  { unprotected, limits }: { readonly unprotected: string; readonly limits: JoseLimits },
): Read<Headers> {
  const text = object['protected']
  const header = object[unprotected]
  if ((text !== undefined && typeof text !== 'string') || (header !== undefined && !isJsonObject(header))) {
    return { ok: false, code: 'header-malformed' }
  }
  const read = readProtected(text, limits)
  return read.ok ? { ok: true, protected: read.value, unprotected: header } : read
}

function octets(value: Json | undefined): Uint8Array | undefined {
  return typeof value === 'string' ? backend.fromBase64url(value) : undefined
}

// JSON texts start with a brace, maybe behind white space; base64url and compact texts never do.
function startsObject(text: string): boolean {
  return /^[ \t\r\n]*\{/.test(text)
}
