/**
 * The Store port on LevelDB: classic-level in Node (one process per folder), IndexedDB through browser-level elsewhere.
 * @module
 */
import { CoreError, type Store, type StoreOp, type StoreRange } from '@parley/core'
import { Level } from 'level'

export { openReopeningStore } from './reopening.ts'

type Db = Level<string, Uint8Array>

/** What classic-level has and browser-level has not. */
type Native = {
  compactRange?(start: string, end: string): Promise<void>
  approximateSize?(start: string, end: string): Promise<number>
}

// Keys are ASCII; this sorts behind all of them.
const lastKey = '\u007f'
// Read at once; the engine's own choice is a tenth of it.
const readBytes = 160 * 1024

export type LevelOptions = {
  /** Octets that LevelDB gathers in memory before it sorts them into a file; twice that may be in use. The engine's default is 4 MiB. */
  readonly writeBufferBytes?: number
}

/**
 * Opens or creates the store in `folder` (in browsers: the database of that name). After a batch that failed it takes no other one until it
 * is opened again; what it holds can be read.
 */
export async function openLevelStore(folder: string, { writeBufferBytes }: LevelOptions = {}): Promise<Store> {
  const more = writeBufferBytes === undefined ? {} : { writeBufferSize: writeBufferBytes }
  const db: Db = new Level(folder, { keyEncoding: 'utf8', valueEncoding: 'view', ...more })
  try {
    await db.open()
  } catch (error) {
    throw openError(error)
  }
  return createStore(db)
}

function createStore(db: Db): Store {
  // In browsers the two are absent: IndexedDB compacts by itself and tells no sizes.
  const native = db as Native
  let torn: CoreError | undefined
  return {
    async get(key) {
      const value = await attempt(() => db.get(key))
      return plain(value)
    },
    async getMany(keys) {
      const values = await attempt(() => db.getMany([...keys]))
      return values.map(plain)
    },
    async batch(ops, { durable }) {
      // LevelDB's log may end in half a record now: what it takes after that, it loses when it is opened again.
      if (torn !== undefined)
        throw new CoreError(torn.code, `${torn.message}; open the store again`, { cause: torn, retryable: true })
      try {
        await attempt(() => write(db, ops, durable))
      } catch (error) {
        if (native.compactRange !== undefined && isCoreError(error) && error.code !== 'ERR_CORE_STORE_CLOSED') torn = error
        throw error
      }
    },
    async *iterate(range) {
      const iterator = db.iterator(levelRange(range))
      try {
        for (;;) {
          const entries = await attempt(() => iterator.nextv(256))
          if (entries.length === 0) return
          for (const [key, value] of entries) yield [key, plain(value) as Uint8Array] as const
        }
      } finally {
        await iterator.close()
      }
    },
    async clear(range) {
      await attempt(() => db.clear(levelRange(range)))
    },
    async compact(range) {
      await attempt(async () => native.compactRange?.(range.gte ?? range.gt ?? '', range.lte ?? range.lt ?? lastKey))
    },
    async stats() {
      const bytes = await attempt(async () => native.approximateSize?.('', lastKey))
      return { bytes: bytes ?? 0 }
    },
    async close() {
      await attempt(() => db.close())
    },
  }
}

// One operation after the other goes straight into LevelDB's own batch: a list of them costs five times as much on the way.
async function write(db: Db, ops: readonly StoreOp[], durable: boolean): Promise<void> {
  const batch = db.batch()
  try {
    for (const op of ops) {
      if (op.type === 'put') batch.put(op.key, op.value)
      else batch.del(op.key)
    }
  } catch (error) {
    await batch.close()
    throw error
  }
  // `sync` is classic-level's option; browser-level ignores it, IndexedDB commits on its own terms.
  await batch.write({ sync: durable } as object)
}

function isCoreError(error: unknown): error is CoreError {
  return error instanceof CoreError
}

// Node answers Buffers out of a shared pool, browsers plain views: one kind leaves this file.
function plain(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

function levelRange(range: StoreRange): Record<string, unknown> {
  return { ...range, highWaterMarkBytes: readBytes }
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw storeError(error)
  }
}

// A failed open arrives as LEVEL_DATABASE_NOT_OPEN; the reason is its cause. A missing or unreadable part is damage too.
function openError(error: unknown): CoreError {
  const { cause } = error as { cause?: { code?: string; message?: string } }
  if (cause?.code === 'LEVEL_IO_ERROR' && /no such file|not found/i.test(cause.message ?? '')) {
    return new CoreError('ERR_CORE_STORE_CORRUPT', 'the store is damaged; restore a backup or repair it', { cause: error })
  }
  const known = storeError(error)
  return known.code === 'ERR_CORE_STORE_CLOSED'
    ? new CoreError('ERR_CORE_STORE_FAILED', 'the store cannot be opened', { cause: error })
    : known
}

function storeError(error: unknown): CoreError {
  const { code, message, cause } = error as { code?: string; message?: string; cause?: { code?: string; message?: string } }
  const text = `${message ?? ''} ${cause?.message ?? ''}`
  const inner = cause?.code ?? code
  if (inner === 'LEVEL_LOCKED')
    return new CoreError('ERR_CORE_STORE_LOCKED', 'another process has this store open', { cause: error })
  if (inner === 'LEVEL_CORRUPTION' || /corrupt/i.test(text)) {
    return new CoreError('ERR_CORE_STORE_CORRUPT', 'the store is damaged; restore a backup or repair it', { cause: error })
  }
  if (/no space|ENOSPC|quota/i.test(text)) {
    return new CoreError('ERR_CORE_STORE_FULL', 'the disk is full', { cause: error, retryable: true })
  }
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') {
    return new CoreError('ERR_CORE_STORE_CLOSED', 'the store is closed', { cause: error })
  }
  return new CoreError('ERR_CORE_STORE_FAILED', 'the store failed', { cause: error, retryable: true })
}

/** Puts a damaged LevelDB folder together from what can still be read of it. Something may be lost; keep a copy before. Node only. */
export async function salvageLevelStore(folder: string): Promise<void> {
  // classic-level has it, the type of `level` speaks for browsers too.
  await attempt(() => (Level as unknown as { repair(folder: string): Promise<void> }).repair(folder))
}
