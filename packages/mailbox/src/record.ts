/**
 * What a mailbox writes: keys and records in the store (design §6). Four families of keys, all below `mailbox/`:
 * `log/<reader>` its positions and sums, `entry/<reader> <n>` one stanza, `body/<id>` and `refs/<id>` a body that several
 * readers share and how many still hold it, `expiry/<step> <reader>` when a log has to be looked at.
 * @module
 */
import { fromUtf8, isJsonObject, parseJson, readU32, sortable, u32, utf8 } from '@parley/core'

/** The version of these records. A store with a higher one is refused untouched. */
export const schemaVersion: number = 1

export const metaKey: string = 'mailbox/meta'
export const logPrefix: string = 'mailbox/log/'

export function logKey(reader: string): string {
  return logPrefix + reader
}

// A reader's name holds no space, and a space sorts before every character of a name: so one log is one range.
export function entryKey(reader: string, n: number): string {
  return `mailbox/entry/${reader} ${sortable(n)}`
}

/** The position in an entry key. */
export function positionIn(key: string): number {
  return Number.parseInt(key.slice(key.lastIndexOf(' ') + 1), 16)
}

export function bodyKey(id: string): string {
  return `mailbox/body/${id}`
}

export function refsKey(id: string): string {
  return `mailbox/refs/${id}`
}

const expiryPrefix = 'mailbox/expiry/'

export function expiryKey(step: number, reader: string): string {
  return `${expiryPrefix}${sortable(step)} ${reader}`
}

/** The range of expiry keys with a step below `step`. */
export function expiryRange(step: number): { gte: string; lt: string } {
  return { gte: expiryPrefix, lt: expiryPrefix + sortable(step) }
}

export function readerIn(expiry: string): string {
  return expiry.slice(expiry.indexOf(' ') + 1)
}

export type Meta = { readonly schema: number; readonly epoch: string }

export function encodeMeta(meta: Meta): Uint8Array {
  return utf8(JSON.stringify(meta))
}

export function decodeMeta(bytes: Uint8Array): { readonly schema: number; readonly epoch?: string } | undefined {
  const parsed = parseJson(bytes)
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined
  const { schema, epoch } = parsed.value
  if (typeof schema !== 'number') return undefined
  return typeof epoch === 'string' ? { schema, epoch } : { schema }
}

/** What is stored of a log: positions up to `reserved` may have been issued, those up to `durable` stored, those up to `acked` are gone. */
export type LogRecord = {
  readonly reserved: number
  readonly durable: number
  readonly acked: number
  readonly count: number
  readonly bytes: number
}

export function encodeLog(log: LogRecord, durable: number = log.durable): Uint8Array {
  return utf8(`${log.reserved} ${durable} ${log.acked} ${log.count} ${log.bytes}`)
}

export function decodeLog(bytes: Uint8Array): LogRecord | undefined {
  const text = fromUtf8(bytes) ?? ''
  if (!/^\d{1,16}(?: \d{1,16}){4}$/.test(text)) return undefined
  const [reserved, durable, acked, count, sum] = text.split(' ').map(Number)
  // Five numbers by the pattern.
  return { reserved, durable, acked, count, bytes: sum } as LogRecord
}

/** One stored stanza: its own entry, and header and body either beside it or in a body record. */
export type EntryRecord = {
  readonly expiry: number
  /** Octets of header, entry and body: what counts for the quota, wherever the body lies. */
  readonly size: number
  readonly entry: Uint8Array
  readonly headerLength: number
  readonly content: { readonly inline: Uint8Array } | { readonly bodyId: string }
}

const inlineKind = 0
const sharedKind = 1
const fixedLength = 21

export function encodeEntry(record: EntryRecord): Uint8Array {
  const { content } = record
  const isShared = 'bodyId' in content
  const tail = isShared ? utf8(content.bodyId) : content.inline
  const octets = new Uint8Array(fixedLength + record.entry.length + tail.length)
  octets.set(tail, writeFixed(octets, isShared ? sharedKind : inlineKind, record))
  return octets
}

/** The record of a stanza that shares nothing: header and body stand in it. */
export function encodeOwnEntry(
  record: Pick<EntryRecord, 'expiry' | 'size' | 'entry' | 'headerLength'>,
  { header, body }: { readonly header: Uint8Array; readonly body: Uint8Array },
): Uint8Array {
  const octets = new Uint8Array(fixedLength + record.entry.length + header.length + body.length)
  const at = writeFixed(octets, inlineKind, record)
  octets.set(header, at)
  octets.set(body, at + header.length)
  return octets
}

/** Everything before the tail; answers where that begins. */
function writeFixed(
  octets: Uint8Array,
  kind: number,
  { expiry, size, entry, headerLength }: Pick<EntryRecord, 'expiry' | 'size' | 'entry' | 'headerLength'>,
): number {
  octets[0] = kind
  writeU32(octets, 1, Math.floor(expiry / 0x100000000))
  writeU32(octets, 5, expiry % 0x100000000)
  writeU32(octets, 9, size)
  writeU32(octets, 13, entry.length)
  writeU32(octets, 17, headerLength)
  octets.set(entry, fixedLength)
  return fixedLength + entry.length
}

// A DataView for each stanza would be garbage.
function writeU32(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 24
  octets[at + 1] = value >>> 16
  octets[at + 2] = value >>> 8
  octets[at + 3] = value
}

export function decodeEntry(bytes: Uint8Array): EntryRecord | undefined {
  const high = readU32(bytes, 1)
  const low = readU32(bytes, 5)
  const size = readU32(bytes, 9)
  const entryLength = readU32(bytes, 13)
  const headerLength = readU32(bytes, 17)
  if (high === undefined || low === undefined || size === undefined || entryLength === undefined || headerLength === undefined)
    return undefined
  if (fixedLength + entryLength > bytes.length) return undefined
  const tail = bytes.subarray(fixedLength + entryLength)
  const bodyId = bytes[0] === sharedKind ? fromUtf8(tail) : undefined
  if (bytes[0] === inlineKind ? headerLength > tail.length : bodyId === undefined) return undefined
  return {
    expiry: high * 0x100000000 + low,
    size,
    entry: bytes.subarray(fixedLength, fixedLength + entryLength),
    headerLength,
    content: bodyId === undefined ? { inline: tail } : { bodyId },
  }
}

export function encodeRefs(count: number): Uint8Array {
  return u32(count)
}

export function decodeRefs(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined ? undefined : readU32(bytes, 0)
}
