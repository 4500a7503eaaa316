/**
 * Wrapped keys apart from the ciphertext (RFC 7165 F7): a General JWE cut into the part that all share and one entry per
 * recipient, and joined again byte for byte. Both are JSON texts: the shared part is the General JWE with no recipients,
 * an entry is a member of `recipients`. A shared part with one entry is also the equivalent Flattened JWE (RFC 7516
 * §7.2.2). Works on the text, because two JSON texts of one object are not the same; no secret is needed or checked.
 * @module
 */
import { parseJson, type Result } from '@parley/core'
import { type JoseLimits, joseLimits } from './limits.ts'
import { readJose, type SerializationCode } from './serialization.ts'

/** `order-unknown`: the members are not those that `toGeneralJwe` writes, in its order. */
export type SplitCode = SerializationCode | 'not-general' | 'order-unknown' | 'shared-malformed' | 'entry-malformed'

const sharedOrder = ['protected', 'unprotected', 'recipients', 'aad', 'iv', 'ciphertext', 'tag']
const entryOrder = ['header', 'encrypted_key']

/** Cuts the text of a General JWE. An entry that is broken, which no reader of another minds, stays as it is. */
export function splitGeneral(
  text: string,
  limits: JoseLimits = joseLimits,
): Result<{ readonly shared: string; readonly entries: readonly string[] }, SplitCode> {
  const read = readJose(text, limits)
  if (!read.ok) return read
  const open = skipSpace(text, 0)
  if (read.kind !== 'jwe' || text[open] !== '{') return { ok: false, code: 'not-general' }
  const members = membersOf(text, open)
  const recipients = members.find(({ name }) => name === 'recipients')
  if (recipients === undefined) return { ok: false, code: 'not-general' }
  const entries = elementsOf(text, recipients.start)
  if (!isOrdered(members, sharedOrder) || !entries.every(isOrderedEntry)) return { ok: false, code: 'order-unknown' }
  return { ok: true, shared: `${text.slice(0, recipients.start)}[]${text.slice(recipients.end)}`, entries }
}

/** The General JWE of a shared part and entries: all of them as they were, or some. */
export function joinGeneral(
  shared: string,
  entries: readonly string[],
  limits: JoseLimits = joseLimits,
): Result<{ readonly text: string }, SplitCode> {
  const place = placeOf(shared, limits)
  if (place === undefined) return { ok: false, code: 'shared-malformed' }
  if (entries.length > limits.recipientsMax) return { ok: false, code: 'limit-exceeded' }
  // Each is one JSON text: none can bring two entries, or close the array.
  if (!entries.every((entry) => isJson(entry, limits))) return { ok: false, code: 'entry-malformed' }
  const text = `${shared.slice(0, place.start)}[${entries.join(',')}]${shared.slice(place.end)}`
  const again = splitGeneral(text, limits)
  return again.ok ? { ok: true, text } : again
}

/** The Flattened JWE of a shared part and one entry. */
export function joinFlattened(
  shared: string,
  entry: string,
  limits: JoseLimits = joseLimits,
): Result<{ readonly text: string }, SplitCode> {
  const place = placeOf(shared, limits)
  if (place === undefined) return { ok: false, code: 'shared-malformed' }
  if (!isJson(entry, limits) || entry[skipSpace(entry, 0)] !== '{') return { ok: false, code: 'entry-malformed' }
  if (!isOrderedEntry(entry)) return { ok: false, code: 'order-unknown' }
  const members = membersOf(entry, skipSpace(entry, 0))
  const [first, last] = [members[0], members.at(-1)]
  const inner = first === undefined || last === undefined ? '' : entry.slice(first.from, last.end)
  // The ciphertext stands behind, so there is a comma.
  const rest = inner === '' ? shared.slice(skipSpace(shared, shared.indexOf(',', place.end) + 1)) : shared.slice(place.end)
  const text = `${shared.slice(0, place.from)}${inner}${rest}`
  const read = readJose(text, limits)
  if (!read.ok) return read
  return read.kind === 'jwe' ? { ok: true, text } : { ok: false, code: 'shared-malformed' }
}

type Member = {
  readonly name: string
  /** Where the name begins, and where the value begins and ends. */
  readonly from: number
  readonly start: number
  readonly end: number
}

// Where the entries belong in a shared part.
function placeOf(shared: string, limits: JoseLimits): Member | undefined {
  const open = skipSpace(shared, 0)
  if (shared.length > limits.bytesMax || shared[open] !== '{' || !isJson(shared, limits)) return undefined
  const members = membersOf(shared, open)
  if (!isOrdered(members, sharedOrder) || !members.some(({ name }) => name === 'ciphertext')) return undefined
  return members.find(({ name, start, end }) => name === 'recipients' && shared.slice(start, end) === '[]')
}

function isJson(text: string, limits: JoseLimits): boolean {
  return parseJson(text, { bytesMax: limits.bytesMax, depthMax: limits.headerDepthMax + 4 }).ok
}

function isOrdered(members: readonly Member[], order: readonly string[]): boolean {
  let last = -1
  for (const { name } of members) {
    const position = order.indexOf(name)
    if (position <= last) return false
    last = position
  }
  return true
}

// What is no object has no members in another order.
function isOrderedEntry(entry: string): boolean {
  const open = skipSpace(entry, 0)
  return entry[open] !== '{' || isOrdered(membersOf(entry, open), entryOrder)
}

// From here on every text has been parsed, so that only its extents are left to be found.

function membersOf(text: string, open: number): readonly Member[] {
  const found: Member[] = []
  for (let i = skipSpace(text, open + 1); text[i] === '"'; ) {
    const nameEnd = endOfValue(text, i)
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const end = endOfValue(text, start)
    // A name is a string, maybe with escapes.
    found.push({ name: JSON.parse(text.slice(i, nameEnd)) as string, from: i, start, end })
    i = skipSpace(text, end)
    if (text[i] === ',') i = skipSpace(text, i + 1)
  }
  return found
}

// The elements of an array with the space around them, so that joining them restores it.
function elementsOf(text: string, open: number): readonly string[] {
  const found: string[] = []
  for (let from = open + 1, more = true; more; ) {
    const end = skipSpace(text, endOfValue(text, skipSpace(text, from)))
    found.push(text.slice(from, end))
    more = text[end] === ','
    from = end + 1
  }
  return found
}

function endOfValue(text: string, start: number): number {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    const character = text[i] ?? ''
    if (character === '"') i = endOfString(text, i)
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    else if (depth === 0) return endOfWord(text, i)
    if (depth === 0) return i + 1
  }
  return text.length
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text[end - 1 - escapes] === '\\') escapes++
    // A quotation mark behind an odd number of backslashes is part of the string.
    if (escapes % 2 === 0) return end
  }
  return text.length
}

// A number, true, false or null.
function endOfWord(text: string, start: number): number {
  let i = start
  while (i < text.length && !',]} \t\r\n'.includes(text[i] ?? '')) i++
  return i
}

function skipSpace(text: string, start: number): number {
  let i = start
  while (i < text.length && ' \t\r\n'.includes(text[i] ?? '')) i++
  return i
}
