/**
 * Looks through the records of a mailbox store, all of one snapshot and in the order of their keys: every record decodes, sums and
 * counts by reference are what the entries say, every entry is found again when it expires. Says what is wrong and what would mend it.
 * @module
 */
import { fromUtf8, type StoreOp } from '@parley/core'
import { decodeEntries, type EntryRecord, joinEntries } from './entry.ts'
import { MailboxError } from './errors.ts'
import { mailboxLimits } from './limits.ts'
import {
  bodyKey,
  decodeLog,
  decodeMeta,
  decodeRefs,
  encodeLog,
  encodeRefs,
  entryKey,
  expiryKey,
  type LogRecord,
  logKey,
  logPrefix,
  metaKey,
  positionIn,
  readerIn,
  refsKey,
  schemaVersion,
} from './record.ts'

/** Something that is not as it should be. */
export type Finding = {
  /** The key of the record. */
  readonly row: string
  readonly problem: string
  /** Absent when only a backup helps. */
  readonly repair?: { readonly says: string; readonly ops: readonly StoreOp[] }
}

/** A look through the mailbox's part of a store. */
export interface MailboxCheck {
  /** Takes one record; call in ascending order of the keys. Answers whether it was the mailbox's. Throws for a newer version's. */
  row(key: string, value: Uint8Array): boolean
  /** What was found, when every record was shown. */
  end(): readonly Finding[]
  readonly stanzas: number
  readonly readers: number
}

type Sums = { count: number; bytes: number; first: number; last: number; expiry: number; marked: boolean; hasLog: boolean }
type Found = { readonly key: string; readonly items: readonly EntryRecord[] }

const entryPrefix = 'mailbox/entry/'

/** Memory grows with readers and shared bodies, not with what they hold. */
export function createMailboxCheck(options: { readonly expiryStepMs?: number } = {}): MailboxCheck {
  const expiryStepMs = options.expiryStepMs ?? mailboxLimits.expiryStepMs
  const findings: Finding[] = []
  // Bodies with the entries that point to them, and the count that stands in the store.
  const bodies = new Map<string, { users: number; refs: number | undefined; length: number }>()
  const readers = new Map<string, Sums>()
  // The first record of each reader: the log, which comes later, says how much of it is acknowledged.
  const begun = new Map<string, Found>()
  const logs: { readonly reader: string; readonly record: LogRecord }[] = []
  let stanzas = 0

  function find(row: string, problem: string, repair?: Finding['repair']): void {
    findings.push({ row, problem, ...(repair === undefined ? {} : { repair }) })
  }

  function drop(key: string, problem: string): void {
    find(key, problem, { says: 'drops this stanza', ops: [{ type: 'del', key }] })
  }

  function entry(key: string, value: Uint8Array): void {
    const last = positionIn(key)
    const items = decodeEntries(value, last)
    if (items === undefined) {
      drop(key, 'is no stanza')
      return
    }
    const reader = key.slice(entryPrefix.length, key.lastIndexOf(' '))
    const sums = readers.get(reader)
    if (sums !== undefined) {
      count(sums, { key, items })
      return
    }
    readers.set(reader, { count: 0, bytes: 0, first: Infinity, last: 0, expiry: Infinity, marked: false, hasLog: false })
    // Where all is there, no stanza is looked at again.
    const isWhole = items.every((item) => bodyProblem(item) === undefined)
    begun.set(reader, { key, items: isWhole ? items.map(withoutContent) : items })
  }

  function bodyProblem({ bodyId, headerLength }: EntryRecord): string | undefined {
    if (bodyId === undefined) return undefined
    const body = bodies.get(bodyId)
    if (body === undefined) return 'its body is missing'
    return headerLength > body.length ? 'its body is too short' : undefined
  }

  function count(sums: Sums, { key, items }: Found): void {
    const problems = new Map<EntryRecord, string>()
    for (const item of items) {
      const problem = bodyProblem(item)
      if (problem !== undefined) {
        problems.set(item, problem)
        continue
      }
      const body = item.bodyId === undefined ? undefined : bodies.get(item.bodyId)
      if (body !== undefined) body.users++
      stanzas++
      sums.count++
      sums.bytes += item.size
      sums.first = Math.min(sums.first, item.n)
      sums.last = Math.max(sums.last, item.n)
      sums.expiry = Math.min(sums.expiry, item.expiry)
    }
    const [problem] = problems.values()
    if (problem === undefined) return
    const left = items.filter((item) => !problems.has(item))
    const newKey = entryKey(key.slice(entryPrefix.length, key.lastIndexOf(' ')), left.at(-1)?.n ?? 0)
    const ops: StoreOp[] = [{ type: 'del', key }]
    if (left.length > 0) ops.push({ type: 'put', key: newKey, value: joinEntries(left) })
    find(key, problem, { says: problems.size === 1 ? 'drops this stanza' : `drops ${problems.size} stanzas`, ops })
  }

  /** Counts the first record of a reader: what is acknowledged of it is out of all sums. */
  function begin(reader: string, acked: number): void {
    const record = begun.get(reader)
    const sums = readers.get(reader)
    if (record === undefined || sums === undefined) return
    begun.delete(reader)
    const { key, items } = record
    const left = items.filter(({ n }) => n > acked)
    // All of it acknowledged and still there is something else.
    count(sums, { key, items: left.length > 0 ? left : items })
  }

  function log(key: string, value: Uint8Array): void {
    const reader = key.slice(logPrefix.length)
    const record = decodeLog(value)
    const sums = readers.get(reader)
    if (sums !== undefined) sums.hasLog = true
    begin(reader, record?.acked ?? 0)
    if (record === undefined) find(key, 'is no record of a log')
    else logs.push({ reader, record })
  }

  function refs(key: string, value: Uint8Array): void {
    const id = key.slice(refsKey('').length)
    const body = bodies.get(id)
    if (body === undefined) find(key, 'counts a body that is missing', { says: 'forgets it', ops: [{ type: 'del', key }] })
    else body.refs = decodeRefs(value)
  }

  function endLog(reader: string, record: LogRecord): void {
    const sums = readers.get(reader)
    const wrong: string[] = []
    const { count, bytes } = sums ?? { count: 0, bytes: 0 }
    if (record.count !== count || record.bytes !== bytes)
      wrong.push(`says ${record.count} stanzas of ${record.bytes} octets, there are ${count} of ${bytes}`)
    if (sums !== undefined && sums.last > record.durable) wrong.push(`ends at ${record.durable}, there is ${sums.last}`)
    if (sums !== undefined && sums.first <= record.acked) wrong.push(`acknowledged up to ${record.acked}, there is ${sums.first}`)
    if (record.acked > record.durable || record.durable > record.reserved) wrong.push('its positions contradict one another')
    if (wrong.length === 0) return
    const durable = Math.max(record.durable, sums?.last ?? 0)
    const acked = Math.min(record.acked, (sums?.first ?? record.acked + 1) - 1, durable)
    const mended = { count, bytes, durable, acked, reserved: Math.max(record.reserved, durable) }
    const key = logKey(reader)
    find(key, wrong.join('; '), { says: 'writes what is there', ops: [{ type: 'put', key, value: encodeLog(mended) }] })
  }

  function endReader(reader: string, sums: Sums): void {
    if (sums.count === 0) return
    if (!sums.hasLog) find(logKey(reader), 'is missing: stanzas stand in a log that nobody knows')
    if (sums.marked) return
    const key = expiryKey(Math.floor(sums.expiry / expiryStepMs), reader)
    find(key, 'is missing: nobody would look for what expires', {
      says: 'writes it',
      ops: [{ type: 'put', key, value: new Uint8Array(0) }],
    })
  }

  function endBody(id: string, { users, refs: counted }: { readonly users: number; readonly refs: number | undefined }): void {
    const key = refsKey(id)
    if (users === 0) {
      const ops: readonly StoreOp[] = [
        { type: 'del', key },
        { type: 'del', key: bodyKey(id) },
      ]
      find(bodyKey(id), 'is a body that no stanza has', { says: 'deletes it', ops })
    } else if (counted !== users) {
      const ops: readonly StoreOp[] = [{ type: 'put', key, value: encodeRefs(users) }]
      find(key, `says ${counted ?? 'nothing'}, ${users} stanzas have the body`, { says: 'writes what is there', ops })
    }
  }

  return {
    row(key, value) {
      if (!key.startsWith('mailbox/')) return false
      if (key.startsWith(bodyKey('')))
        bodies.set(key.slice(bodyKey('').length), { users: 0, refs: undefined, length: value.length })
      else if (key.startsWith(entryPrefix)) entry(key, value)
      else if (key.startsWith('mailbox/expiry/')) {
        const sums = readers.get(readerIn(key))
        if (sums !== undefined) sums.marked = true
      } else if (key.startsWith(logPrefix)) log(key, value)
      else if (key === metaKey) {
        const meta = decodeMeta(value)
        if (meta !== undefined && meta.schema > schemaVersion) throw newer()
        if (meta?.epoch === undefined) find(key, `does not say schema and epoch: ${fromUtf8(value)?.slice(0, 80)}`)
      } else if (key.startsWith(refsKey(''))) refs(key, value)
      else find(key, 'is nothing that a mailbox writes')
      return true
    },
    end() {
      for (const reader of [...begun.keys()]) begin(reader, 0)
      for (const { reader, record } of logs) endLog(reader, record)
      for (const [reader, sums] of readers) endReader(reader, sums)
      for (const [id, body] of bodies) endBody(id, body)
      return findings
    },
    get stanzas() {
      return stanzas
    },
    get readers() {
      return [...readers.values()].filter(({ count }) => count > 0).length
    },
  }
}

const nothing = new Uint8Array(0)

function withoutContent(item: EntryRecord): EntryRecord {
  return { ...item, entry: nothing, inline: nothing, octets: nothing }
}

function newer(): MailboxError {
  return new MailboxError(
    'ERR_MAILBOX_STORE_NEWER',
    'the mailbox store was written by a newer version; look through it with that version',
  )
}
