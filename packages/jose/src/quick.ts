/**
 * A quick way into the JSON text of a JWE that is written as this package writes it: no white space, no escapes, base64url
 * members as they are. Contents of many kilobytes are cut out instead of parsed, and a reader who says which keys it has
 * pays little for the entries of the others. Any other text is left to the strict parser, and what is read here is what
 * the strict parser would read.
 * @module
 */
import { parseJsonObject } from '@parley/core'
import { backend } from '#backend'
import { readProtected } from './header.ts'
import type { Jwe, JweRecipient } from './jwe.ts'
import type { JoseLimits } from './limits.ts'

export type QuickOptions = {
  readonly limits: JoseLimits
  /** The key ids of the reader, each of its keys having one; entries for others come as `undefined`. */
  readonly kids: readonly string[] | undefined
}

/** The JWE, or `undefined` when the text is to be read with care. */
export function readQuickly(text: string, { limits, kids }: QuickOptions): Jwe | undefined {
  // Below this a parser is as quick.
  if (text.length < textMin || text.includes('\\')) return undefined
  const read: Members = { seen: new Set(), strings: new Map(), recipients: undefined, header: undefined }
  let at = 0
  for (;;) {
    const next = member(text, at, { read, limits, kids })
    if (next < 0) return undefined
    if (text.charCodeAt(next) === closingBrace) return next === text.length - 1 ? together(read, limits) : undefined
    at = next
  }
}

const textMin = 2048
const closingBrace = 0x7d

type Members = {
  readonly seen: Set<string>
  readonly strings: Map<string, string>
  recipients: readonly (JweRecipient | undefined)[] | undefined
  header: JweRecipient['header'] | undefined
}

type Context = QuickOptions & { readonly read: Members }

const stringMembers: readonly string[] = ['protected', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag']

/** Reads one member behind a brace or a comma; answers where its value ends, or -1 to give up. */
function member(text: string, at: number, { read, limits, kids }: Context): number {
  if (text.charCodeAt(at) !== (at === 0 ? 0x7b : 0x2c) || text.charCodeAt(at + 1) !== 0x22) return -1
  const nameEnd = text.indexOf('"', at + 2)
  // The longest name has 13 letters.
  if (nameEnd < 0 || nameEnd - at > 16 || text.charCodeAt(nameEnd + 1) !== 0x3a) return -1
  const name = text.slice(at + 2, nameEnd)
  if (read.seen.has(name)) return -1
  read.seen.add(name)
  const start = nameEnd + 2
  if (stringMembers.includes(name)) {
    const end = text.charCodeAt(start) === 0x22 ? text.indexOf('"', start + 1) : -1
    if (end < 0) return -1
    read.strings.set(name, text.slice(start + 1, end))
    return end + 1
  }
  if (name === 'recipients' && kids !== undefined) return entries(text, start, { read, limits, kids })
  if (name !== 'header') return -1
  // The header of one recipient holds no braces but its own and those of an epk, or it is read with care.
  const end = text.indexOf('}', start) + 1
  const parsed = parseJsonObject(text.slice(start, end), { bytesMax: limits.headerBytesMax, depthMax: 1 })
  if (!parsed.ok) return -1
  read.header = parsed.value
  return end
}

// One entry as it is written for a key agreement or a Session Master Key that all recipients share the algorithm of, or not.
const entry = /\{"header":\{(?:"alg":"[\w+-]*",)?"kid":"[ !#-[\]-~]*"\},"encrypted_key":"[\w-]*"\}/y

function entries(
  text: string,
  start: number,
  { read, limits, kids }: { readonly read: Members; readonly limits: JoseLimits; readonly kids: readonly string[] },
): number {
  if (text.charCodeAt(start) !== 0x5b) return -1
  // Their own entries begin so; kids that JSON writes with escapes are in no text that comes here.
  const marks = kids.map((kid) => `"kid":${JSON.stringify(kid)}}`)
  const recipients: (JweRecipient | undefined)[] = []
  let isMine = false
  let at = start
  do {
    at++
    entry.lastIndex = at
    if (!entry.test(text) || recipients.length >= limits.recipientsMax) return -1
    const mine = marks.some((mark) => hasMark(text, at, mark))
    const own = mine ? recipient(text.slice(at, entry.lastIndex)) : undefined
    if (mine && own === undefined) return -1
    isMine ||= mine
    recipients.push(own)
    at = entry.lastIndex
  } while (text.charCodeAt(at) === 0x2c)
  // With none of the reader's own the reason is to be told from all of them.
  if (!isMine || text.charCodeAt(at) !== 0x5d) return -1
  read.recipients = recipients
  return at + 1
}

// `{"header":{` has eleven characters; an `alg` may come first.
function hasMark(text: string, at: number, mark: string): boolean {
  const start = at + 11
  if (text.startsWith(mark, start)) return true
  return text.startsWith('"alg":"', start) && text.startsWith(mark, text.indexOf(',', start) + 1)
}

function recipient(text: string): JweRecipient | undefined {
  const parsed = parseJsonObject(text)
  if (!parsed.ok) return undefined
  const { header, encrypted_key: encoded } = parsed.value
  const encryptedKey = backend.fromBase64url(encoded as string)
  return encryptedKey === undefined ? undefined : { header: header as JweRecipient['header'], encryptedKey }
}

function together({ seen, strings, recipients, header }: Members, limits: JoseLimits): Jwe | undefined {
  const shared = readProtected(strings.get('protected'), limits)
  const octets = (name: string): Uint8Array | undefined => backend.fromBase64url(strings.get(name) ?? '')
  const [encryptedKey, iv, ciphertext, tag] = ['encrypted_key', 'iv', 'ciphertext', 'tag'].map(octets)
  const aad = strings.has('aad') ? octets('aad') : undefined
  // Whatever is wrong has its code from the careful reading.
  if (!shared.ok || encryptedKey === undefined || iv === undefined || ciphertext === undefined || tag === undefined)
    return undefined
  if (!seen.has('ciphertext') || (strings.has('aad') && (aad === undefined || aad.length === 0))) return undefined
  if (recipients !== undefined && (seen.has('header') || seen.has('encrypted_key'))) return undefined
  return {
    protected: shared.value,
    unprotected: undefined,
    recipients: recipients ?? [{ header, encryptedKey }],
    aad,
    iv,
    ciphertext,
    tag,
  }
}
