/**
 * The store as the relay uses it: when its disk has hardly any room, what would grow is refused with a retryable error while deletions go on,
 * so that everything stored can still be delivered and leave; after a write that failed it is opened again as soon as there is room.
 * @module
 */
import { CoreError, type Store, type StoreOp, type Telemetry } from '@parley/core'

export type StoreState = { readonly problem: 'disk-full' | 'store-failed' | undefined; readonly freeBytes: number }

export type GuardedStore = Store & {
  state(): StoreState
  /** Looks at the disk, and opens the store again where that is needed and can be done. */
  look(): Promise<void>
}

export type GuardedStoreOptions = {
  open(): Promise<Store>
  /** Octets free on its disk. */
  free(): Promise<number>
  /** Below so many free octets nothing grows. */
  freeBytesMin(): number
  readonly telemetry: Pick<Telemetry, 'count' | 'measure'>
  monotonic(): number
}

// What is written takes up to twice its size before LevelDB has tidied up.
const writtenFactor = 2
// Opening again writes what LevelDB's log holds, up to 4 MiB, into a table. Closed and not opened, nothing could be read.
const reopenBytesMin = 8 * 1024 * 1024

/** Opens the store. Call `look` now and then: once a second. */
export async function openGuardedStore(options: GuardedStoreOptions): Promise<GuardedStore> {
  const { open, free, freeBytesMin, telemetry, monotonic } = options
  let inner = await open()
  let freeBytes = await free()
  let written = 0
  let failed: unknown
  let swapping: Promise<void> | undefined
  let looking: Promise<void> | undefined
  let closed = false

  function isFull(): boolean {
    return freeBytes - writtenFactor * written < freeBytesMin()
  }

  async function lookOnce(): Promise<void> {
    freeBytes = await free()
    written = 0
    if (closed || failed === undefined || isFull() || freeBytes < reopenBytesMin) return
    swapping = reopen()
    await swapping.finally(() => {
      swapping = undefined
    })
  }

  async function reopen(): Promise<void> {
    await inner.close().catch(() => {})
    inner = await open()
    failed = undefined
  }

  function look(): Promise<void> {
    looking ??= lookOnce()
      // It stays as it is until the next look.
      .catch(() => {})
      .finally(() => {
        looking = undefined
      })
    return looking
  }

  async function batch(ops: readonly StoreOp[], batchOptions: { readonly durable: boolean }): Promise<void> {
    if (isFull()) {
      void look()
      if (grow(ops)) {
        telemetry.count('store.refused_full')
        throw full()
      }
    }
    await swapping
    const started = monotonic()
    try {
      await inner.batch(ops, batchOptions)
    } catch (error) {
      telemetry.count('store.batch_failed')
      failed ??= error
      void look()
      throw error
    }
    telemetry.measure('store.batch_ms', monotonic() - started)
    for (const op of ops) if (op.type === 'put') written += op.key.length + op.value.length
  }

  async function* iterateLater(range: Parameters<Store['iterate']>[0]): AsyncGenerator<readonly [string, Uint8Array]> {
    await swapping
    yield* inner.iterate(range)
  }

  return {
    async get(key) {
      await swapping
      return inner.get(key)
    },
    async getMany(keys) {
      await swapping
      return inner.getMany(keys)
    },
    batch,
    iterate: (range) => (swapping === undefined ? inner.iterate(range) : iterateLater(range)),
    clear: (range) => inner.clear(range),
    compact: (range) => inner.compact(range),
    stats: () => inner.stats(),
    close() {
      closed = true
      return inner.close()
    },
    state() {
      const noRoom = isFull() || (failed !== undefined && freeBytes < reopenBytesMin)
      return { problem: noRoom ? 'disk-full' : failed === undefined ? undefined : 'store-failed', freeBytes }
    },
    look,
  }
}

// Sums and counts are written with every deletion; they replace what stands there.
function grow(ops: readonly StoreOp[]): boolean {
  return ops.some((op) => op.type === 'put' && !/^mailbox\/(?:log|refs)\//.test(op.key) && !isRest(op.key, ops))
}

// What is left of a record of several stanzas, some of which go: it stands where that record stood, or before it. New ones stand behind.
function isRest(key: string, ops: readonly StoreOp[]): boolean {
  if (!key.startsWith('mailbox/entry/')) return false
  const log = key.slice(0, key.lastIndexOf(' ') + 1)
  return ops.some((op) => op.type === 'del' && op.key.startsWith(log) && op.key >= key)
}

function full(): CoreError {
  return new CoreError('ERR_CORE_STORE_FULL', 'the disk has hardly any room left', { retryable: true })
}
