/**
 * A store that is opened again by itself after a batch that failed, when the next one comes: a process that lives on must not need
 * a restart because its disk was full for a while.
 * @module
 */
import { CoreError, type Store, type StoreRange } from '@parley/core'

/** Opens the store with `open`, now and whenever it failed. While it cannot be opened every call rejects as `open` does. */
export async function openReopeningStore(open: () => Promise<Store>): Promise<Store> {
  let store: Store | undefined = await open()
  let isTorn = false
  let isClosed = false
  let opening: Promise<Store> | undefined

  async function reopen(): Promise<Store> {
    const before = store
    store = undefined
    // Whether it can be closed in good order does not matter any more.
    await before?.close().catch(() => {})
    store = await open()
    isTorn = false
    return store
  }

  /** The store; opened again where that is due. */
  function use({ toWrite }: { readonly toWrite: boolean }): Store | Promise<Store> {
    if (isClosed) throw new CoreError('ERR_CORE_STORE_CLOSED', 'the store is closed')
    if (opening !== undefined) return opening
    // What it holds can be read as it is.
    if (store !== undefined && !(toWrite && isTorn)) return store
    opening = reopen().finally(() => {
      opening = undefined
    })
    return opening
  }

  return {
    get: async (key) => (await use({ toWrite: false })).get(key),
    getMany: async (keys) => (await use({ toWrite: false })).getMany(keys),
    async batch(ops, options) {
      const at = await use({ toWrite: true })
      try {
        await at.batch(ops, options)
      } catch (error) {
        if (store === at) isTorn = true
        throw error
      }
    },
    async *iterate(range: StoreRange) {
      yield* (await use({ toWrite: false })).iterate(range)
    },
    clear: async (range) => (await use({ toWrite: true })).clear(range),
    compact: async (range) => (await use({ toWrite: true })).compact(range),
    stats: async () => (await use({ toWrite: false })).stats(),
    async close() {
      isClosed = true
      await opening?.catch(() => {})
      await store?.close()
    },
  }
}
