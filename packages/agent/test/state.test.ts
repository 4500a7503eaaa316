import { concat, type Store, utf8 } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { type Rows, tables } from '../src/rows.ts'
import { openState, type State } from '../src/state.ts'

const random = createSimRandom('state')
const [first, second] = [random.bytes(32), random.bytes(32)]
const open = (store: Store, storeKeys: readonly Uint8Array[] = [first]): Promise<State> => openState({ store, random, storeKeys })
const key: Rows['key'] = { jwk: { kty: 'oct', k: 'c2VjcmV0LXNlY3JldA' }, created: 1 }
const outbox = (n: number): Rows['outbox'] => ({ seq: n }) as never

async function write(state: State, store: Store, step: Parameters<State['run']>[1]): Promise<void> {
  await store.batch(state.write([state.run(0, step).changes]), { durable: true })
}

describe('opening', () => {
  it('reads back what was written, octets included', async () => {
    const store = createMemoryStore()
    const state = await open(store)
    const bytes = Uint8Array.of(0, 10, 255, 10)
    await write(state, store, (tx) => {
      tx.put('app', 'a', { bytes })
      tx.put('key', 'account', key)
      tx.put('tail', 'b c', { seq: 7 })
    })
    const again = await open(store)
    expect(again.get('app', 'a')).toEqual({ bytes })
    expect(again.get('key', 'account')).toEqual(key)
    expect(again.get('tail', 'b c')).toEqual({ seq: 7 })
  })

  it('names every table once', () => {
    expect(new Set(tables).size).toBe(tables.length)
  })

  it('refuses a newer schema and leaves the store as it was', async () => {
    const store = createMemoryStore()
    await store.batch([{ type: 'put', key: 'meta/schema', value: utf8('2') }], { durable: true })
    await expect(open(store)).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_NEWER', retryable: false })
    expect(await keysOf(store)).toEqual(['meta/schema'])
  })

  it.each(['', '0', 'x', '1.5', '-1'])('refuses a schema version that is %j', async (text) => {
    const store = createMemoryStore()
    await store.batch([{ type: 'put', key: 'meta/schema', value: utf8(text) }], { durable: true })
    await expect(open(store)).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
  })

  it('refuses a row that is no JSON, and says nothing of what it holds', async () => {
    const store = createMemoryStore()
    await open(store)
    await store.batch([{ type: 'put', key: 'pin/alice@a.test', value: utf8('{"account":') }], { durable: true })
    const error = await open(store).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
    expect(String(error)).not.toContain('alice')
  })
})

describe('secrets', () => {
  it('are sealed in the store', async () => {
    const store = createMemoryStore()
    await write(await open(store), store, (tx) => tx.put('key', 'account', key))
    const sealed = await store.get('key/account')
    expect(Buffer.from(sealed ?? [])).not.toContain('secret')
    expect(Buffer.from(sealed ?? []).includes(key.jwk.k as string)).toBe(false)
  })

  it('are refused when one octet of them changed, was cut off, or stands under another name', async () => {
    const store = createMemoryStore()
    await write(await open(store), store, (tx) => tx.put('key', 'account', key))
    const sealed = (await store.get('key/account')) ?? new Uint8Array()
    const bad = [
      ...Array.from(sealed.keys(), (i) => sealed.map((octet, j) => (i === j ? octet ^ 1 : octet))),
      sealed.slice(0, 5),
      sealed.slice(0, -1),
      concat(sealed, Uint8Array.of(0)),
    ]
    for (const value of bad) {
      await store.batch([{ type: 'put', key: 'key/account', value }], { durable: true })
      await expect(open(store)).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
    }
    await store.batch(
      [
        { type: 'del', key: 'key/account' },
        { type: 'put', key: 'key/signing', value: sealed },
      ],
      { durable: true },
    )
    await expect(open(store)).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
  })

  it('open under any of two store keys, and are sealed anew under the first', async () => {
    const store = createMemoryStore()
    await write(await open(store), store, (tx) => tx.put('key', 'account', key))
    await expect(open(store, [second])).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
    const both = await open(store, [second, first])
    await store.batch(both.reseal(), { durable: true })
    expect((await open(store, [second])).get('key', 'account')).toEqual(key)
    await expect(open(store, [first])).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
  })

  it('need a store key', async () => {
    await expect(open(createMemoryStore(), [])).rejects.toThrow(TypeError)
  })
})

describe('a step', () => {
  it('sees what it wrote, and answers its changes once each', async () => {
    const state = await open(createMemoryStore())
    const { result, changes } = state.run(5, (tx) => {
      tx.put('tail', 'a', { seq: 1 })
      tx.put('tail', 'a', { seq: 2 })
      tx.put('tail', 'b', { seq: 3 })
      tx.del('tail', 'b')
      return [tx.now, tx.get('tail', 'a'), tx.get('tail', 'b'), tx.size('tail')]
    })
    expect(result).toEqual([5, { seq: 2 }, undefined, 1])
    // What came and went was never in the store.
    expect(state.write([changes])).toMatchObject([{ type: 'put', key: 'tail/a' }])
    const { changes: later } = state.run(6, (tx) => tx.del('tail', 'a'))
    expect(state.write([later])).toEqual([{ type: 'del', key: 'tail/a' }])
  })

  it('that changes what another changed is written with it, once', async () => {
    const state = await open(createMemoryStore())
    const steps = [1, 2].map((seq) => state.run(0, (tx) => tx.put('tail', 'a', { seq })).changes)
    const ops = state.write(steps)
    expect(ops).toHaveLength(1)
    expect(Buffer.from((ops[0] as { value: Uint8Array }).value).toString()).toBe('{"seq":2}')
  })

  it('finds rows by what they belong to, also after a step that threw', async () => {
    const state = await open(createMemoryStore())
    const row = (from: string, length: number) => ({ from, bytes: new Uint8Array(length) }) as never
    state.run(0, (tx) => {
      tx.put('locked', '1', row('a', 3))
      tx.put('locked', '2', row('b', 5))
      tx.put('locked', '3', row('a', 7))
    })
    const shown = (name: string): unknown => [[...state.group('locked', name).keys], state.group('locked', name).bytes]
    expect([shown('a'), shown('b'), shown('c')]).toEqual([
      [['1', '3'], 10],
      [['2'], 5],
      [[], 0],
    ])
    expect(() =>
      state.run(0, (tx) => {
        tx.del('locked', '1')
        tx.put('locked', '2', row('a', 50))
        throw new Error('undone')
      }),
    ).toThrow('undone')
    expect([[...state.group('locked', 'a').keys].sort(), shown('b')]).toEqual([
      ['1', '3'],
      [['2'], 5],
    ])
    expect(state.group('locked', 'a').bytes).toBe(10)
    state.run(0, (tx) => tx.put('locked', '1', row('b', 1)))
    expect([shown('a'), shown('b')]).toEqual([
      [['3'], 7],
      [['2', '1'], 6],
    ])
  })

  it('that throws leaves nothing behind, not even another order of a queue', async () => {
    const state = await open(createMemoryStore())
    state.run(0, (tx) => {
      for (const n of [1, 2, 3]) tx.put('outbox', tx.next('outbox'), outbox(n))
      tx.put('tail', 'a', { seq: 1 })
    })
    const before = [...state.rows('outbox')]
    const effects: string[] = []
    const broken = (): unknown =>
      state.run(0, (tx) => {
        tx.after(() => effects.push('ran'))
        const [key = ''] = [...tx.rows('outbox')][0] ?? []
        tx.put('outbox', key, outbox(9))
        tx.del('outbox', key)
        tx.put('outbox', tx.next('outbox'), outbox(4))
        tx.put('tail', 'a', { seq: 2 })
        tx.put('tail', 'b', { seq: 1 })
        throw new Error('no')
      })
    expect(broken).toThrow('no')
    expect([...state.rows('outbox')]).toEqual(before)
    expect(state.get('tail', 'a')).toEqual({ seq: 1 })
    expect(state.get('tail', 'b')).toBeUndefined()
    expect(effects).toEqual([])
  })

  it('keeps queues in order over undone steps and over reading the store again', async () => {
    const store = createMemoryStore()
    const state = await open(store)
    await write(state, store, (tx) => tx.put('outbox', tx.next('outbox'), outbox(1)))
    expect(() =>
      state.run(0, (tx) => {
        tx.put('outbox', tx.next('outbox'), outbox(2))
        throw new Error('no')
      }),
    ).toThrow()
    await state.reload()
    await write(state, store, (tx) => tx.put('outbox', tx.next('outbox'), outbox(3)))
    const again = await open(store)
    expect([...again.rows('outbox')].map(([, row]) => row.seq)).toEqual([1, 3])
    expect([...again.rows('outbox')].map(([key]) => key)).toEqual([...state.rows('outbox')].map(([key]) => key))
  })
})

it('forgets on reload what was never written, and keeps everything when the store cannot be read', async () => {
  const store = createMemoryStore()
  const state = await open(store)
  await write(state, store, (tx) => tx.put('tail', 'a', { seq: 1 }))
  state.run(0, (tx) => tx.put('tail', 'a', { seq: 2 }))
  await state.reload()
  expect(state.get('tail', 'a')).toEqual({ seq: 1 })
  await store.close()
  await expect(state.reload()).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CLOSED' })
  expect(state.get('tail', 'a')).toEqual({ seq: 1 })
})

async function keysOf(store: Store): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const [key] of store.iterate({})) keys.push(key)
  return keys
}
