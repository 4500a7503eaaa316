/**
 * The records of stanzas (design §6). What one turn appends to one log stands in one record, a group: as many stanzas as fit, one behind
 * another, under the key of the last. A stanza that comes alone stands alone. A group goes when its last stanza does; which of it are
 * acknowledged already, the log says.
 * @module
 */
import { fromUtf8, readU32 } from '@parley/core'

/** A stanza that is to be stored. With a `bodyId`, header and body stand in a record of their own. */
export type EntryParts = {
  readonly n: number
  readonly expiry: number
  /** Octets of header, entry and body: what counts for the quota, wherever the body lies. */
  readonly size: number
  readonly entry: Uint8Array
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly bodyId: string | undefined
}

/** A stored stanza: its own entry, and header and body either behind it, in `inline`, or in the record of `bodyId`. */
export type EntryRecord = {
  readonly n: number
  readonly expiry: number
  readonly size: number
  readonly entry: Uint8Array
  readonly headerLength: number
  readonly inline: Uint8Array
  readonly bodyId: string | undefined
  /** As it stands alone. */
  readonly octets: Uint8Array
}

/** Octets of a group; a larger stanza stands alone. Who reads one stanza of a group reads no more than this. */
export const groupBytesMax: number = 64 * 1024

const inlineKind = 0
const sharedKind = 1
const groupKind = 2
/** Kind, expiry, size, and the lengths of entry and header. */
const fixedLength = 21
/** A group's kind and the position of its first stanza. */
const groupHead = 9
/** How far behind the first a stanza of a group stands, and its length. */
const itemHead = 8

/** Octets of a stanza in a group. */
export function bytesInGroup({ entry, header, body, bodyId }: EntryParts): number {
  return itemHead + fixedLength + entry.length + (bodyId === undefined ? header.length + body.length : bodyId.length)
}

/** The record of stanzas in ascending order. */
export function encodeEntries(items: readonly EntryParts[]): Uint8Array {
  const [first] = items
  if (first === undefined) throw new RangeError('items must not be empty')
  if (items.length === 1) {
    const octets = new Uint8Array(bytesInGroup(first) - itemHead)
    writeEntry(octets, 0, first)
    return octets
  }
  let length = groupHead
  for (const item of items) length += bytesInGroup(item)
  const octets = beginGroup(length, first.n)
  let at = groupHead
  for (const item of items) {
    const end = writeEntry(octets, at + itemHead, item)
    writeU32(octets, at, item.n - first.n)
    writeU32(octets, at + 4, end - at - itemHead)
    at = end
  }
  return octets
}

/** The record of what is left of one. */
export function joinEntries(items: readonly EntryRecord[]): Uint8Array {
  const [first] = items
  if (first === undefined) throw new RangeError('items must not be empty')
  if (items.length === 1) return first.octets.slice()
  const octets = beginGroup(
    items.reduce((sum, item) => sum + itemHead + item.octets.length, groupHead),
    first.n,
  )
  let at = groupHead
  for (const item of items) {
    writeU32(octets, at, item.n - first.n)
    writeU32(octets, at + 4, item.octets.length)
    octets.set(item.octets, at + itemHead)
    at += itemHead + item.octets.length
  }
  return octets
}

/** The stanzas in the record whose key says `last`; undefined when it is damaged. */
export function decodeEntries(bytes: Uint8Array, last: number): readonly EntryRecord[] | undefined {
  if (bytes[0] !== groupKind) {
    const record = decodeEntry(bytes, last)
    return record === undefined ? undefined : [record]
  }
  const first = readU64(bytes, 1)
  if (first === undefined) return undefined
  const items: EntryRecord[] = []
  let before = first - 1
  for (let at = groupHead; at < bytes.length; ) {
    const behind = readU32(bytes, at)
    const length = readU32(bytes, at + 4)
    if (behind === undefined || length === undefined || at + itemHead + length > bytes.length) return undefined
    const n = first + behind
    const item = decodeEntry(bytes.subarray(at + itemHead, at + itemHead + length), n)
    if (item === undefined || n <= before) return undefined
    items.push(item)
    before = n
    at += itemHead + length
  }
  return before === last ? items : undefined
}

function beginGroup(length: number, first: number): Uint8Array {
  const octets = new Uint8Array(length)
  octets[0] = groupKind
  writeU64(octets, 1, first)
  return octets
}

/** Answers where it ends. */
function writeEntry(octets: Uint8Array, at: number, item: EntryParts): number {
  const { expiry, size, entry, header, body, bodyId } = item
  octets[at] = bodyId === undefined ? inlineKind : sharedKind
  writeU64(octets, at + 1, expiry)
  writeU32(octets, at + 9, size)
  writeU32(octets, at + 13, entry.length)
  writeU32(octets, at + 17, header.length)
  let end = at + fixedLength
  octets.set(entry, end)
  end += entry.length
  if (bodyId === undefined) {
    octets.set(header, end)
    octets.set(body, end + header.length)
    return end + header.length + body.length
  }
  // base64url.
  for (let i = 0; i < bodyId.length; i++) octets[end + i] = bodyId.charCodeAt(i)
  return end + bodyId.length
}

function decodeEntry(bytes: Uint8Array, n: number): EntryRecord | undefined {
  const expiry = readU64(bytes, 1)
  const size = readU32(bytes, 9)
  const entryLength = readU32(bytes, 13)
  const headerLength = readU32(bytes, 17)
  if (expiry === undefined || size === undefined || entryLength === undefined || headerLength === undefined) return undefined
  const at = fixedLength + entryLength
  if (at > bytes.length) return undefined
  const inline = bytes.subarray(at)
  const bodyId = bytes[0] === sharedKind ? fromUtf8(inline) : undefined
  if (bytes[0] === inlineKind ? headerLength > inline.length : bodyId === undefined) return undefined
  return { n, expiry, size, entry: bytes.subarray(fixedLength, at), headerLength, inline, bodyId, octets: bytes }
}

// A DataView for each stanza would be garbage.
function writeU32(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 24
  octets[at + 1] = value >>> 16
  octets[at + 2] = value >>> 8
  octets[at + 3] = value
}

function writeU64(octets: Uint8Array, at: number, value: number): void {
  writeU32(octets, at, Math.floor(value / 0x100000000))
  writeU32(octets, at + 4, value % 0x100000000)
}

function readU64(bytes: Uint8Array, at: number): number | undefined {
  const high = readU32(bytes, at)
  const low = readU32(bytes, at + 4)
  return high === undefined || low === undefined ? undefined : high * 0x100000000 + low
}
