/**
 * A simulated disk with an ordered key-value store on it: what was not synced is lost at a crash, down to a random
 * point of the write order; it can be slow, and full. The disk outlives the store, as a folder outlives a process.
 * @module
 */
import { CoreError } from '../errors.ts'
import type { Store, StoreOp, StoreRange } from '../ports.ts'
import { createSimRandom, type SimRandom } from './random.ts'
import type { Schedule } from './schedule.ts'

/** A point in the life of a disk where a process can die. */
export type BatchPoint = { readonly index: number; readonly at: 'before' | 'after'; readonly durable: boolean }

export interface SimDisk {
  /** Opens the store; one at a time, like LevelDB's folder lock. */
  open(): Store
  /** The process dies: the open store stops answering, the unsynced tail is lost from a random write on. */
  crash(): void
  /** While true every put is refused with `ERR_CORE_STORE_FULL`; deletes go on. */
  full: boolean
  /** Milliseconds that a durable batch takes. */
  syncMs: number
  /** While true durable batches answer before they are synced: a disk to catch checks with that cannot fail. */
  liesAboutSync: boolean
  /**
   * Told of every batch, before it is written and when it is done; `index` counts from 1. A crash called from here happens
   * exactly there; an error thrown here is what the batch rejects with, so after `after` it was written all the same.
   */
  onBatch: (point: BatchPoint) => void
  /** Batches begun so far. */
  readonly batches: number
  /** Every stored value, for tests that look for what must not be there. */
  contents(): ReadonlyMap<string, Uint8Array>
  /** Batches lost at crashes, counted. */
  readonly lostBatches: number
  /** A copy of the disk as it is now: a backup, or what a thief takes. */
  snapshot(): ReadonlyMap<string, Uint8Array>
  restore(from: ReadonlyMap<string, Uint8Array>): void
}

type Entries = { keys: string[]; values: Map<string, Uint8Array> }

export function createSimDisk(options: { readonly random: SimRandom; readonly schedule?: Schedule }): SimDisk {
  const { random, schedule } = options
  let synced = new Map<string, Uint8Array>()
  let tail: (readonly StoreOp[])[] = []
  let live: Entries = { keys: [], values: new Map() }
  let generation = 0
  let opened = false
  let lostBatches = 0
  let batches = 0

  const load = (from: ReadonlyMap<string, Uint8Array>): void => {
    live = { keys: [...from.keys()].sort(compare), values: new Map(from) }
  }

  const disk: SimDisk = {
    full: false,
    syncMs: 0,
    liesAboutSync: false,
    onBatch() {},
    get batches() {
      return batches
    },
    get lostBatches() {
      return lostBatches
    },
    open() {
      if (opened) throw new CoreError('ERR_CORE_STORE_LOCKED', 'another process has this store open')
      opened = true
      const mine = ++generation
      const check = (): void => {
        if (mine !== generation || !opened) throw new CoreError('ERR_CORE_STORE_CLOSED', 'the store is closed')
      }
      return createStore(check)
    },
    crash() {
      generation++
      opened = false
      const kept = tail.length === 0 ? 0 : random.int(tail.length + 1)
      lostBatches += tail.length - kept
      for (const ops of tail.slice(0, kept)) applyTo(synced, ops)
      tail = []
      load(synced)
    },
    contents: () => live.values,
    snapshot: () => new Map(live.values),
    restore(from) {
      synced = new Map(from)
      tail = []
      load(synced)
    },
  }
  return disk

  function createStore(check: () => void): Store {
    const wait = async (ms: number): Promise<void> => {
      if (ms > 0 && schedule !== undefined) await new Promise<void>((done) => schedule.at(schedule.time() + ms, done))
      else await undefined
      check()
    }
    return {
      async get(key) {
        check()
        const value = live.values.get(key)
        await wait(0)
        return value?.slice()
      },
      async getMany(keys) {
        check()
        const values = keys.map((key) => live.values.get(key)?.slice())
        await wait(0)
        return values
      },
      async batch(ops, { durable }) {
        check()
        batches++
        const index = batches
        disk.onBatch({ index, at: 'before', durable })
        check()
        if (disk.full && ops.some((op) => op.type === 'put')) {
          throw new CoreError('ERR_CORE_STORE_FULL', 'the disk is full', { retryable: true })
        }
        const copy = ops.map((op): StoreOp => (op.type === 'put' ? { ...op, value: op.value.slice() } : op))
        for (const op of copy) apply(op)
        tail.push(copy)
        const length = tail.length
        const at = tail
        if (durable && !disk.liesAboutSync) {
          await wait(disk.syncMs)
          // Syncs finish in order: this one covers every batch that was written before it.
          if (tail === at) for (const earlier of tail.splice(0, Math.min(length, tail.length))) applyTo(synced, earlier)
        } else {
          await wait(0)
        }
        disk.onBatch({ index, at: 'after', durable })
        check()
      },
      async *iterate(range) {
        check()
        const keys = select(live.keys, range)
        const values = keys.map((key) => live.values.get(key)?.slice())
        for (const [i, key] of keys.entries()) {
          await wait(0)
          const value = values[i]
          if (value !== undefined) yield [key, value] as const
        }
      },
      async clear(range) {
        check()
        const ops = select(live.keys, range).map((key): StoreOp => ({ type: 'del', key }))
        for (const op of ops) apply(op)
        tail.push(ops)
        await wait(0)
      },
      async compact() {
        check()
        await wait(0)
      },
      async stats() {
        check()
        let bytes = 0
        for (const [key, value] of live.values) bytes += key.length + value.length
        await wait(0)
        return { bytes }
      },
      async close() {
        check()
        for (const ops of tail) applyTo(synced, ops)
        tail = []
        opened = false
        generation++
      },
    }
  }

  function apply(op: StoreOp): void {
    const known = live.values.has(op.key)
    if (op.type === 'put') {
      if (!known) live.keys.splice(lowerBound(live.keys, op.key), 0, op.key)
      live.values.set(op.key, op.value)
    } else if (known) {
      live.keys.splice(lowerBound(live.keys, op.key), 1)
      live.values.delete(op.key)
    }
  }
}

/** A store in memory that loses nothing: for tests that need a store and no faults. */
export function createMemoryStore(): Store {
  return createSimDisk({ random: createSimRandom(0) }).open()
}

function applyTo(map: Map<string, Uint8Array>, ops: readonly StoreOp[]): void {
  for (const op of ops) {
    if (op.type === 'put') map.set(op.key, op.value)
    else map.delete(op.key)
  }
}

// Keys are ASCII by the port's contract, so code unit order is octet order.
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

function select(keys: readonly string[], range: StoreRange): string[] {
  let from = 0
  let to = keys.length
  if (range.gte !== undefined) from = Math.max(from, lowerBound(keys, range.gte))
  if (range.gt !== undefined)
    from = Math.max(
      from,
      keys[lowerBound(keys, range.gt)] === range.gt ? lowerBound(keys, range.gt) + 1 : lowerBound(keys, range.gt),
    )
  if (range.lt !== undefined) to = Math.min(to, lowerBound(keys, range.lt))
  if (range.lte !== undefined)
    to = Math.min(
      to,
      keys[lowerBound(keys, range.lte)] === range.lte ? lowerBound(keys, range.lte) + 1 : lowerBound(keys, range.lte),
    )
  const found = keys.slice(from, Math.max(from, to))
  if (range.reverse === true) found.reverse()
  return range.limit === undefined ? found : found.slice(0, range.limit)
}
