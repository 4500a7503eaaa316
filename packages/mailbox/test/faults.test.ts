import { utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { createMailboxCheck } from '../src/check.ts'
import type { Mailbox, MailboxOptions } from '../src/index.ts'
import { createTestWorld } from './world.ts'

const seeds = process.env['PARLEY_SOAK'] === '1' ? 5_000 : 250
const readers = ['device:a@x.example/one', 'device:a@x.example/two', 'domain:y.example']
const all = { countMax: 10_000, bytesMax: 1e9 }

/** What was promised of one stanza: it is there, it is gone, or a failure left it open. */
type Promised = {
  readonly n: number
  readonly text: string
  readonly expiry: number
  state: 'stored' | 'acked' | 'open'
  isAcking?: boolean
}

type Counts = {
  appends: number
  given: number
  expired: number
  crashes: number
  full: number
  refused: number
  refusedAfter: number
  slow: number
  lost: number
}

function noCounts(): Counts {
  return { appends: 0, given: 0, expired: 0, crashes: 0, full: 0, refused: 0, refusedAfter: 0, slow: 0, lost: 0 }
}

/** One run: random work on a mailbox while its disk fails in every way it can; throws what does not hold. */
async function run(seed: number, counts: Counts, { liesAboutSync = false } = {}): Promise<void> {
  const random = createSimRandom(seed)
  // Some readers are there and take what comes before it is stored, as a device that is online does.
  const give: NonNullable<MailboxOptions['give']> = (reader, { n, header, expiry }) => {
    if (!random.chance(0.5)) return false
    note(reader, n, { text: new TextDecoder().decode(header), expiry, state: 'open' })
    counts.given++
    return true
  }
  const world = createTestWorld({ expiryStepMs: 1000 }, { seed, give })
  const { disk, schedule } = world
  disk.liesAboutSync = liesAboutSync
  const known = new Map(readers.map((reader) => [reader, new Map<number, Promised>()]))
  const issued = new Set<string>()
  let mailbox: Mailbox = await world.open()
  let texts = 0
  let crashed = false

  const refuse = (): void => {
    disk.onBatch = ({ at }) => {
      if (random.chance(0.5)) return
      if (at === 'before') counts.refused++
      else counts.refusedAfter++
      throw new Error('the disk refused')
    }
  }
  const heal = (): void => {
    disk.full = false
    disk.syncMs = 0
    disk.onBatch = () => {}
  }
  const settle = async (work: readonly Promise<unknown>[]): Promise<void> => {
    let isDone = false
    void Promise.allSettled(work).then(() => {
      isDone = true
    })
    await schedule.run({ until: () => isDone, timeMax: schedule.time() + 60_000 })
    // What a killed process had begun is never answered.
    if (!isDone && !crashed) throw new Error('something was never answered')
  }

  const note = (reader: string, n: number, more: Pick<Promised, 'text' | 'expiry' | 'state'>): void => {
    const at = `${reader} ${n}`
    const before = known.get(reader)?.get(n)
    // It may have been given before it was stored, and is the same then.
    if (issued.has(at) && before?.text !== more.text) throw new Error(`${at} was issued twice`)
    issued.add(at)
    if (before === undefined) known.get(reader)?.set(n, { n, ...more })
    else if (before.state === 'open' && before.isAcking !== true) before.state = more.state
  }

  const append = (): Promise<void> => {
    const to = readers.filter(() => random.chance(0.6))
    const text = `stanza ${texts++}`
    counts.appends++
    const content = {
      header: utf8(text),
      body: utf8('.'.repeat(random.int(3000))),
      expiry: world.now() + (random.chance(0.2) ? 1 + random.int(3000) : 1e9),
      isEarly: random.chance(0.8),
    }
    return mailbox
      .append(
        to.map((reader) => ({ reader, entry: utf8('e') })),
        content,
      )
      .then(
        (positions) => {
          for (const { reader, n } of positions) note(reader, n, { text, expiry: content.expiry, state: 'stored' })
        },
        () => {},
      )
  }
  const ack = (): Promise<unknown> => {
    const reader = readers[random.int(readers.length)] ?? ''
    const stored = [...(known.get(reader)?.values() ?? [])].filter(({ state }) => state !== 'acked')
    const upTo = stored[random.int(Math.max(1, stored.length))]?.n
    if (upTo === undefined) return Promise.resolve()
    const mine = stored.filter(({ n }) => n <= upTo)
    // From here on until it is answered both are right.
    for (const each of mine) Object.assign(each, { state: 'open', isAcking: true })
    return mailbox.ack(reader, mailbox.epoch, upTo).then(
      (outcome) => {
        // What was given and never stored, because of a crash or a refusal, may be beyond what the mailbox knows.
        if (outcome === 'done') for (const each of mine) each.state = 'acked'
      },
      () => {},
    )
  }

  const expire = (): Promise<unknown> => {
    world.advance(random.int(2000))
    return mailbox.expire(world.now()).then(
      (count) => {
        counts.expired += count
      },
      () => {},
    )
  }

  const compare = async (when: string): Promise<void> => {
    for (const reader of readers) {
      const asked = world.now()
      let items: Awaited<ReturnType<Mailbox['read']>> = []
      await settle([mailbox.read(reader, 0, all).then((read) => (items = read))])
      const mine = known.get(reader) ?? new Map<number, Promised>()
      const found = new Map(items.map((item) => [item.n, new TextDecoder().decode(item.header)]))
      const order = items.map(({ n }) => n)
      expect(order, `${when}: order`).toEqual([...order].sort((x, y) => x - y))
      for (const { n, text, expiry, state } of mine.values()) {
        if (state === 'stored' && expiry > world.now()) expect(found.get(n), `${when}: ${reader} ${n}`).toBe(text)
        if (found.has(n)) expect(expiry, `${when}: ${reader} ${n} has expired`).toBeGreaterThan(asked)
        if (found.has(n)) expect(found.get(n), `${when}: ${reader} ${n}`).toBe(text)
      }
    }
  }

  const crash = async (): Promise<void> => {
    counts.crashes++
    crashed = true
    disk.crash()
    heal()
    mailbox = await world.open()
    crashed = false
    // An acknowledgement that was answered may not have been synced: what it took away may be there again.
    for (const mine of known.values()) for (const each of mine.values()) if (each.state === 'acked') each.state = 'open'
    await compare('after a crash')
  }

  for (let step = 0; step < 25; step++) {
    const kind = random.int(10)
    if (kind === 0) {
      disk.full = true
      counts.full++
    } else if (kind === 1) refuse()
    else if (kind === 2) {
      disk.syncMs = 1 + random.int(400)
      counts.slow++
    } else if (kind <= 4) heal()
    const work = Array.from({ length: 1 + random.int(6) }, () =>
      random.chance(0.7) ? append() : random.chance(0.8) ? ack() : expire(),
    )
    if (random.chance(0.15)) {
      await schedule.run({ until: () => false, timeMax: schedule.time() + random.int(50) })
      for (const each of work) each.catch(() => {})
      await crash()
    } else await settle(work)
  }
  heal()
  await compare('at the end')
  await settle([mailbox.close()])
  counts.lost += disk.lostBatches
  const check = createMailboxCheck({ expiryStepMs: 1000 })
  for (const [key, value] of [...disk.contents()].sort(([x], [y]) => (x < y ? -1 : 1))) check.row(key, value)
  expect(check.end().map(({ row, problem }) => `${row}: ${problem}`)).toEqual([])
}

describe('a mailbox on a disk that fails', () => {
  it('keeps what it has promised, in order and under its position, and its sums right', { timeout: 3_600_000 }, async () => {
    const counts = noCounts()
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        await run(seed, counts)
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
      }
    }
    console.log(
      `mailbox faults: ${seeds} seeds, ${Object.entries(counts)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')}, 0 violations`,
    )
    for (const [name, count] of Object.entries(counts)) expect(`${name}: ${Math.min(count, 1)}`).toBe(`${name}: 1`)
  })

  it('is caught by this when the disk says "synced" and is not', { timeout: 120_000 }, async () => {
    const caught = Array.from({ length: 20 }, (_, i) =>
      run(i + 1, noCounts(), { liesAboutSync: true }).then(
        () => 0,
        () => 1,
      ),
    )
    const count = (await Promise.all(caught)).reduce((sum: number, one) => sum + one, 0)
    expect(count).toBeGreaterThan(10)
  })
})
