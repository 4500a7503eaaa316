import { describe, expect, it } from 'vitest'
import { utf8 } from '../src/index.ts'
import {
  createMemoryStore,
  createSchedule,
  createSimDisk,
  createSimNetwork,
  createSimRandom,
  perfectLink,
  storeCases,
  transportCases,
} from '../src/sim/index.ts'

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))

describe('the simulated store', () => {
  for (const c of storeCases) it(c.name, () => c.run(createMemoryStore()))

  it('keeps what was synced and may lose what was not', async () => {
    let lost = 0
    for (let seed = 0; seed < 20; seed++) {
      const disk = createSimDisk({ random: createSimRandom(seed) })
      const store = disk.open()
      await store.batch([{ type: 'put', key: 'a', value: utf8('1') }], { durable: true })
      await store.batch([{ type: 'put', key: 'b', value: utf8('2') }], { durable: false })
      disk.crash()
      const again = disk.open()
      expect(await again.get('a')).toEqual(utf8('1'))
      if ((await again.get('b')) === undefined) lost++
      await expect(store.get('a')).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CLOSED' })
    }
    expect(lost).toBeGreaterThan(0)
    expect(lost).toBeLessThan(20)
  })

  it('loses a durable batch whose sync had not ended', async () => {
    const schedule = createSchedule({ settle })
    const disk = createSimDisk({ random: { ...createSimRandom(1), int: () => 0 }, schedule })
    disk.syncMs = 10
    const store = disk.open()
    let answered = false
    void store.batch([{ type: 'put', key: 'a', value: utf8('1') }], { durable: true }).then(
      () => {
        answered = true
      },
      () => {},
    )
    await schedule.run({ timeMax: 5 })
    disk.crash()
    await schedule.run({ timeMax: 50 })
    expect(answered).toBe(false)
    expect(await disk.open().get('a')).toBeUndefined()
  })

  it('admits one process and refuses writes when full', async () => {
    const disk = createSimDisk({ random: createSimRandom(1) })
    const store = disk.open()
    expect(() => disk.open()).toThrowError(expect.objectContaining({ code: 'ERR_CORE_STORE_LOCKED' }))
    disk.full = true
    await expect(store.batch([{ type: 'put', key: 'a', value: utf8('1') }], { durable: true })).rejects.toMatchObject({
      code: 'ERR_CORE_STORE_FULL',
    })
  })
})

describe('the points of a simulated disk', () => {
  const write = [{ type: 'put', key: 'a', value: utf8('1') }] as const
  const crashing = async (at: 'before' | 'after') => {
    const disk = createSimDisk({ random: createSimRandom(1) })
    const points: string[] = []
    disk.onBatch = (point) => {
      points.push(`${point.index} ${point.at}`)
      if (point.at === at) disk.crash()
    }
    await expect(disk.open().batch(write, { durable: true })).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CLOSED' })
    return { points, has: (await disk.open().get('a')) !== undefined, batches: disk.batches }
  }

  it('are before a batch, when a crash loses it', async () => {
    expect(await crashing('before')).toEqual({ points: ['1 before'], has: false, batches: 1 })
  })

  it('and after it, when a crash finds it durable', async () => {
    expect(await crashing('after')).toEqual({ points: ['1 before', '1 after'], has: true, batches: 1 })
  })

  it('let a batch fail, with or without having written it', async () => {
    for (const at of ['before', 'after'] as const) {
      const disk = createSimDisk({ random: createSimRandom(1) })
      disk.onBatch = (point) => {
        if (point.at === at) throw new Error('the cable')
      }
      const store = disk.open()
      await expect(store.batch(write, { durable: true })).rejects.toThrow('the cable')
      expect((await store.get('a')) !== undefined).toBe(at === 'after')
    }
  })
})

describe('the simulated network', () => {
  it('lets a hop answer other frames than it was given, connection by connection', async () => {
    const schedule = createSchedule({ settle })
    const network = createSimNetwork({ schedule, random: createSimRandom(1) })
    const seen: number[][] = []
    network.intercept = ({ connection, bytes }) => (connection === 1 ? [bytes, Uint8Array.of(9)] : [])
    await network.transport('b').listen({
      port: 1,
      subprotocols: ['x'],
      frameBytesMax: 9,
      onConnection: (connection) => connection.start({ onFrame: (frame) => seen.push([...frame]), onClose() {} }),
    })
    for (let i = 0; i < 2; i++) {
      void network
        .transport('a')
        .dial('ws://h:1', { subprotocols: ['x'], frameBytesMax: 9, timeoutMs: 9 })
        .then((connection) => {
          connection.start({ onFrame() {}, onClose() {} })
          connection.send(Uint8Array.of(i))
        })
      await schedule.run({ timeMax: schedule.time() + 100 })
    }
    expect(seen).toEqual([[0], [9]])
  })

  for (const c of transportCases) {
    it(c.name, async () => {
      const schedule = createSchedule({ settle })
      const network = createSimNetwork({ schedule, random: createSimRandom(1) })
      let failure: unknown
      let done = false
      void c.run({ transport: network.transport('n'), url: (port) => `ws://127.0.0.1:${port}` }).then(
        () => {
          done = true
        },
        (error: unknown) => {
          failure = error
          done = true
        },
      )
      await schedule.run({ until: () => done, timeMax: 10_000 })
      expect(failure).toBeUndefined()
      expect(done).toBe(true)
    })
  }

  it('injects each fault it is asked for, and the same ones for the same seed', async () => {
    const once = async (seed: number) => {
      const schedule = createSchedule({ settle })
      const faults = { ...perfectLink, lose: 0.05, duplicate: 0.05, reorder: 0.05, break: 0.01, halfOpen: 0.01 }
      const network = createSimNetwork({ schedule, random: createSimRandom(seed), faults })
      let seen = ''
      await (async () => {
        const accept = network.transport('b').listen({
          port: 1,
          subprotocols: ['x'],
          frameBytesMax: 9,
          onConnection: (connection) =>
            connection.start({ onFrame: (frame) => (seen += frame[0]), onClose: () => (seen += '|') }),
        })
        await accept
        for (let i = 0; i < 20; i++) {
          void network
            .transport('a')
            .dial('ws://h:1', { subprotocols: ['x'], frameBytesMax: 9, timeoutMs: 9 })
            .then((connection) => {
              connection.start({ onFrame() {}, onClose() {} })
              for (let j = 0; j < 10; j++) connection.send(Uint8Array.of(j))
            })
          await schedule.run({ timeMax: schedule.time() + 100 })
        }
      })()
      return { seen, injected: network.injected }
    }
    const first = await once(7)
    expect(await once(7)).toEqual(first)
    expect((await once(8)).seen).not.toBe(first.seen)
    for (const kind of ['lost', 'duplicated', 'reordered', 'broken', 'half-open'] as const)
      expect(first.injected[kind]).toBeGreaterThan(0)
  })
})
