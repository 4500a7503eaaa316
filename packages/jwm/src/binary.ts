/**
 * The binary serialization (design §3.8, docs/jwm-binary.md): the same JWE as one canonical Flattened JSON text,
 * without base64. Octets and text stand for one another exactly; everything else is refused. Cut in two it is what
 * differs per recipient (the entry: header, encrypted_key) and what all share (the body).
 * @module
 */
import { fromUtf8, type JsonObject, parseJsonObject, type Result, readU32, utf8 } from '@parley/core'
import { backend, type JoseLimits, type Jwe, type JweRecipient, joseLimits } from '@parley/jose'

/** Why octets are no binary serialization, or a text is not the canonical one. */
export type BinaryCode = 'binary-malformed' | 'limit-exceeded'

/** The members of a Flattened JWE as octets; headers as the octets of their JSON texts. Absent ones are missing. */
export type JweParts = {
  readonly protected?: Uint8Array
  readonly unprotected?: Uint8Array
  readonly header?: Uint8Array
  readonly encryptedKey?: Uint8Array
  readonly aad?: Uint8Array
  readonly iv?: Uint8Array
  readonly ciphertext?: Uint8Array
  readonly tag?: Uint8Array
}

type Part = keyof JweParts

type PartRow = { readonly name: Part; readonly member: string; readonly isJson: boolean }

// The order is that of the octets and of the text; the position is the bit of the presence flag.
const parts: readonly PartRow[] = [
  { name: 'protected', member: 'protected', isJson: false },
  { name: 'unprotected', member: 'unprotected', isJson: true },
  { name: 'header', member: 'header', isJson: true },
  { name: 'encryptedKey', member: 'encrypted_key', isJson: false },
  { name: 'aad', member: 'aad', isJson: false },
  { name: 'iv', member: 'iv', isJson: false },
  { name: 'ciphertext', member: 'ciphertext', isJson: false },
  { name: 'tag', member: 'tag', isJson: false },
]

type Form = 'whole' | 'entry' | 'body'

// 0xFB stands in no UTF-8 text, so octets and texts are told apart by the first one.
const magic = [0xfb, 0x4a, 0x57] as const
const version = 1
const forms: { readonly [F in Form]: { readonly octet: number; readonly allowed: number; readonly needed: number } } = {
  whole: { octet: 0x4d, allowed: 0b11111111, needed: 0b01000000 },
  entry: { octet: 0x45, allowed: 0b00001100, needed: 0 },
  body: { octet: 0x42, allowed: 0b11110011, needed: 0b01000000 },
}
const prefixBytes = 6

/** Tells the binary serialization from the text ones. */
export function isBinary(bytes: Uint8Array): boolean {
  return magic.every((octet, i) => bytes[i] === octet)
}

/** The binary serialization of a JWE with one recipient. */
export function writeBinary(jwe: Jwe): Uint8Array {
  const [only, ...rest] = jwe.recipients
  if (only === undefined || rest.length > 0) throw new RangeError('the binary serialization holds one recipient')
  return write('whole', { ...sharedParts(jwe), ...entryParts(only) })
}

/** The shared body, and one entry per recipient, in the order of the recipients. */
export function writeCut(jwe: Jwe): { readonly body: Uint8Array; readonly entries: readonly Uint8Array[] } {
  return {
    body: write('body', sharedParts(jwe)),
    entries: jwe.recipients.map((recipient) => write('entry', recipient === undefined ? {} : entryParts(recipient))),
  }
}

/** Reads the binary serialization. */
export function readBinary(bytes: Uint8Array, limits: JoseLimits = joseLimits): Result<{ readonly jwe: Jwe }, BinaryCode> {
  const read = readForm(bytes, 'whole', limits)
  return read.ok ? { ok: true, jwe: toJwe(read.parts, read.headers) } : read
}

/** Reads one entry and the shared body as the JWE they are together. */
export function readCut(
  entry: Uint8Array,
  body: Uint8Array,
  limits: JoseLimits = joseLimits,
): Result<{ readonly jwe: Jwe }, BinaryCode> {
  const own = readForm(entry, 'entry', limits)
  if (!own.ok) return own
  const shared = readForm(body, 'body', limits)
  if (!shared.ok) return shared
  return { ok: true, jwe: toJwe({ ...shared.parts, ...own.parts }, { ...shared.headers, ...own.headers }) }
}

/** Cuts a binary serialization into its entry and its body. */
export function splitBinary(bytes: Uint8Array): Result<{ readonly entry: Uint8Array; readonly body: Uint8Array }, BinaryCode> {
  const read = readForm(bytes, 'whole', joseLimits)
  if (!read.ok) return read
  const { header, encryptedKey, ...shared } = read.parts
  const own = { ...(header === undefined ? {} : { header }), ...(encryptedKey === undefined ? {} : { encryptedKey }) }
  return { ok: true, entry: write('entry', own), body: write('body', shared) }
}

/** Joins an entry and a body. */
export function joinBinary(entry: Uint8Array, body: Uint8Array): Result<{ readonly bytes: Uint8Array }, BinaryCode> {
  const own = readForm(entry, 'entry', joseLimits)
  if (!own.ok) return own
  const shared = readForm(body, 'body', joseLimits)
  return shared.ok ? { ok: true, bytes: write('whole', { ...shared.parts, ...own.parts }) } : shared
}

/** The canonical Flattened JSON text of a binary serialization. */
export function fromBinary(bytes: Uint8Array, limits: JoseLimits = joseLimits): Result<{ readonly text: string }, BinaryCode> {
  const read = readForm(bytes, 'whole', limits)
  if (!read.ok) return read
  const members: string[] = []
  for (const { name, member, isJson } of parts) {
    const octets = read.parts[name]
    // Headers were found to be UTF-8 when they were read.
    if (octets !== undefined) members.push(`"${member}":${isJson ? fromUtf8(octets) : `"${backend.base64url(octets)}"`}`)
  }
  return { ok: true, text: `{${members.join(',')}}` }
}

/** The binary serialization of a canonical Flattened JSON text; any other text is refused, also another text of the same JWE. */
export function toBinary(text: string, limits: JoseLimits = joseLimits): Result<{ readonly bytes: Uint8Array }, BinaryCode> {
  if (text.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  const malformed = { ok: false, code: 'binary-malformed' } as const
  const found: { -readonly [P in Part]?: Uint8Array } = {}
  let at = 0
  for (const { name, member, isJson } of parts) {
    const start = `${at === 0 ? '{' : ','}"${member}":`
    if (!text.startsWith(start, at)) continue
    at += start.length
    const end = isJson ? endOfObject(text, at) : text.indexOf('"', at + 1) + 1
    if (end <= at || (!isJson && text[at] !== '"')) return malformed
    const octets = isJson ? utf8(text.slice(at, end)) : backend.fromBase64url(text.slice(at + 1, end - 1))
    if (octets === undefined) return malformed
    found[name] = octets
    at = end
  }
  if (at === 0 || text.slice(at) !== '}') return malformed
  const bytes = write('whole', found)
  // The reader has the rules for the parts themselves: one place for both directions. Half of a surrogate pair, which
  // UTF-8 cannot say, shows as another text.
  const back = fromBinary(bytes, limits)
  if (!back.ok) return back
  return back.text === text ? { ok: true, bytes } : malformed
}

function sharedParts({ protected: { text }, unprotected, aad, iv, ciphertext, tag }: Jwe): JweParts {
  const octets = text === '' ? undefined : backend.fromBase64url(text)
  return {
    ...(octets === undefined ? {} : { protected: octets }),
    ...(unprotected === undefined ? {} : { unprotected: utf8(JSON.stringify(unprotected)) }),
    ...(aad === undefined ? {} : { aad }),
    ...(iv.length === 0 ? {} : { iv }),
    ciphertext,
    ...(tag.length === 0 ? {} : { tag }),
  }
}

function entryParts({ header, encryptedKey }: JweRecipient): JweParts {
  return {
    ...(header === undefined ? {} : { header: utf8(JSON.stringify(header)) }),
    ...(encryptedKey.length === 0 ? {} : { encryptedKey }),
  }
}

// Written for each recipient of each message: no iterators and no views.
function write(form: Form, given: JweParts): Uint8Array {
  const present: Uint8Array[] = []
  let flags = 0
  let length = prefixBytes
  for (let bit = 0; bit < parts.length; bit++) {
    const octets = given[(parts[bit] as PartRow).name]
    if (octets === undefined) continue
    flags |= 1 << bit
    length += 4 + octets.length
    present.push(octets)
  }
  const bytes = new Uint8Array(length)
  bytes[0] = magic[0]
  bytes[1] = magic[1]
  bytes[2] = magic[2]
  bytes[3] = forms[form].octet
  bytes[4] = version
  bytes[5] = flags
  let at = prefixBytes
  for (const { length: partBytes } of present) {
    bytes[at] = partBytes >>> 24
    bytes[at + 1] = partBytes >>> 16
    bytes[at + 2] = partBytes >>> 8
    bytes[at + 3] = partBytes
    at += 4
  }
  for (const octets of present) {
    bytes.set(octets, at)
    at += octets.length
  }
  return bytes
}

type HeaderPart = 'protected' | 'unprotected' | 'header'
type Headers = { readonly [P in HeaderPart]?: JsonObject }

function readForm(
  bytes: Uint8Array,
  form: Form,
  limits: JoseLimits,
): Result<{ readonly parts: JweParts; readonly headers: Headers }, BinaryCode> {
  if (bytes.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  const malformed = { ok: false, code: 'binary-malformed' } as const
  const { octet, allowed, needed } = forms[form]
  const flags = bytes[5]
  if (!isBinary(bytes) || bytes[3] !== octet || bytes[4] !== version || flags === undefined) return malformed
  if ((flags & ~allowed) !== 0 || (flags & needed) !== needed) return malformed
  const present = parts.filter((_, bit) => (flags & (1 << bit)) !== 0)
  const found: { -readonly [P in Part]?: Uint8Array } = {}
  const headers: { -readonly [P in HeaderPart]?: JsonObject } = {}
  let at = prefixBytes + 4 * present.length
  for (const [i, { name, isJson }] of present.entries()) {
    const length = readU32(bytes, prefixBytes + 4 * i)
    // Absent when empty, but for the ciphertext of an empty message.
    if (length === undefined || at + length > bytes.length || (length === 0 && name !== 'ciphertext')) return malformed
    const octets = bytes.subarray(at, at + length)
    if (name === 'protected' || name === 'unprotected' || name === 'header') {
      if (length > limits.headerBytesMax) return { ok: false, code: 'limit-exceeded' }
      const header = readHeader(octets, limits)
      if (header === undefined || (isJson && !isCompact(octets))) return malformed
      headers[name] = header
    }
    found[name] = octets
    at += length
  }
  return at === bytes.length ? { ok: true, parts: found, headers } : malformed
}

// A header without members is absent (RFC 7516 §7.2.1).
function readHeader(octets: Uint8Array, limits: JoseLimits): JsonObject | undefined {
  const parsed = parseJsonObject(octets, { bytesMax: limits.headerBytesMax, depthMax: limits.headerDepthMax })
  return parsed.ok && Object.keys(parsed.value).length > 0 ? parsed.value : undefined
}

function isCompact(octets: Uint8Array): boolean {
  const text = fromUtf8(octets) ?? ''
  return endOfObject(text, 0) === text.length
}

/** Where the JSON object that starts at `start` ends, or -1 when there is none or white space stands between its tokens. */
function endOfObject(text: string, start: number): number {
  if (text[start] !== '{') return -1
  let depth = 0
  for (let i = start; i < text.length; i++) {
    const character = text[i]
    if (character === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++
    } else if (character === '{' || character === '[') {
      depth++
    } else if (character === '}' || character === ']') {
      depth--
      if (depth === 0) return i + 1
    } else if (character === ' ' || character === '\t' || character === '\n' || character === '\r') {
      return -1
    }
  }
  return -1
}

const empty = new Uint8Array(0)

function toJwe(found: JweParts, headers: Headers): Jwe {
  const text = found.protected === undefined ? '' : backend.base64url(found.protected)
  return {
    protected: { text, header: headers.protected ?? {} },
    unprotected: headers.unprotected,
    recipients: [{ header: headers.header, encryptedKey: found.encryptedKey ?? empty }],
    aad: found.aad,
    iv: found.iv ?? empty,
    ciphertext: found.ciphertext ?? empty,
    tag: found.tag ?? empty,
  }
}
