import { type Store, type StoreOp, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { createMailbox, createMailboxCheck, type Finding } from '../src/index.ts'
import { encodeLog, encodeRefs, expiryKey, logKey, refsKey } from '../src/record.ts'
import { createTestWorld } from './world.ts'

const bob = 'device:bob@b.example/one'
const carol = 'device:carol@b.example/two'
const all = { countMax: 1000, bytesMax: 10_000_000 }
const stepMs = 60_000

async function check(store: Store): Promise<readonly Finding[]> {
  const checking = createMailboxCheck()
  for await (const [key, value] of store.iterate({})) checking.row(key, value)
  return checking.end()
}

/** A store, and mailboxes that leave it open. */
function opened() {
  const world = createTestWorld()
  const store = world.disk.open()
  const open = () => createMailbox({ store, random: createSimRandom(1), clock: world.clock, limits: { positionBlock: 8 } })
  return { world, store, open }
}

/** A store with one stanza for bob and two for both. */
async function filled() {
  const { world, store, open } = opened()
  const mailbox = await open()
  const expiry = world.now() + 10 * stepMs
  const entries = [bob, carol].map((reader) => ({ reader, entry: utf8('entry') }))
  await mailbox.append(entries.slice(0, 1), { header: utf8('{}'), body: utf8('short'), expiry })
  for (let i = 0; i < 2; i++) await mailbox.append(entries, { header: utf8('{}'), body: new Uint8Array(1000), expiry })
  await mailbox.close()
  const keys = async (prefix: string): Promise<string[]> => {
    const found: string[] = []
    for await (const [key] of store.iterate({ gte: prefix, lt: `${prefix}~` })) found.push(key)
    return found
  }
  const change = (...ops: readonly StoreOp[]): Promise<void> => store.batch(ops, { durable: true })
  return { open, store, keys, change, expiry }
}

describe('a look through a mailbox store', () => {
  it('finds nothing in one that is whole, at any time of its life', async () => {
    const { world, store, open } = opened()
    const mailbox = await open()
    expect(await check(store)).toEqual([])
    const expiry = world.now() + 10 * stepMs
    for (let i = 0; i < 20; i++) {
      await mailbox.append(
        [bob, carol].map((reader) => ({ reader, entry: utf8('entry') })),
        { header: utf8('{}'), body: new Uint8Array(i * 100), expiry: expiry + i * stepMs },
      )
      if (i % 3 === 0) await mailbox.ack(bob, mailbox.epoch, i - 1)
      expect(await check(store)).toEqual([])
    }
    world.advance(15 * stepMs)
    await mailbox.expire(world.now())
    expect(await check(store)).toEqual([])
    await mailbox.drop(carol)
    expect(await check(store)).toEqual([])
  })

  it('finds nothing in one with parts of records acknowledged and expired, also with bodies that are gone', async () => {
    const { world, store, open } = opened()
    const mailbox = await open()
    const expiry = world.now() + 10 * stepMs
    const append = (i: number) =>
      mailbox.append(
        [bob, carol].map((reader) => ({ reader, entry: utf8('entry') })),
        { header: utf8('{}'), body: new Uint8Array(i * 100), expiry: expiry + (i % 3) * stepMs },
      )
    await Promise.all(Array.from({ length: 12 }, (_, i) => append(i)))
    for (const [reader, i] of [
      [bob, 7],
      [carol, 9],
      [bob, 8],
    ] as const) {
      const { acked } = await mailbox.position(reader)
      const items = await mailbox.read(reader, acked, all)
      await mailbox.ack(reader, mailbox.epoch, items.find(({ body }) => body.length === i * 100)?.n ?? 0)
      expect(await check(store)).toEqual([])
    }
    world.advance(11 * stepMs + 1)
    expect(await mailbox.expire(world.now())).toBeGreaterThan(0)
    expect(await check(store)).toEqual([])
  })

  it('counts stanzas and readers, and leaves other records alone', async () => {
    const { store } = await filled()
    const checking = createMailboxCheck()
    for await (const [key, value] of store.iterate({})) expect(checking.row(key, value)).toBe(true)
    expect(checking.row('relay/meta', utf8('{}'))).toBe(false)
    expect(checking).toMatchObject({ stanzas: 5, readers: 2 })
  })

  it.each([
    ['sums that are wrong', async () => [put(logKey(bob), encodeLog({ reserved: 8, durable: 3, acked: 0, count: 9, bytes: 1 }))]],
    [
      'an end before the last stanza',
      async () => [put(logKey(bob), encodeLog({ reserved: 8, durable: 1, acked: 0, count: 3, bytes: 2021 }))],
    ],
    [
      'acknowledged stanzas that are there',
      async () => [put(logKey(bob), encodeLog({ reserved: 8, durable: 3, acked: 2, count: 3, bytes: 2021 }))],
    ],
    ['a stanza that is noise', async ({ keys }) => [put((await keys('mailbox/entry/'))[0] ?? '', utf8('noise'))]],
    ['a body that is gone', async ({ keys }) => [del((await keys('mailbox/body/'))[0] ?? '')]],
    ['a count of a body that is wrong', async ({ keys }) => [put((await keys('mailbox/refs/'))[0] ?? '', encodeRefs(7))]],
    ['a count of a body that is gone', async ({ keys }) => [del((await keys('mailbox/refs/'))[0] ?? '')]],
    ['a body that nobody has', async () => [put('mailbox/body/AAAA', utf8('x')), put(refsKey('AAAA'), encodeRefs(1))]],
    ['a mark of expiry that is gone', async ({ expiry }) => [del(expiryKey(Math.floor(expiry / stepMs), carol))]],
  ] satisfies [string, (at: Awaited<ReturnType<typeof filled>>) => Promise<StoreOp[]>][])(
    'finds %s, and says what mends it',
    async (_, damage) => {
      const at = await filled()
      await at.change(...(await damage(at)))
      const findings = await check(at.store)
      expect(findings.length).toBeGreaterThan(0)
      expect(findings.every(({ repair }) => repair !== undefined)).toBe(true)
      await at.change(...findings.flatMap(({ repair }) => repair?.ops ?? []))
      // What was dropped changes sums; they are written on the second look.
      await at.change(...(await check(at.store)).flatMap(({ repair }) => repair?.ops ?? []))
      expect(await check(at.store)).toEqual([])
      const mailbox = await at.open()
      for (const reader of [bob, carol]) {
        const items = await mailbox.read(reader, 0, all)
        expect((await mailbox.stats(reader)).count).toBe(items.length)
        expect(await mailbox.ack(reader, mailbox.epoch, items.at(-1)?.n ?? 0)).toBe('done')
      }
    },
  )

  it('takes only the stanzas out of a record that cannot be read, and knows what of it is acknowledged', async () => {
    const { world, store, open } = opened()
    const mailbox = await open()
    const expiry = world.now() + 10 * stepMs
    const entries = [bob, carol].map((reader) => ({ reader, entry: utf8('entry') }))
    await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        mailbox.append(i % 2 === 0 ? entries : entries.slice(0, 1), {
          header: utf8('{}'),
          body: new Uint8Array(1000 + i),
          expiry,
        }),
      ),
    )
    const items = await mailbox.read(bob, 0, all)
    await mailbox.ack(bob, mailbox.epoch, items[0]?.n ?? 0)
    await mailbox.close()
    for await (const [key, value] of store.iterate({ gte: 'mailbox/body/', lt: 'mailbox/body/~' }))
      if (value.length === 1006) await store.batch([del(key)], { durable: true })
    expect((await check(store)).map(({ repair }) => repair?.says)).toEqual(
      expect.arrayContaining(['drops this stanza', 'drops this stanza', 'forgets it']),
    )
    for (let i = 0; i < 2; i++)
      await store.batch(
        (await check(store)).flatMap(({ repair }) => repair?.ops ?? []),
        { durable: true },
      )
    expect(await check(store)).toEqual([])
    const again = await open()
    const lengths = async (reader: string) => (await again.read(reader, 0, all)).map(({ body }) => body.length)
    expect(await lengths(bob)).toEqual([1001, 1002, 1003, 1005])
    expect(await lengths(carol)).toEqual([1000, 1002])
  })

  it.each([
    ['a log that is noise', async () => [put(logKey(bob), utf8('noise'))]],
    ['a log that is gone', async () => [del(logKey(bob))]],
    ['a record without epoch', async () => [put('mailbox/meta', utf8('{"schema":1}'))]],
    ['a record of nobody', async () => [put('mailbox/other', utf8('x'))]],
  ])('finds %s, and knows no cure', async (_, damage) => {
    const at = await filled()
    await at.change(...(await damage()))
    expect((await check(at.store)).map(({ repair }) => repair)).toEqual([undefined])
  })
})

function put(key: string, value: Uint8Array): StoreOp {
  return { type: 'put', key, value }
}

function del(key: string): StoreOp {
  return { type: 'del', key }
}
