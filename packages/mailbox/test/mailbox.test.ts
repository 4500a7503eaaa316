import { fromUtf8, type Store, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { createMailbox, type Mailbox, type MailboxContent } from '../src/index.ts'
import { createTestWorld } from './world.ts'

const reader = 'device:bob@b.example/one'
const entry = utf8('entry')
const all = { countMax: 1000, bytesMax: 10_000_000 }
const body = new Uint8Array(1000)

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))
const content = (expiry: number, more: Partial<MailboxContent> = {}): MailboxContent => ({
  header: utf8('{}'),
  body,
  expiry,
  ...more,
})
const positions = async (mailbox: Mailbox, of = reader): Promise<number[]> => (await mailbox.read(of, 0, all)).map(({ n }) => n)

/** Counts durable batches. */
function counting(store: Store): { readonly store: Store; readonly syncs: () => number } {
  let syncs = 0
  return {
    store: {
      ...store,
      batch: (ops, options) => {
        if (options.durable) syncs++
        return store.batch(ops, options)
      },
    },
    syncs: () => syncs,
  }
}

describe('the mailbox', () => {
  it('syncs once for all appends of a turn', async () => {
    const world = createTestWorld()
    const { store, syncs } = counting(world.disk.open())
    const mailbox = await createMailbox({ store, random: { bytes: (n) => new Uint8Array(n) }, clock: world.clock })
    const before = syncs()
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => mailbox.append([{ reader: `device:${i}`, entry }], content(world.now() + 1000))),
    )
    expect(syncs() - before).toBe(1)
  })

  it('takes appends that arrive during a sync together in the next one', async () => {
    const world = createTestWorld()
    const { store, syncs } = counting(world.disk.open())
    const mailbox = await createMailbox({ store, random: { bytes: (n) => new Uint8Array(n) }, clock: world.clock })
    world.disk.syncMs = 10
    const before = syncs()
    const append = () => mailbox.append([{ reader, entry }], content(world.now() + 100_000))
    const first = append()
    await settle()
    expect(syncs() - before).toBe(1)
    const rest = Array.from({ length: 50 }, append)
    let done = false
    Promise.all([first, ...rest]).then(() => {
      done = true
    })
    await world.schedule.run({ until: () => done, timeMax: 1000 })
    expect(syncs() - before).toBe(2)
  })

  it('writes what a reader gets in one turn into one record, as far as that is not too large', async () => {
    const world = createTestWorld()
    const mailbox = await world.open()
    const entries = (): number[] =>
      [...world.disk.contents()].filter(([key]) => key.startsWith('mailbox/entry/')).map(([, value]) => value.length)
    await Promise.all(Array.from({ length: 150 }, () => mailbox.append([{ reader, entry }], content(world.now() + 100_000))))
    expect(entries()).toHaveLength(3)
    for (const length of entries()) expect(length).toBeLessThanOrEqual(64 * 1024 + 9)
    const all = await positions(mailbox)
    expect(all).toHaveLength(150)
    // One that is larger than a record of many stands alone.
    await mailbox.append([{ reader, entry }], content(world.now() + 100_000, { body: new Uint8Array(100_000) }))
    expect(entries()).toHaveLength(4)
    await mailbox.ack(reader, mailbox.epoch, all[100] ?? 0)
    expect(entries()).toHaveLength(3)
    await mailbox.ack(reader, mailbox.epoch, (all.at(-1) ?? 0) + 1)
    expect(entries()).toHaveLength(0)
  })

  it('reads what the first version has written, and marks the store so that the first version refuses it from then on', async () => {
    const world = createTestWorld()
    const before = await world.open()
    for (let i = 0; i < 3; i++) await before.append([{ reader, entry }], content(world.now() + 100_000))
    await before.close()
    world.crash()
    const store = world.disk.open()
    const meta = utf8(JSON.stringify({ schema: 1, epoch: before.epoch }))
    await store.batch([{ type: 'put', key: 'mailbox/meta', value: meta }], { durable: true })
    const mailbox = await createMailbox({ store, random: { bytes: (n) => new Uint8Array(n) }, clock: world.clock })
    expect(mailbox.epoch).toBe(before.epoch)
    expect(fromUtf8(world.disk.contents().get('mailbox/meta') ?? meta)).toBe(`{"schema":2,"epoch":"${before.epoch}"}`)
    const [, second] = await positions(mailbox)
    await Promise.all([1, 2].map(() => mailbox.append([{ reader, entry }], content(world.now() + 100_000))))
    expect(await mailbox.ack(reader, mailbox.epoch, second ?? 0)).toBe('done')
    expect(await positions(mailbox)).toHaveLength(3)
  })

  it('answers an append only after the sync, and shows it to no reader before', async () => {
    const world = createTestWorld()
    const mailbox = await world.open()
    world.disk.syncMs = 10
    let answered = false
    const appended = mailbox.append([{ reader, entry }], content(world.now() + 100_000)).then(() => {
      answered = true
    })
    await settle()
    expect(answered).toBe(false)
    expect(await positions(mailbox)).toEqual([])
    await world.schedule.run({ until: () => answered, timeMax: 1000 })
    await appended
    expect(await positions(mailbox)).toHaveLength(1)
  })

  it('stores a shared body once and deletes it with its last reader', async () => {
    const world = createTestWorld({ recentBytesMax: 0 })
    const mailbox = await world.open()
    const readers = ['device:1', 'device:2', 'device:3']
    await mailbox.append(
      readers.map((name) => ({ reader: name, entry })),
      content(world.now() + 100_000),
    )
    const bodies = (): number => [...world.disk.contents().values()].filter((value) => value.length >= 1000).length
    expect(bodies()).toBe(1)
    for (const [i, name] of readers.entries()) {
      expect(bodies()).toBe(1)
      await mailbox.ack(name, mailbox.epoch, (await positions(mailbox, name))[0] ?? 0)
      expect((await mailbox.stats()).count).toBe(2 - i)
    }
    expect(bodies()).toBe(0)
    expect([...world.disk.contents().keys()].filter((key) => /entry|body|refs/.test(key))).toEqual([])
  })

  it('leaves holes rather than issue a position again after a crash that lost an unanswered append', async () => {
    for (let seed = 0; seed < 50; seed++) {
      const world = createTestWorld({}, { seed })
      const before = await world.open()
      const seen = new Set<number>()
      for (let i = 0; i < 5; i++) seen.add((await before.append([{ reader, entry }], content(world.now() + 100_000)))[0]?.n ?? 0)
      world.disk.syncMs = 10
      before.append([{ reader, entry }], content(world.now() + 100_000)).catch(() => {})
      await settle()
      world.crash()
      world.disk.syncMs = 0
      const mailbox = await world.open()
      const [at] = await mailbox.append([{ reader, entry }], content(world.now() + 100_000))
      expect(seen.has(at?.n ?? 0)).toBe(false)
      expect(await positions(mailbox)).toEqual(expect.arrayContaining([...seen]))
    }
  })

  it('refuses appends while the disk is full, keeps serving what is stored, and recovers', async () => {
    const world = createTestWorld()
    const mailbox = await world.open()
    await mailbox.append([{ reader, entry }], content(world.now() + 100_000))
    world.disk.full = true
    const failed = mailbox.append([{ reader, entry }], content(world.now() + 100_000))
    await expect(failed).rejects.toMatchObject({ code: 'ERR_MAILBOX_STORE_FAILED', retryable: true })
    expect(await positions(mailbox)).toHaveLength(1)
    world.disk.full = false
    const [at] = await mailbox.append([{ reader, entry }], content(world.now() + 100_000))
    expect(await positions(mailbox)).toHaveLength(2)
    expect(await mailbox.stats(reader)).toMatchObject({ count: 2 })
    expect(await mailbox.ack(reader, mailbox.epoch, at?.n ?? 0)).toBe('done')
    expect(await mailbox.stats(reader)).toEqual({ count: 0, bytes: 0 })
  })

  it('remembers no duplicate of an append that failed', async () => {
    const world = createTestWorld()
    const mailbox = await world.open()
    const once = { origin: 'device:a', id: 'urn:uuid:7e5d5b3c-8b0e-4c39-9f1a-2f4de0f3a1b7' }
    world.disk.full = true
    await expect(mailbox.append([{ reader, entry }], content(world.now() + 100_000, once))).rejects.toMatchObject({
      retryable: true,
    })
    world.disk.full = false
    await mailbox.append([{ reader, entry }], content(world.now() + 100_000, once))
    expect(await positions(mailbox)).toHaveLength(1)
  })

  it('refuses a store of a newer version and changes nothing in it', async () => {
    const world = createTestWorld()
    await (await world.open()).close()
    world.crash()
    const store = world.disk.open()
    await store.batch([{ type: 'put', key: 'mailbox/meta', value: utf8('{"schema":3,"more":true}') }], { durable: true })
    const before = world.disk.snapshot()
    const opening = createMailbox({ store, random: { bytes: (n) => new Uint8Array(n) }, clock: world.clock, restored: true })
    await expect(opening).rejects.toMatchObject({ code: 'ERR_MAILBOX_STORE_NEWER' })
    expect(world.disk.snapshot()).toEqual(before)
  })

  it.each(['mailbox/meta', `mailbox/log/${reader}`, 'mailbox/entry/'])('names damage in %s', async (prefix) => {
    const world = createTestWorld()
    const before = await world.open()
    await before.append([{ reader, entry }], content(world.now() + 100_000))
    world.crash()
    const store = world.disk.open()
    const key = [...world.disk.contents().keys()].find((name) => name.startsWith(prefix)) ?? ''
    await store.batch([{ type: 'put', key, value: utf8('?') }], { durable: true })
    const read = async (): Promise<unknown> => {
      const mailbox = await createMailbox({ store, random: { bytes: (n) => new Uint8Array(n) }, clock: world.clock })
      return mailbox.read(reader, 0, all)
    }
    await expect(read()).rejects.toMatchObject({ code: 'ERR_MAILBOX_STORE_CORRUPT' })
  })

  it('refuses misuse at once, naming the argument', async () => {
    const world = createTestWorld()
    const mailbox = await world.open()
    expect(() => mailbox.append([{ reader: 'a b', entry }], content(1))).toThrow(/reader/)
    expect(() => mailbox.append([{ reader, entry }], content(-1))).toThrow(/expiry/)
    expect(await mailbox.append([], content(1))).toEqual([])
  })

  it('keeps order and sums under many concurrent appends, reads and acknowledgements with little memory', async () => {
    const world = createTestWorld({ recentBytesMax: 5000 })
    const mailbox = await world.open()
    const readers = ['device:1', 'device:2', 'device:3']
    const read = new Map(readers.map((name) => [name, [] as number[]]))
    const appended = new Map(readers.map((name) => [name, [] as number[]]))
    const writer = async (): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        const at = await mailbox.append(
          readers.slice(i % 3).map((name) => ({ reader: name, entry })),
          content(world.now() + 100_000),
        )
        for (const { reader: name, n } of at) appended.get(name)?.push(n)
      }
    }
    const consumer = async (name: string, total: () => number): Promise<void> => {
      const mine = read.get(name) ?? []
      while (mine.length < total()) {
        for (const item of await mailbox.read(name, mine.at(-1) ?? 0, { countMax: 7, bytesMax: 100_000 })) mine.push(item.n)
        if (mine.length > 0) await mailbox.ack(name, mailbox.epoch, mine.at(-1) ?? 0)
        await settle()
      }
    }
    await Promise.all([writer(), writer(), ...readers.map((name, i) => consumer(name, () => (i + 1) * 40))])
    for (const name of readers) {
      expect(read.get(name)).toEqual([...(appended.get(name) ?? [])].sort((a, b) => a - b))
      expect(await mailbox.stats(name)).toEqual({ count: 0, bytes: 0 })
    }
    expect([...world.disk.contents().keys()].filter((key) => /entry|body|refs/.test(key))).toEqual([])
  })
})
