import { concat, utf8 } from '@parley/core'
import { createMemoryStore } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { decodeEntries, type EntryParts, encodeEntries, joinEntries } from '../src/entry.ts'
import { entryKey, positionIn } from '../src/record.ts'
import { recordsBetween } from '../src/stored.ts'

// The lower half of this expiry has its highest bit set.
const lone: EntryParts = {
  n: 7,
  expiry: 0x19b_f0000001,
  size: 9,
  entry: utf8('entry'),
  header: utf8('{}'),
  body: utf8('body'),
  bodyId: undefined,
}
const shared: EntryParts = { ...lone, n: 8, bodyId: 'AAAAAAAAAAAAAAAA' }
const far: EntryParts = { ...lone, n: 7 + 0xffffffff, entry: utf8('') }
const three = [lone, shared, far]

/** What comes out for what went in. */
const read = ({ n, expiry, size, entry, header, body, bodyId }: EntryParts) => ({
  n,
  expiry,
  size,
  entry,
  headerLength: header.length,
  inline: bodyId === undefined ? concat(header, body) : utf8(bodyId),
  bodyId,
  octets: encodeEntries([{ n, expiry, size, entry, header, body, bodyId }]),
})
/** Kind, expiry, size and two lengths in big-endian order, then what follows. */
function alone({ expiry, size, entry, header }: EntryParts, kind: number, rest: Uint8Array): Uint8Array {
  const whole = new Uint8Array([kind, ...new Uint8Array(20), ...entry, ...rest])
  const view = new DataView(whole.buffer)
  view.setBigUint64(1, BigInt(expiry))
  for (const [at, value] of [size, entry.length, header.length].entries()) view.setUint32(9 + 4 * at, value)
  return whole
}

describe('a record of stanzas', () => {
  it('is the stanza itself when there is one, as in the first version', () => {
    expect(encodeEntries([lone])).toEqual(alone(lone, 0, utf8('{}body')))
    expect(encodeEntries([shared])).toEqual(alone(shared, 1, utf8('AAAAAAAAAAAAAAAA')))
    for (const item of [lone, shared]) expect(decodeEntries(encodeEntries([item]), item.n)).toEqual([read(item)])
  })

  it('is otherwise the position of the first, then for each how far behind that it is, its length and itself', () => {
    const parts = [lone, shared].map((item) => encodeEntries([item]))
    const u32 = (value: number) => new Uint8Array([0, 0, 0, value])
    const whole: Uint8Array[] = [new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 7])]
    for (const [i, part] of parts.entries()) whole.push(u32(i), u32(part.length), part)
    expect(encodeEntries([lone, shared])).toEqual(concat(...whole))
  })

  it('survives a round trip, whole and when some are taken out', () => {
    const items = decodeEntries(encodeEntries(three), far.n) ?? []
    expect(items).toEqual(three.map(read))
    for (const left of [items.slice(1), items.slice(0, 2), [items[0], items[2]], items.slice(2)]) {
      const kept = left.filter((item) => item !== undefined)
      expect(decodeEntries(joinEntries(kept), kept.at(-1)?.n ?? 0)).toEqual(kept)
    }
  })

  it('is refused when it is cut short, continued, under another key, or of an unknown kind', () => {
    const whole = encodeEntries(three)
    for (let length = 0; length < whole.length; length++) expect(decodeEntries(whole.subarray(0, length), far.n)).toBeUndefined()
    expect(decodeEntries(concat(whole, new Uint8Array(8)), far.n)).toBeUndefined()
    expect(decodeEntries(whole, far.n + 1)).toBeUndefined()
    whole[0] = 3
    expect(decodeEntries(whole, far.n)).toBeUndefined()
    const short = encodeEntries([lone])
    for (let length = 0; length < 21 + 5 + 2; length++) expect(decodeEntries(short.subarray(0, length), 7)).toBeUndefined()
  })

  it('is refused when its positions do not rise', () => {
    const whole = encodeEntries([lone, { ...lone, n: 8 }, { ...lone, n: 9 }])
    const each = 8 + 21 + 5 + 6
    whole[9 + each + 3] = 0
    expect(decodeEntries(whole, 9)).toBeUndefined()
  })

  it('is found by every position in it, and no other log’s is', async () => {
    const store = createMemoryStore()
    const value = new Uint8Array(0)
    const keys = [entryKey('a', 3), entryKey('a', 8), entryKey('a', 9), entryKey('a', 20), entryKey('aa', 21), entryKey('b', 4)]
    await store.batch(
      keys.map((key) => ({ type: 'put', key, value })),
      { durable: true },
    )
    const found = async (after: number, upTo: number): Promise<number[]> => {
      const ends: number[] = []
      for await (const [key] of recordsBetween(store, 'a', { after, upTo })) ends.push(positionIn(key))
      return ends
    }
    expect(await found(0, 3)).toEqual([3])
    expect(await found(3, 5)).toEqual([8])
    expect(await found(0, 9)).toEqual([3, 8, 9])
    expect(await found(9, 10)).toEqual([20])
    expect(await found(20, 30)).toEqual([])
    expect(await found(5, 5)).toEqual([])
  })
})
