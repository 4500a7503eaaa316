import { CoreError, type Store, type StoreOp, utf8 } from '@parley/core'
import { createSchedule, createSimDisk, createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { openGuardedStore } from '../src/store/guarded-store.ts'

const mib = 1024 * 1024
const put = (key: string, bytes = 10): StoreOp => ({ type: 'put', key, value: new Uint8Array(bytes) })
const entry = put('mailbox/entry/device:bob@b.example/one 0000000000000001')
const log: StoreOp = { type: 'put', key: 'mailbox/log/device:bob@b.example/one', value: utf8('8 1 1 0 0') }
const durable = { durable: true }

/** A guarded store on a disk whose room and failures are given here. */
async function world() {
  const random = createSimRandom(1)
  const schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  const disk = createSimDisk({ random, schedule })
  const at = { free: 100 * mib, min: 10 * mib, fails: false, opened: 0 }
  const counts: string[] = []
  const failure = (): CoreError => new CoreError('ERR_CORE_STORE_FULL', 'the disk is full', { retryable: true })
  const store = await openGuardedStore({
    async open() {
      if (at.fails && at.opened > 0) throw failure()
      at.opened++
      const inner: Store = disk.open()
      return { ...inner, batch: (ops, options) => (at.fails ? Promise.reject(failure()) : inner.batch(ops, options)) }
    },
    free: async () => at.free,
    freeBytesMin: () => at.min,
    telemetry: { count: (name) => void counts.push(name), measure() {} },
    monotonic: () => schedule.clock().monotonic(),
  })
  return { store, at, counts }
}

describe('the guarded store', () => {
  it('takes nothing that grows when the disk has hardly any room, and lets go what leaves', async () => {
    const { store, at, counts } = await world()
    await store.batch([entry, log], durable)
    at.free = 5 * mib
    await store.look()
    expect(store.state()).toEqual({ problem: 'disk-full', freeBytes: 5 * mib })
    await expect(store.batch([entry, log], durable)).rejects.toMatchObject({ code: 'ERR_CORE_STORE_FULL', retryable: true })
    expect(counts).toEqual(['store.refused_full'])
    expect(await store.get(entry.key)).toBeDefined()
    await store.batch([{ type: 'del', key: entry.key }, log], durable)
    expect(await store.get(entry.key)).toBeUndefined()
    at.free = 50 * mib
    await store.look()
    await store.batch([entry, log], durable)
    expect(store.state().problem).toBeUndefined()
  })

  it('takes what is left of a record of which a part goes, and nothing new with it', async () => {
    const { store, at } = await world()
    const rowOf = (reader: string, n: number): string => `mailbox/entry/device:${reader}@b.example/one 000000000000000${n}`
    await store.batch([put(rowOf('bob', 4)), put(rowOf('carol', 4)), log], durable)
    at.free = 5 * mib
    await store.look()
    const gone: StoreOp = { type: 'del', key: rowOf('bob', 4) }
    const refused = { code: 'ERR_CORE_STORE_FULL' }
    await expect(store.batch([gone, put(rowOf('bob', 5)), log], durable)).rejects.toMatchObject(refused)
    await expect(store.batch([gone, put(rowOf('carol', 3)), log], durable)).rejects.toMatchObject(refused)
    await store.batch([gone, put(rowOf('bob', 3)), log], durable)
    expect(await store.get(rowOf('bob', 3))).toBeDefined()
    const last: StoreOp = { type: 'del', key: rowOf('bob', 3) }
    await store.batch([last, put(rowOf('bob', 3), 5), log], durable)
    expect(await store.get(rowOf('bob', 3))).toHaveLength(5)
  })

  it('counts what it writes between two looks', async () => {
    const { store, at } = await world()
    at.free = 20 * mib
    await store.look()
    await store.batch([put('mailbox/body/a', 6 * mib)], durable)
    expect(store.state().problem).toBe('disk-full')
    at.free = 14 * mib
    await store.look()
    expect(store.state().problem).toBeUndefined()
  })

  it('says that a write failed, is read on, and is opened again when there is room and that works', async () => {
    const { store, at } = await world()
    await store.batch([entry], durable)
    // No reserve: the database itself meets the end of the disk.
    at.min = 0
    at.free = mib
    await store.look()
    at.fails = true
    await expect(store.batch([log], durable)).rejects.toMatchObject({ code: 'ERR_CORE_STORE_FULL' })
    expect(await store.get(entry.key)).toBeDefined()
    await store.look()
    expect([at.opened, store.state().problem]).toEqual([1, 'disk-full'])
    at.fails = false
    await store.look()
    expect(at.opened).toBe(1)
    at.free = 50 * mib
    await store.look()
    expect(at.opened).toBe(2)
    expect(store.state().problem).toBeUndefined()
    await store.batch([log], durable)
    expect((await store.getMany([entry.key, log.key])).every((value) => value !== undefined)).toBe(true)
  })

  it('goes on trying when it cannot be opened yet', async () => {
    const { store, at } = await world()
    at.fails = true
    await expect(store.batch([log], durable)).rejects.toThrow()
    await store.look()
    await store.look()
    expect(store.state().problem).toBe('store-failed')
    at.fails = false
    await store.look()
    expect(store.state().problem).toBeUndefined()
    await store.batch([log], durable)
  })
})
