/**
 * What a mailbox writes: keys and records in the store (design §6). Four families of keys, all below `mailbox/`:
 * `log/<reader>` its positions and sums, `entry/<reader> <n>` one stanza or several that end at n (entry.ts), `body/<id>` and
 * `refs/<id>` a body that several readers share and how many still hold it, `expiry/<step> <reader>` when a log has to be looked at.
 * @module
 */
import { fromUtf8, isJsonObject, parseJson, readU32, sortable, u32, utf8 } from '@parley/core'

/** The version of these records. A store with a higher one is refused untouched. */
export const schemaVersion: number = 2

export const metaKey: string = 'mailbox/meta'
export const logPrefix: string = 'mailbox/log/'

export function logKey(reader: string): string {
  return logPrefix + reader
}

/**
 * The key of the record that ends at position `n`. A reader's name holds no space, and a space sorts before every character of a name:
 * so one log is one range.
 */
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

export function encodeRefs(count: number): Uint8Array {
  return u32(count)
}

export function decodeRefs(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined ? undefined : readU32(bytes, 0)
}
