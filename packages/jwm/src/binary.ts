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

type Part = 'protected' | 'unprotected' | 'header' | 'encrypted_key' | 'aad' | 'iv' | 'ciphertext' | 'tag'

// The members of a Flattened JWE in the order of the octets and of the text; the position is the bit of the presence flag.
const parts: readonly Part[] = ['protected', 'unprotected', 'header', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag']
// Those that are JSON objects in the text; their octets are those of the JSON.
const jsonParts: readonly Part[] = ['unprotected', 'header']
const [protectedAt, unprotectedAt, headerAt, keyAt, aadAt, ivAt, ciphertextAt, tagAt] = [0, 1, 2, 3, 4, 5, 6, 7] as const

/** The octets of each member, by its position; `undefined` for one that is absent. */
type Members = readonly (Uint8Array | undefined)[]

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
  return write('whole', membersOf(jwe, only))
}

/** The shared body, and one entry per recipient, in the order of the recipients. */
export function writeCut(jwe: Jwe): { readonly body: Uint8Array; readonly entries: readonly Uint8Array[] } {
  return {
    body: write('body', membersOf(jwe, undefined)),
    entries: jwe.recipients.map((recipient) => write('entry', membersOf(undefined, recipient))),
  }
}

/** Reads the binary serialization. */
export function readBinary(bytes: Uint8Array, limits: JoseLimits = joseLimits): Result<{ readonly jwe: Jwe }, BinaryCode> {
  const read = readForm(bytes, 'whole', limits)
  return read.ok ? { ok: true, jwe: toJwe(read, read) } : read
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
  return shared.ok ? { ok: true, jwe: toJwe(shared, own) } : shared
}

/** Cuts a binary serialization into its entry and its body. */
export function splitBinary(bytes: Uint8Array): Result<{ readonly entry: Uint8Array; readonly body: Uint8Array }, BinaryCode> {
  const read = readForm(bytes, 'whole', joseLimits)
  if (!read.ok) return read
  return { ok: true, entry: write('entry', read.members), body: write('body', read.members) }
}

/** Joins an entry and a body. */
export function joinBinary(entry: Uint8Array, body: Uint8Array): Result<{ readonly bytes: Uint8Array }, BinaryCode> {
  const own = readForm(entry, 'entry', joseLimits)
  if (!own.ok) return own
  const shared = readForm(body, 'body', joseLimits)
  if (!shared.ok) return shared
  return {
    ok: true,
    bytes: write(
      'whole',
      shared.members.map((octets, i) => octets ?? own.members[i]),
    ),
  }
}

/** The canonical Flattened JSON text of a binary serialization. */
export function fromBinary(bytes: Uint8Array, limits: JoseLimits = joseLimits): Result<{ readonly text: string }, BinaryCode> {
  const read = readForm(bytes, 'whole', limits)
  if (!read.ok) return read
  const texts: string[] = []
  for (const [i, name] of parts.entries()) {
    const octets = read.members[i]
    // Headers were found to be UTF-8 when they were read.
    if (octets !== undefined)
      texts.push(`"${name}":${jsonParts.includes(name) ? fromUtf8(octets) : `"${backend.base64url(octets)}"`}`)
  }
  return { ok: true, text: `{${texts.join(',')}}` }
}

/** The binary serialization of a canonical Flattened JSON text; any other text is refused, also another text of the same JWE. */
export function toBinary(text: string, limits: JoseLimits = joseLimits): Result<{ readonly bytes: Uint8Array }, BinaryCode> {
  if (text.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  const malformed = { ok: false, code: 'binary-malformed' } as const
  const found: (Uint8Array | undefined)[] = []
  let at = 0
  for (const name of parts) {
    const start = `${at === 0 ? '{' : ','}"${name}":`
    if (!text.startsWith(start, at)) {
      found.push(undefined)
      continue
    }
    at += start.length
    const isJson = jsonParts.includes(name)
    const end = isJson ? endOfObject(text, at) : text.indexOf('"', at + 1) + 1
    if (end <= at || (!isJson && text[at] !== '"')) return malformed
    const octets = isJson ? utf8(text.slice(at, end)) : backend.fromBase64url(text.slice(at + 1, end - 1))
    if (octets === undefined) return malformed
    found.push(octets)
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

// What all share, what one recipient has of its own, or both; absent when empty but for the ciphertext.
function membersOf(jwe: Jwe | undefined, recipient: JweRecipient | undefined): Members {
  const { header, encryptedKey } = recipient ?? {}
  const own = header === undefined ? undefined : utf8(JSON.stringify(header))
  const key = encryptedKey === undefined || encryptedKey.length === 0 ? undefined : encryptedKey
  if (jwe === undefined) return [undefined, undefined, own, key]
  const { protected: shared, unprotected, aad, iv, ciphertext, tag } = jwe
  return [
    shared.text === '' ? undefined : backend.fromBase64url(shared.text),
    unprotected === undefined ? undefined : utf8(JSON.stringify(unprotected)),
    own,
    key,
    aad,
    iv.length === 0 ? undefined : iv,
    ciphertext,
    tag.length === 0 ? undefined : tag,
  ]
}

// Written for each recipient of each message: no iterators and no views. Members that the form does not have are left out.
function write(form: Form, members: Members): Uint8Array {
  const { octet, allowed } = forms[form]
  let flags = 0
  let length = prefixBytes
  for (let bit = 0; bit < members.length; bit++) {
    const octets = members[bit]
    if (octets === undefined || (allowed & (1 << bit)) === 0) continue
    flags |= 1 << bit
    length += 4 + octets.length
  }
  const bytes = new Uint8Array(length)
  bytes[0] = magic[0]
  bytes[1] = magic[1]
  bytes[2] = magic[2]
  bytes[3] = octet
  bytes[4] = version
  bytes[5] = flags
  let at = prefixBytes
  for (let bit = 0; bit < members.length; bit++) {
    if ((flags & (1 << bit)) === 0) continue
    const partBytes = (members[bit] as Uint8Array).length
    bytes[at] = partBytes >>> 24
    bytes[at + 1] = partBytes >>> 16
    bytes[at + 2] = partBytes >>> 8
    bytes[at + 3] = partBytes
    at += 4
  }
  for (let bit = 0; bit < members.length; bit++) {
    if ((flags & (1 << bit)) === 0) continue
    const octets = members[bit] as Uint8Array
    bytes.set(octets, at)
    at += octets.length
  }
  return bytes
}

type ReadForm = {
  readonly members: Members
  /** Of the members that are headers, by their position. */
  readonly headers: readonly (JsonObject | undefined)[]
}

function readForm(bytes: Uint8Array, form: Form, limits: JoseLimits): Result<ReadForm, BinaryCode> {
  if (bytes.length > limits.bytesMax) return { ok: false, code: 'limit-exceeded' }
  const malformed = { ok: false, code: 'binary-malformed' } as const
  const { octet, allowed, needed } = forms[form]
  const flags = bytes[5]
  if (!isBinary(bytes) || bytes[3] !== octet || bytes[4] !== version || flags === undefined) return malformed
  if ((flags & ~allowed) !== 0 || (flags & needed) !== needed) return malformed
  let count = 0
  for (let rest = flags; rest !== 0; rest &= rest - 1) count++
  const members: (Uint8Array | undefined)[] = []
  const headers: (JsonObject | undefined)[] = []
  let at = prefixBytes + 4 * count
  let lengthAt = prefixBytes
  for (let bit = 0; bit < parts.length; bit++) {
    const isHeader = bit <= headerAt
    if ((flags & (1 << bit)) === 0) {
      members.push(undefined)
      if (isHeader) headers.push(undefined)
      continue
    }
    const length = readU32(bytes, lengthAt)
    lengthAt += 4
    // Absent when empty, but for the ciphertext of an empty message.
    if (length === undefined || at + length > bytes.length || (length === 0 && bit !== ciphertextAt)) return malformed
    const octets = bytes.subarray(at, at + length)
    if (isHeader) {
      if (length > limits.headerBytesMax) return { ok: false, code: 'limit-exceeded' }
      const header = readHeader(octets, limits)
      if (header === undefined || (bit !== protectedAt && !isCompact(octets))) return malformed
      headers.push(header)
    }
    members.push(octets)
    at += length
  }
  return at === bytes.length ? { ok: true, members, headers } : malformed
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

function toJwe(shared: ReadForm, own: ReadForm): Jwe {
  const { members } = shared
  const octets = members[protectedAt]
  return {
    protected: { text: octets === undefined ? '' : backend.base64url(octets), header: shared.headers[protectedAt] ?? {} },
    unprotected: shared.headers[unprotectedAt],
    recipients: [{ header: own.headers[headerAt], encryptedKey: own.members[keyAt] ?? empty }],
    aad: members[aadAt],
    iv: members[ivAt] ?? empty,
    ciphertext: members[ciphertextAt] ?? empty,
    tag: members[tagAt] ?? empty,
  }
}
