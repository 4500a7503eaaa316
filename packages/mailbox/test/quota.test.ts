import { utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import type { Quota } from '../src/index.ts'
import { createTestWorld, type TestWorld } from './world.ts'

const one = 'device:bob@b.example/one'
const two = 'device:bob@b.example/two'
const other = 'device:bobby@b.example/one'
const full = expect.objectContaining({ code: 'ERR_MAILBOX_FULL', retryable: true })

const owned =
  (amount: { countMax?: number; bytesMax?: number }) =>
  (reader: string): Quota => ({
    countMax: 100,
    bytesMax: 1e6,
    owner: { name: reader.slice(0, reader.lastIndexOf('/')), countMax: 100, bytesMax: 1e6, ...amount },
  })
const content = (world: TestWorld, length = 100) => ({
  header: utf8('h'),
  body: new Uint8Array(length),
  expiry: world.now() + 1e6,
})
const to = (...readers: readonly string[]) => readers.map((reader) => ({ reader, entry: utf8('e') }))

describe('the quota of an owner', () => {
  it('holds for all their readers together, also after a restart, and lets the others alone', async () => {
    const world = createTestWorld({}, { quotaOf: owned({ countMax: 3 }) })
    const before = await world.open()
    await before.append(to(one, two), content(world))
    await before.append(to(one), content(world))
    await expect(before.append(to(two), content(world))).rejects.toThrow(full)
    world.crash()
    const after = await world.open()
    await expect(after.append(to(two), content(world))).rejects.toThrow(full)
    await after.append(to(other), content(world))
    const [first] = await after.read(one, 0, { countMax: 1, bytesMax: 1e6 })
    await after.ack(one, after.epoch, first?.n ?? 0)
    await after.append(to(two), content(world))
    await expect(after.append(to(one), content(world))).rejects.toThrow(full)
  })

  it('counts octets too', async () => {
    const world = createTestWorld({}, { quotaOf: owned({ bytesMax: 2500 }) })
    const mailbox = await world.open()
    await mailbox.append(to(one), content(world, 1200))
    await mailbox.append(to(two), content(world, 1200))
    await expect(mailbox.append(to(one), content(world, 1200))).rejects.toThrow(full)
  })

  it('is kept with few logs in memory', async () => {
    const world = createTestWorld({ logsMax: 2 }, { quotaOf: owned({ countMax: 2 }) })
    const mailbox = await world.open()
    await mailbox.append(to(one), content(world))
    await mailbox.append(to(two), content(world))
    for (let i = 0; i < 20; i++) await mailbox.append(to(`device:guest${i}@b.example/one`), content(world))
    await expect(mailbox.append(to(one), content(world))).rejects.toThrow(full)
    await expect(mailbox.append(to(two), content(world))).rejects.toThrow(full)
  })
})

it('a reader without an owner has a quota of its own, and what it met is told', async () => {
  const met: unknown[] = []
  const world = createTestWorld(
    {},
    {
      quotaOf: (reader) => ({ countMax: reader === 'domain:y.example' ? 2 : 1, bytesMax: 1500 }),
      onFull: (reader, what) => met.push([reader, what]),
    },
  )
  const mailbox = await world.open()
  await mailbox.append(to('domain:y.example'), content(world))
  await mailbox.append(to('domain:y.example'), content(world))
  await expect(mailbox.append(to('domain:y.example'), content(world))).rejects.toThrow(full)
  await expect(mailbox.append(to(one), content(world, 2000))).rejects.toThrow(full)
  await mailbox.append(to(one), content(world))
  await expect(mailbox.append(to(one), content(world))).rejects.toThrow(full)
  expect(met).toEqual([
    ['domain:y.example', { of: 'reader', by: 'count' }],
    [one, { of: 'reader', by: 'bytes' }],
    [one, { of: 'reader', by: 'count' }],
  ])
})
