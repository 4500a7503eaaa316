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
  const tail = 'bodyId' in record.content ? utf8(record.content.bodyId) : record.content.inline
  return joinEntry(record, 'bodyId' in record.content ? sharedKind : inlineKind, [tail])
}

/** The record of a stanza that shares nothing: header and body stand in it. */
export function encodeOwnEntry(
  record: Pick<EntryRecord, 'expiry' | 'size' | 'entry'>,
  { header, body }: { readonly header: Uint8Array; readonly body: Uint8Array },
): Uint8Array {
  return joinEntry({ ...record, headerLength: header.length }, inlineKind, [header, body])
}

function joinEntry(
  { expiry, size, entry, headerLength }: Omit<EntryRecord, 'content'>,
  kind: number,
  tail: readonly Uint8Array[],
): Uint8Array {
  let length = fixedLength + entry.length
  for (const part of tail) length += part.length
  const octets = new Uint8Array(length)
  const view = new DataView(octets.buffer)
  octets[0] = kind
  view.setUint32(1, Math.floor(expiry / 0x100000000))
  view.setUint32(5, expiry % 0x100000000)
  view.setUint32(9, size)
  view.setUint32(13, entry.length)
  view.setUint32(17, headerLength)
  octets.set(entry, fixedLength)
  let at = fixedLength + entry.length
  for (const part of tail) {
    octets.set(part, at)
    at += part.length
  }
  return octets
}

export function decodeEntry(bytes: Uint8Array): EntryRecord | undefined {
  const [high, low, size, entryLength, headerLength] = [1, 5, 9, 13, 17].map((offset) => readU32(bytes, offset))
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
