/**
 * What every mailbox driver must do, as named cases that any test runner can loop over:
 * `for (const c of mailboxCases) it(c.name, () => c.run(world))`. A case throws when the driver is wrong.
 * @module
 */
import { assert, fromUtf8, utf8 } from '@parley/core'
import type { Mailbox, MailboxContent, MailboxItem } from './mailbox.ts'

/** One fresh, empty place per case. */
export type MailboxWorld = {
  /** Opens the mailboxes of this place with at most `countMax` stanzas per reader; once at a time. */
  open(options?: { readonly countMax?: number; readonly restored?: boolean }): Promise<Mailbox>
  /** Ends the process that holds it without warning; `open` works again. */
  crash(): void
  /** Now, on the wall clock that the mailbox reads. */
  now(): number
  advance(ms: number): void
}

export type MailboxCase = { readonly name: string; run(world: MailboxWorld): Promise<void> }

const reader = 'device:bob@b.example/one'
const second = 'device:bob@b.example/two'
const all = { countMax: 1000, bytesMax: 1_000_000 }
const hour = 3_600_000

const content = (world: MailboxWorld, text: string, more: Partial<MailboxContent> = {}): MailboxContent => ({
  header: utf8(`{"text":"${text}"}`),
  body: utf8(text.padEnd(2000, '.')),
  expiry: world.now() + hour,
  ...more,
})
const text = (item: MailboxItem): string => (fromUtf8(item.body) ?? '').replace(/\.+$/, '')
const texts = async (mailbox: Mailbox, of: string, after = 0): Promise<string> =>
  (await mailbox.read(of, after, all)).map(text).join(' ')
const to = (...readers: readonly string[]) => readers.map((name) => ({ reader: name, entry: utf8(`for ${name}`) }))
/** Appends all without waiting for one another. */
const together = async (
  mailbox: Mailbox,
  world: MailboxWorld,
  names: readonly string[],
  more: (name: string) => Partial<MailboxContent> = () => ({}),
): Promise<void> => {
  await Promise.all(names.map((name) => mailbox.append(to(reader, second), content(world, name, more(name)))))
}
const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: { code?: unknown }) => error.code,
  )

/** The suite. */
export const mailboxCases: readonly MailboxCase[] = [
  {
    name: 'gives each reader what was appended for it, in order, with its own entry',
    async run(world) {
      const mailbox = await world.open()
      const [first] = await Promise.all([
        mailbox.append(to(reader, second), content(world, 'a')),
        mailbox.append(to(reader), content(world, 'b')),
        mailbox.append(to(second), content(world, 'c')),
      ])
      assert(first.map((at) => at.reader).join() === `${reader},${second}`, 'positions by reader')
      assert((await texts(mailbox, reader)) === 'a b' && (await texts(mailbox, second)) === 'a c', 'order')
      const [item] = await mailbox.read(second, 0, all)
      assert(item !== undefined && fromUtf8(item.entry) === `for ${second}` && fromUtf8(item.header) === '{"text":"a"}', 'parts')
    },
  },
  {
    name: 'reads at least one stanza and no more than the limits allow',
    async run(world) {
      const mailbox = await world.open()
      for (const name of ['a', 'b', 'c', 'd']) await mailbox.append(to(reader), content(world, name))
      assert((await mailbox.read(reader, 0, { countMax: 2, bytesMax: 1_000_000 })).length === 2, 'count')
      assert((await mailbox.read(reader, 0, { countMax: 10, bytesMax: 5000 })).length === 2, 'bytes')
      assert((await mailbox.read(reader, 0, { countMax: 10, bytesMax: 1 })).length === 1, 'one at least')
      const [, b] = await mailbox.read(reader, 0, all)
      assert(b !== undefined && (await texts(mailbox, reader, b.n)) === 'c d', 'after')
    },
  },
  {
    name: 'deletes up to and including an acknowledged position, and for that reader only',
    async run(world) {
      const mailbox = await world.open()
      for (const name of ['a', 'b', 'c']) await mailbox.append(to(reader, second), content(world, name))
      const [, b] = await mailbox.read(reader, 0, all)
      assert(b !== undefined && (await mailbox.ack(reader, mailbox.epoch, b.n)) === 'done', 'done')
      assert((await texts(mailbox, reader)) === 'c' && (await texts(mailbox, second)) === 'a b c', 'what is left')
      assert((await mailbox.position(reader)).acked === b.n, 'acked')
      assert((await mailbox.ack(reader, mailbox.epoch, b.n)) === 'done', 'again')
      assert((await mailbox.stats(reader)).count === 1 && (await mailbox.stats()).count === 4, 'sums')
    },
  },
  {
    name: 'deletes nothing for another epoch, or beyond what was issued',
    async run(world) {
      const mailbox = await world.open()
      const [at] = await mailbox.append(to(reader), content(world, 'a'))
      assert(at !== undefined && (await mailbox.ack(reader, 'AAAAAAAAAAA', at.n)) === 'other-epoch', 'other epoch')
      const { issued } = await mailbox.position(reader)
      assert((await mailbox.ack(reader, mailbox.epoch, issued + 1)) === 'beyond', 'beyond')
      assert((await texts(mailbox, reader)) === 'a', 'kept')
    },
  },
  {
    name: 'keeps what was appended over a crash, and issues no position twice',
    async run(world) {
      const before = await world.open()
      const issued: number[] = []
      for (const name of ['a', 'b']) issued.push((await before.append(to(reader, second), content(world, name)))[0]?.n ?? 0)
      const { epoch } = before
      world.crash()
      const mailbox = await world.open()
      assert(mailbox.epoch === epoch && (await texts(mailbox, reader)) === 'a b', 'kept')
      const [at] = await mailbox.append(to(reader), content(world, 'c'))
      assert(at !== undefined && at.n > Math.max(...issued) && (await texts(mailbox, reader)) === 'a b c', 'a new position')
      assert(
        (await mailbox.ack(reader, epoch, at.n)) === 'done' && (await texts(mailbox, second)) === 'a b',
        'the other reader keeps the bodies',
      )
    },
  },
  {
    name: 'takes a new epoch after a restore, under which old acknowledgements delete nothing',
    async run(world) {
      const before = await world.open()
      const [at] = await before.append(to(reader), content(world, 'a'))
      world.crash()
      const mailbox = await world.open({ restored: true })
      assert(mailbox.epoch !== before.epoch && /^[A-Za-z0-9_-]{11}$/.test(mailbox.epoch), 'a new epoch')
      assert(
        (await mailbox.ack(reader, before.epoch, at?.n ?? 0)) === 'other-epoch' && (await texts(mailbox, reader)) === 'a',
        'kept',
      )
    },
  },
  {
    name: 'refuses an append whole when one of its readers is full, and goes on when there is room again',
    async run(world) {
      const mailbox = await world.open({ countMax: 2 })
      await mailbox.append(to(reader), content(world, 'a'))
      const [at] = await mailbox.append(to(reader), content(world, 'b'))
      assert((await codeOf(mailbox.append(to(second, reader), content(world, 'c')))) === 'ERR_MAILBOX_FULL', 'full')
      assert((await texts(mailbox, second)) === '', 'in no log')
      await mailbox.ack(reader, mailbox.epoch, at?.n ?? 0)
      await mailbox.append(to(second, reader), content(world, 'd'))
      assert((await texts(mailbox, reader)) === 'd' && (await texts(mailbox, second)) === 'd', 'room again')
    },
  },
  {
    name: 'neither reads nor keeps what has expired, and shows it before it goes',
    async run(world) {
      const mailbox = await world.open()
      await mailbox.append(to(reader, second), content(world, 'short', { expiry: world.now() + 1000 }))
      await mailbox.append(to(reader), content(world, 'long', { expiry: world.now() + 100 * hour }))
      world.advance(2000)
      assert((await texts(mailbox, reader)) === 'long', 'not read')
      world.advance(hour)
      const shown: string[] = []
      const count = await mailbox.expire(world.now(), (of, item) => {
        shown.push(`${of} ${text(item)}`)
      })
      assert(count === 2 && shown.sort().join() === `${reader} short,${second} short`, 'shown')
      assert((await mailbox.stats()).count === 1 && (await mailbox.expire(world.now())) === 0, 'gone')
      assert((await texts(mailbox, reader)) === 'long', 'the rest stays')
    },
  },
  {
    name: 'drops a log without touching the others, and never uses its positions again',
    async run(world) {
      const mailbox = await world.open()
      const [at] = await mailbox.append(to(reader, second), content(world, 'a'))
      await mailbox.drop(reader)
      assert((await texts(mailbox, reader)) === '' && (await texts(mailbox, second)) === 'a', 'one log only')
      const [next] = await mailbox.append(to(reader), content(world, 'b'))
      assert(at !== undefined && next !== undefined && next.n > at.n, 'positions')
    },
  },
  {
    name: 'appends a stanza once that comes twice under one origin and id',
    async run(world) {
      const mailbox = await world.open()
      const again = { origin: 'device:alice@a.example/one', id: 'urn:uuid:7e5d5b3c-8b0e-4c39-9f1a-2f4de0f3a1b7' }
      const twice = await Promise.all([1, 2].map(() => mailbox.append(to(reader), content(world, 'a', again))))
      await mailbox.append(to(reader), content(world, 'b', { ...again, origin: 'device:alice@a.example/two' }))
      assert(twice[0]?.[0]?.n === twice[1]?.[0]?.n && (await texts(mailbox, reader)) === 'a b', 'once')
    },
  },
  {
    name: 'takes an acknowledgement of a part of what was appended at once, and keeps the rest over a crash',
    async run(world) {
      const before = await world.open({ countMax: 6 })
      await together(before, world, ['a', 'b', 'c', 'd', 'e', 'f'])
      const at = await before.read(reader, 0, all)
      assert((await before.ack(reader, before.epoch, at[1]?.n ?? 0)) === 'done', 'a part')
      assert((await texts(before, reader)) === 'c d e f' && (await texts(before, second)) === 'a b c d e f', 'the rest')
      assert((await before.stats(reader)).count === 4, 'sums')
      await before.append(to(reader), content(world, 'g'))
      assert((await before.ack(reader, before.epoch, at[2]?.n ?? 0)) === 'done', 'one more')
      world.crash()
      const mailbox = await world.open()
      // An acknowledgement that was not synced may be forgotten.
      const left = await texts(mailbox, reader)
      assert('a b c d e f g'.endsWith(left) && left.endsWith('d e f g'), 'over a crash')
      assert((await mailbox.ack(reader, mailbox.epoch, at[3]?.n ?? 0)) === 'done', 'after the crash')
      assert((await texts(mailbox, reader)) === 'e f g' && (await mailbox.stats(reader)).count === 3, 'what is left')
      const end = (await mailbox.read(reader, 0, all)).at(-1)?.n ?? 0
      assert((await mailbox.ack(reader, mailbox.epoch, end)) === 'done', 'all')
      assert((await mailbox.stats(reader)).bytes === 0 && (await texts(mailbox, reader)) === '', 'nothing')
      assert((await texts(mailbox, second)) === 'a b c d e f', 'the other reader keeps the bodies')
    },
  },
  {
    name: 'lets expire what others have when it cannot for one reader, says so, and comes back to that one',
    async run(world) {
      const mailbox = await world.open()
      const readers = ['a', 'b', 'c'].map((name) => `domain:${name}.example`)
      const entries = readers.map((each) => ({ reader: each, entry: utf8('') }))
      await mailbox.append(entries, { header: utf8('{}'), body: utf8('x'), expiry: world.now() + 1000 })
      world.advance(120_000)
      const failure = new Error('the bounce is not stored')
      let thrown: unknown
      await mailbox
        .expire(world.now(), (of) => {
          if (of === readers[0]) throw failure
        })
        .catch((error) => {
          thrown = error
        })
      assert(thrown === failure && (await mailbox.stats()).count === 1, 'the others are gone')
      assert((await mailbox.expire(world.now())) === 1 && (await mailbox.stats()).count === 0, 'it too')
    },
  },
  {
    name: 'lets some expire of what was appended at once, before and after others are acknowledged',
    async run(world) {
      const mailbox = await world.open()
      const soon = { expiry: world.now() + 1000 }
      const later = { expiry: world.now() + 3 * hour }
      await together(mailbox, world, ['a', 'b', 'c', 'd', 'e', 'f', 'g'], (name) => ('bdg'.includes(name) ? soon : later))
      const at = await mailbox.read(reader, 0, all)
      world.advance(2000)
      assert((await texts(mailbox, reader)) === 'a c e f', 'not read')
      await mailbox.ack(reader, mailbox.epoch, at[1]?.n ?? 0)
      world.advance(hour)
      const shown: string[] = []
      const count = await mailbox.expire(world.now(), (of, item) => {
        if (of === reader) shown.push(text(item))
      })
      assert(count === 5 && shown.join() === 'd,g', 'shown')
      assert((await texts(mailbox, reader)) === 'c e f' && (await texts(mailbox, second)) === 'a c e f', 'the rest')
      assert((await mailbox.stats(reader)).count === 3, 'sums')
      assert(
        (await mailbox.ack(reader, mailbox.epoch, at[4]?.n ?? 0)) === 'done' && (await texts(mailbox, reader)) === 'f',
        'a part',
      )
      world.advance(3 * hour)
      assert((await mailbox.expire(world.now())) === 5, 'all')
      const { count: left, bytes } = await mailbox.stats()
      assert(left === 0 && bytes === 0, 'nothing')
    },
  },
  {
    name: 'reads and acknowledges many that were appended at once, in pieces',
    async run(world) {
      const mailbox = await world.open()
      const names = Array.from({ length: 150 }, (_, i) => `n${i}`)
      await together(mailbox, world, names)
      const got: string[] = []
      for (let after = 0; ; ) {
        const items = await mailbox.read(reader, after, { countMax: 7, bytesMax: 9000 })
        if (items.length === 0) break
        assert(items.length <= 4, 'limits')
        after = items.at(-1)?.n ?? 0
        got.push(...items.map(text))
        if (got.length % 3 === 0) await mailbox.ack(reader, mailbox.epoch, after)
        if (got.length % 3 === 0) assert((await mailbox.stats(reader)).count === names.length - got.length, 'sums')
      }
      assert(got.join() === names.join() && (await texts(mailbox, second)) === names.join(' '), 'order')
    },
  },
  {
    name: 'answers with a coded error once closed',
    async run(world) {
      const mailbox = await world.open()
      await mailbox.close()
      assert((await codeOf(mailbox.append(to(reader), content(world, 'a')))) === 'ERR_MAILBOX_CLOSED', 'append')
      assert((await codeOf(mailbox.read(reader, 0, all))) === 'ERR_MAILBOX_CLOSED', 'read')
    },
  },
]
