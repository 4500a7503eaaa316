import { fromUtf8, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import type { Mailbox, MailboxContent, MailboxItem } from '../src/index.ts'
import type { MailboxLimits } from '../src/limits.ts'
import { createTestWorld, type TestWorld } from './world.ts'

const here = 'device:bob@a.example/here'
const away = 'device:bob@a.example/away'
const all = { countMax: 100, bytesMax: 1_000_000 }

/** A place where `here` is there, and what it was given. */
async function scene(limits: Partial<MailboxLimits> = {}) {
  const given: { readonly n: number; readonly after: number; readonly text: string }[] = []
  const state = { isThere: true }
  const give = (reader: string, { n, body }: MailboxItem, after: number): boolean => {
    if (reader !== here || !state.isThere) return false
    given.push({ n, after, text: fromUtf8(body) ?? '' })
    return true
  }
  const world = createTestWorld({ positionBlock: 64, ...limits }, { give })
  const mailbox = await world.open()
  // A first stanza, so that the log is in memory and its positions are reserved.
  const [at] = await mailbox.append(to(here), content(world, 'first', { isEarly: false }))
  const first = at?.n ?? 0
  await mailbox.ack(here, mailbox.epoch, first)
  return { world, mailbox, given, state, first }
}

const to = (...readers: readonly string[]) => readers.map((reader) => ({ reader, entry: utf8('entry') }))
const content = (world: TestWorld, text: string, more: Partial<MailboxContent> = {}): MailboxContent => ({
  header: utf8('{}'),
  body: utf8(text),
  expiry: world.now() + 3_600_000,
  isEarly: true,
  ...more,
})
const texts = async (mailbox: Mailbox, reader = here): Promise<string> =>
  (await mailbox.read(reader, 0, all)).map(({ body }) => fromUtf8(body)).join(' ')
const pass = (world: TestWorld, ms: number) => world.schedule.run({ timeMax: world.schedule.time() + ms })
const entriesOf = ({ disk }: TestWorld): number =>
  [...disk.contents().keys()].filter((key) => key.startsWith('mailbox/entry/')).length

describe('a reader who is there', () => {
  it('is given a stanza before it is stored, and nothing is written when it acknowledges in time', async () => {
    const { world, mailbox, given, first } = await scene()
    const batches = world.disk.batches
    const appended = mailbox.append(to(here), content(world, 'a'))
    expect(given).toEqual([{ n: first + 1, after: first, text: 'a' }])
    expect(await mailbox.ack(here, mailbox.epoch, first + 1)).toBe('done')
    expect(await appended).toEqual([{ reader: here, n: first + 1 }])
    await pass(world, 1000)
    expect(world.disk.batches).toBe(batches)
    expect(await mailbox.position(here)).toEqual({ issued: first + 1, acked: first + 1 })
  })

  it('has it in its log after a while of silence, under the position that it was given', async () => {
    const { world, mailbox, first } = await scene()
    const appended = mailbox.append(to(here), content(world, 'a'))
    expect(await texts(mailbox)).toBe('')
    await pass(world, 200)
    expect(await appended).toEqual([{ reader: here, n: first + 1 }])
    expect(await texts(mailbox)).toBe('a')
    await mailbox.ack(here, mailbox.epoch, first + 1)
    expect(entriesOf(world)).toBe(0)
  })

  it('acknowledges several with one word, and what is behind it is stored', async () => {
    const { world, mailbox, given, first } = await scene()
    const appended = ['a', 'b', 'c'].map((text) => mailbox.append(to(here), content(world, text)))
    expect(given.map(({ n, after }) => [n - first, after - first])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ])
    await mailbox.ack(here, mailbox.epoch, first + 2)
    await Promise.all(appended.slice(0, 2))
    await pass(world, 200)
    await appended[2]
    expect(await texts(mailbox)).toBe('c')
  })

  it('gets no new stanza early while an older one of its log is without a position', async () => {
    const { world, mailbox, given, state } = await scene()
    world.disk.syncMs = 10
    state.isThere = false
    const older = mailbox.append(to(here), content(world, 'a'))
    state.isThere = true
    const newer = mailbox.append(to(here), content(world, 'b'))
    expect(given).toEqual([])
    await pass(world, 100)
    await Promise.all([older, newer])
    expect(await texts(mailbox)).toBe('a b')
  })

  it('is not spared the write while its log holds something older that it has not acknowledged', async () => {
    const { world, mailbox, state, first } = await scene()
    state.isThere = false
    await mailbox.append(to(here), content(world, 'a'))
    state.isThere = true
    const appended = mailbox.append(to(here), content(world, 'b'))
    await pass(world, 200)
    await appended
    expect(await texts(mailbox)).toBe('a b')
    await mailbox.ack(here, mailbox.epoch, first + 2)
    expect(entriesOf(world)).toBe(0)
  })

  it('is spared the write again once what was stored has left the log', async () => {
    const { world, mailbox, state, first } = await scene()
    state.isThere = false
    await mailbox.append(to(here), content(world, 'a'))
    state.isThere = true
    const appended = mailbox.append(to(here), content(world, 'b'))
    // One word for both: the stored one is deleted, then the other one is not written.
    await mailbox.ack(here, mailbox.epoch, first + 2)
    expect(await appended).toEqual([{ reader: here, n: first + 2 }])
    expect(entriesOf(world)).toBe(0)
    expect(await texts(mailbox)).toBe('')
  })

  it('is acknowledged to nobody before the devices that are away have it stored', async () => {
    const { world, mailbox, first } = await scene()
    const [at] = await mailbox.append(to(away), content(world, 'first'))
    await mailbox.ack(away, mailbox.epoch, at?.n ?? 0)
    world.disk.syncMs = 50
    let isDone = false
    mailbox.append(to(here, away), content(world, 'a')).then(() => {
      isDone = true
    })
    await mailbox.ack(here, mailbox.epoch, first + 1)
    await pass(world, 20)
    expect(isDone).toBe(false)
    await pass(world, 200)
    expect(isDone).toBe(true)
    expect([await texts(mailbox, away), await texts(mailbox)]).toEqual(['a', ''])
  })

  it('never runs out of reserved positions while it keeps acknowledging', async () => {
    const { world, mailbox, given, first } = await scene()
    for (let i = 1; i <= 500; i++) {
      const appended = mailbox.append(to(here), content(world, String(i)))
      await mailbox.ack(here, mailbox.epoch, first + i)
      await appended
    }
    expect(given).toHaveLength(500)
    expect(entriesOf(world)).toBe(0)
  })

  it('that never answers holds up the first stanza only', async () => {
    const { world, mailbox } = await scene()
    mailbox.append(to(here), content(world, 'a'))
    await pass(world, 500)
    const before = world.schedule.time()
    const appended = mailbox.append(to(here), content(world, 'b'))
    await world.schedule.run({ timeMax: before })
    await appended
    expect(await texts(mailbox)).toBe('a b')
  })

  it('does not keep more waiting than the limit allows', async () => {
    const { world, mailbox } = await scene({ heldBytesMax: 20 })
    await Promise.all(['a', 'b', 'c'].map((text) => mailbox.append(to(here), content(world, text.repeat(20)))))
    expect((await mailbox.stats(here)).count).toBe(3)
  })

  it('is given nothing that its full log could not take', async () => {
    const { world, mailbox, given, state } = await scene({ countMax: 1 })
    state.isThere = false
    await mailbox.append(to(here), content(world, 'x'))
    state.isThere = true
    await expect(mailbox.append(to(here), content(world, 'y'))).rejects.toMatchObject({ code: 'ERR_MAILBOX_FULL' })
    expect(given).toEqual([])
  })

  it('loses what waits with its log when the log is dropped, and whoever waits for it is answered', async () => {
    const { world, mailbox } = await scene()
    const appended = mailbox.append(to(here), content(world, 'a'))
    await mailbox.drop(here)
    await appended
    expect([await texts(mailbox), entriesOf(world)]).toEqual(['', 0])
  })
})

describe('stanzas that wait', () => {
  it('are stored when the mailbox closes', async () => {
    const { world, mailbox } = await scene()
    const appended = mailbox.append(to(here), content(world, 'a'))
    await mailbox.close()
    await appended
    expect(entriesOf(world)).toBe(1)
  })

  it('are promised to nobody when the process dies, and their positions are not used again', async () => {
    const { world, mailbox, given, first } = await scene()
    mailbox.append(to(here), content(world, 'a')).catch(() => {})
    world.crash()
    const after = await world.open()
    // The reader had it, and says so at its login.
    expect(await after.ack(here, after.epoch, first + 1)).toBe('done')
    await after.append(to(here), content(world, 'b', { isEarly: false }))
    expect((await after.position(here)).issued).toBeGreaterThan(first + 1)
    expect(await texts(after)).toBe('b')
    expect(given).toHaveLength(1)
  })

  it('do not exist where everything is stored', async () => {
    const { world, mailbox, given } = await scene({ skipHoldMs: 0 })
    await mailbox.append(to(here), content(world, 'a'))
    expect(given).toEqual([])
    expect(await texts(mailbox)).toBe('a')
  })

  it('come into being only where the append allows it', async () => {
    const { world, mailbox, given } = await scene()
    await mailbox.append(to(here), content(world, 'a', { isEarly: false }))
    expect(given).toEqual([])
    expect(await texts(mailbox)).toBe('a')
  })
})
