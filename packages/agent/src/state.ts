/**
 * The agent's state: tables of rows, held in memory and written behind. A step reads and changes it synchronously, so it
 * sees what the steps before it left, also those whose batch is still being synced. commit.ts alone writes it out.
 * @module
 */
import { concat, fromUtf8, parseJson, type Random, type Store, type StoreOp, sortable, utf8, utf8Into } from '@parley/core'
import { aeadOpen, aeadSeal } from '@parley/jose'
import { AgentError } from './errors.ts'
import { groupings, isSecret, type Rows, type Table, tables } from './rows.ts'

/** The layout that this version writes. */
const schemaVersion = 1
const schemaKey = 'meta/schema'
const ivLength = 12
const lineFeed = 0x0a

/** Names of changed rows, with their tables and keys. */
export type Changes = ReadonlyMap<
  string,
  { readonly table: Table; readonly key: string /** The row before; absent when there was none. */; readonly old?: unknown }
>

export type Ran<T> = { readonly result: T; readonly changes: Changes; readonly effects: readonly (() => void)[] }

/** The rows of a table that belong together (see `groupings`). */
export type Group = {
  readonly keys: ReadonlySet<string>
  /** Octets in the rows' `bytes`. */
  readonly bytes: number
}

/** The view of one step. Changes are undone when the step throws. */
export interface Tx {
  /** Milliseconds by the wall clock; the same through the whole step, as are `steady` and `sure` (see time.ts). */
  readonly now: number
  readonly steady: number
  readonly sure: number
  get<T extends Table>(table: T, key: string): Rows[T] | undefined
  put<T extends Table>(table: T, key: string, row: Rows[T]): void
  del(table: Table, key: string): void
  /** The rows of a table; those of a queue in its order. Rows may be put and deleted meanwhile. */
  rows<T extends Table>(table: T): IterableIterator<[string, Rows[T]]>
  size(table: Table): number
  group(table: Table, name: string): Group
  /** A key behind all others of a queue, so that its rows keep their order. */
  next(table: Table): string
  /** Runs when the batch of this step is durable; not at all when it fails. */
  after(effect: () => void): void
}

export interface State {
  get<T extends Table>(table: T, key: string): Rows[T] | undefined
  rows<T extends Table>(table: T): IterableIterator<[string, Rows[T]]>
  size(table: Table): number
  group(table: Table, name: string): Group
  /** Runs a step and answers what it changed; throws what the step throws, with everything undone. */
  run<T>(now: number, step: (tx: Tx) => T, times?: { readonly steady: number; readonly sure: number }): Ran<T>
  /** The changed rows as they are now, each once however many steps changed it. Call it before any further step runs. */
  write(changes: Iterable<Changes>): StoreOp[]
  /** Reads the store again and forgets what was not in it; when that fails, everything is as before. */
  reload(): Promise<void>
  /** Every secret row, sealed anew under the first store key. */
  reseal(): StoreOp[]
}

/** Opens the state. Secrets are sealed under the first of `storeKeys` and opened with any: a change of the key has two for a while. */
export async function openState(options: {
  readonly store: Store
  readonly random: Random
  readonly storeKeys: readonly Uint8Array[]
}): Promise<State> {
  const { store, random, storeKeys } = options
  const [storeKey] = storeKeys
  if (storeKey === undefined) throw new TypeError('storeKeys: empty')
  let memory = new Map<Table, Map<string, unknown>>()
  let groups = new Map<Table, Map<string, { readonly keys: Set<string>; bytes: number }>>()

  const regroup = (table: Table, key: string, change: { readonly old: unknown; readonly row: unknown }): void => {
    const name = groupings[table] as ((row: unknown) => string) | undefined
    if (name === undefined) return
    let all = groups.get(table)
    if (all === undefined) {
      all = new Map()
      groups.set(table, all)
    }
    const { old, row } = change
    if (old !== undefined) {
      const group = all.get(name(old))
      if (group !== undefined) {
        group.keys.delete(key)
        group.bytes -= weight(old)
        if (group.keys.size === 0) all.delete(name(old))
      }
    }
    if (row === undefined) return
    let group = all.get(name(row))
    if (group === undefined) {
      group = { keys: new Set(), bytes: 0 }
      all.set(name(row), group)
    }
    group.keys.add(key)
    group.bytes += weight(row)
  }

  const encode = (table: Table, key: string, { row, slab }: { readonly row: unknown; readonly slab: Slab }): Uint8Array => {
    const octets = slab.encode(row)
    return isSecret(table) ? seal(octets, { key: storeKey, name: `${table}/${key}`, random }) : octets
  }
  const tableOf = (table: Table): Map<string, unknown> => {
    let rows = memory.get(table)
    if (rows === undefined) {
      rows = new Map()
      memory.set(table, rows)
    }
    return rows
  }

  // Numbers of queues only rise while the process lives, also over steps that were undone.
  const last = new Map<Table, number>()
  const lastKeyOf = (table: Table): number => {
    let highest = 0
    for (const key of tableOf(table).keys()) highest = Math.max(highest, Number.parseInt(key, 16))
    return highest
  }

  const state: State = {
    // A table holds only rows of its own type; put is the only way in.
    get: (table, key) => memory.get(table)?.get(key) as never,
    rows: (table) => tableOf(table).entries() as never,
    size: (table) => tableOf(table).size,
    group: (table, name) => groups.get(table)?.get(name) ?? nothing,
    run(now, step, { steady, sure } = { steady: now, sure: now }) {
      let bereft: Set<Table> | undefined
      const effects: (() => void)[] = []
      const changed = new Map<string, { readonly table: Table; readonly key: string; readonly old: unknown }>()
      const change = (table: Table, key: string, row: unknown): void => {
        const rows = tableOf(table)
        const old = rows.get(key)
        if (row === undefined) {
          rows.delete(key)
          bereft ??= new Set()
          bereft.add(table)
        } else rows.set(key, row)
        regroup(table, key, { old, row })
        const name = `${table}/${key}`
        if (!changed.has(name)) changed.set(name, { table, key, old })
      }
      const tx: Tx = {
        now,
        steady,
        sure,
        get: state.get,
        rows: state.rows,
        size: state.size,
        group: state.group,
        next(table) {
          const n = (last.get(table) ?? lastKeyOf(table)) + 1
          last.set(table, n)
          return sortable(n)
        },
        put: change,
        del: (table, key) => change(table, key, undefined),
        after: (effect) => effects.push(effect),
      }
      try {
        const result = step(tx)
        return { result, changes: changed, effects }
      } catch (error) {
        for (const { table, key, old } of changed.values()) {
          const rows = tableOf(table)
          regroup(table, key, { old: rows.get(key), row: old })
          if (old === undefined) rows.delete(key)
          else rows.set(key, old)
        }
        // A row that was deleted came back at the end; queues are read in the order of their keys.
        for (const table of bereft ?? []) sortRows(tableOf(table))
        throw error
      }
    },
    write(changes) {
      const ops: StoreOp[] = []
      const slab = createSlab()
      const done = new Set<string>()
      for (const change of changes) {
        for (const [name, { table, key, old }] of change) {
          if (done.has(name)) continue
          done.add(name)
          const row = tableOf(table).get(key)
          if (row !== undefined) ops.push({ type: 'put', key: name, value: encode(table, key, { row, slab }) })
          // What came and went between two batches was never in the store.
          else if (old !== undefined) ops.push({ type: 'del', key: name })
        }
      }
      return ops
    },
    async reload() {
      await checkSchema(store)
      const read = new Map<Table, Map<string, unknown>>()
      for (const table of tables) {
        const rows = new Map<string, unknown>()
        read.set(table, rows)
        for await (const [name, octets] of store.iterate({ gt: `${table}/`, lt: `${table}0` })) {
          const key = name.slice(table.length + 1)
          const opened = isSecret(table) ? unseal(octets, { keys: storeKeys, name }) : octets
          const row = opened === undefined ? undefined : decodeRow(opened)
          if (row === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', `a row of ${table} cannot be read`)
          rows.set(key, row)
        }
      }
      memory = read
      groups = new Map()
      for (const [table, rows] of read) for (const [key, row] of rows) regroup(table, key, { old: undefined, row })
    },
    reseal() {
      const ops: StoreOp[] = []
      const slab = createSlab()
      for (const table of tables) {
        if (!isSecret(table)) continue
        for (const [name, row] of tableOf(table))
          ops.push({ type: 'put', key: `${table}/${name}`, value: encode(table, name, { row, slab }) })
      }
      return ops
    },
  }
  await state.reload()
  return state
}

const nothing: Group = { keys: new Set(), bytes: 0 }

function weight(row: unknown): number {
  return (row as { readonly bytes?: Uint8Array }).bytes?.length ?? 0
}

function sortRows(rows: Map<string, unknown>): void {
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
  rows.clear()
  for (const [key, row] of sorted) rows.set(key, row)
}

async function checkSchema(store: Store): Promise<void> {
  const octets = await store.get(schemaKey)
  if (octets === undefined) {
    await store.batch([{ type: 'put', key: schemaKey, value: utf8(String(schemaVersion)) }], { durable: true })
    return
  }
  const version = Number(fromUtf8(octets))
  if (!Number.isSafeInteger(version) || version < 1)
    throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the store does not name its schema version')
  // Untouched: the newer program that wrote it can still read it.
  if (version > schemaVersion)
    throw new AgentError('ERR_AGENT_STORE_NEWER', 'the store was written by a newer version of this program')
}

/** Rows of a batch one behind the other: an allocation for each of them costs more than writing it. */
type Slab = { encode(row: unknown): Uint8Array }

const slabBytes = 64 * 1024

// A row is JSON; octets that it carries in `bytes` follow behind a line feed instead of growing by a third in base64.
function createSlab(): Slab {
  let slab = new Uint8Array(0)
  let end = 0
  return {
    encode(row) {
      const { bytes, ...rest } = row as { readonly bytes?: Uint8Array }
      const json = JSON.stringify(bytes === undefined ? row : rest)
      // At most three octets for each unit of a text.
      const needed = 3 * json.length + 1 + (bytes?.length ?? 0)
      if (slab.length - end < needed) {
        slab = new Uint8Array(Math.max(slabBytes, needed))
        end = 0
      }
      const start = end
      end += utf8Into(json, slab.subarray(start)).written
      if (bytes !== undefined) {
        slab[end] = lineFeed
        slab.set(bytes, end + 1)
        end += 1 + bytes.length
      }
      return slab.subarray(start, end)
    },
  }
}

function decodeRow(octets: Uint8Array): unknown {
  const end = octets.indexOf(lineFeed)
  const result = parseJson(end < 0 ? octets : octets.subarray(0, end))
  if (!result.ok) return undefined
  return end < 0 ? result.value : { ...(result.value as object), bytes: octets.slice(end + 1) }
}

// Bound to its name, so that a thief with write access cannot swap two secrets.
function seal(
  octets: Uint8Array,
  options: { readonly key: Uint8Array; readonly name: string; readonly random: Random },
): Uint8Array {
  const iv = options.random.bytes(ivLength)
  return concat(iv, aeadSeal(options.key, { iv, plaintext: octets, aad: utf8(options.name) }))
}

function unseal(
  octets: Uint8Array,
  options: { readonly keys: readonly Uint8Array[]; readonly name: string },
): Uint8Array | undefined {
  if (octets.length < ivLength) return undefined
  const iv = octets.subarray(0, ivLength)
  const sealed = octets.subarray(ivLength)
  for (const key of options.keys) {
    const opened = aeadOpen(key, { iv, sealed, aad: utf8(options.name) })
    if (opened !== undefined) return opened
  }
  return undefined
}
