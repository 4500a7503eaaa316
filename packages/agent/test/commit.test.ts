import type { Store, StoreOp } from '@parley/core'
import { createMemoryStore, createSchedule, createSimDisk, createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { type Committer, createCommitter } from '../src/commit.ts'
import { openState, type State } from '../src/state.ts'

type Scene = Committer & {
  readonly state: State
  readonly batches: (readonly StoreOp[])[]
  readonly log: string[]
}

async function scene(store: Store): Promise<Scene> {
  const random = createSimRandom('commit')
  const state = await openState({ store, random, storeKeys: [random.bytes(32)] })
  const batches: (readonly StoreOp[])[] = []
  const log: string[] = []
  const recording: Store = {
    ...store,
    batch(ops, options) {
      batches.push(ops)
      expect(options.durable).toBe(true)
      return store.batch(ops, options)
    },
  }
  const committer = createCommitter({
    state,
    store: recording,
    time: { read: () => ({ now: 0, steady: 0, sure: 0 }), confirm() {}, mark() {} },
    onDiscard: () => log.push('discarded'),
    onErased: () => log.push('erased'),
    onEffectFailed: (error) => log.push(`effect failed: ${(error as Error).message}`),
  })
  return { ...committer, state, batches, log }
}

const disk = (): ReturnType<typeof createSimDisk> => createSimDisk({ random: createSimRandom(1) })

describe('steps of one turn', () => {
  it('share one synced batch, in order', async () => {
    const { commit, batches } = await scene(createMemoryStore())
    await Promise.all([1, 2, 3].map((seq) => commit((tx) => tx.put('tail', String(seq), { seq }))))
    expect(batches.map((ops) => ops.map(({ key }) => key))).toEqual([['tail/1', 'tail/2', 'tail/3']])
  })

  it('read what the steps before them left, before it is synced', async () => {
    const { commit } = await scene(createMemoryStore())
    const add = (): Promise<number> =>
      commit((tx) => {
        const seq = (tx.get('tail', 'a')?.seq ?? 0) + 1
        tx.put('tail', 'a', { seq })
        return seq
      })
    expect(await Promise.all([add(), add(), add()])).toEqual([1, 2, 3])
  })

  it('are alone when they throw', async () => {
    const { commit, state } = await scene(createMemoryStore())
    const results = await Promise.allSettled([
      commit((tx) => tx.put('tail', 'a', { seq: 1 })),
      commit((tx) => {
        tx.put('tail', 'a', { seq: 2 })
        throw new Error('no')
      }),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(state.get('tail', 'a')).toEqual({ seq: 1 })
  })
})

describe('effects', () => {
  it('run after the sync, in order, each of them even when one throws', async () => {
    const schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
    const slow = createSimDisk({ random: createSimRandom(1), schedule })
    const { commit, log } = await scene(slow.open())
    slow.syncMs = 10
    const done = Promise.all([
      commit((tx) => {
        tx.put('tail', 'a', { seq: 1 })
        tx.after(() => log.push('first'))
        tx.after(() => {
          throw new Error('broken listener')
        })
        tx.after(() => log.push('second'))
      }),
      commit((tx) => tx.after(() => log.push('third'))),
    ])
    await schedule.run({ timeMax: 9 })
    expect(log).toEqual([])
    await schedule.run({ timeMax: 20 })
    await done
    expect(log).toEqual(['first', 'effect failed: broken listener', 'second', 'third'])
    await commit((tx) => tx.after(() => log.push('still there')))
    expect(log.at(-1)).toBe('still there')
  })
})

describe('a batch that the store refuses', () => {
  it('takes no effect, nor do the steps that were built on it', async () => {
    const full = disk()
    const { commit, state, log } = await scene(full.open())
    await commit((tx) => tx.put('tail', 'a', { seq: 1 }))
    full.full = true
    const step = (seq: number): Promise<unknown> =>
      commit((tx) => {
        tx.put('tail', 'a', { seq })
        tx.after(() => log.push('must not run'))
      })
    const first = step(2)
    await Promise.resolve()
    const results = await Promise.allSettled([first, step(3)])
    for (const result of results) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'ERR_AGENT_STORE_FAILED', retryable: true, cause: { code: 'ERR_CORE_STORE_FULL' } },
      })
    }
    expect(state.get('tail', 'a')).toEqual({ seq: 1 })
    expect(log).toEqual(['discarded'])
    full.full = false
    await commit((tx) => tx.put('tail', 'a', { seq: (tx.get('tail', 'a')?.seq ?? 0) + 1 }))
    expect(state.get('tail', 'a')).toEqual({ seq: 2 })
  })

  it('of a store that cannot be read either keeps every step away until it can be', async () => {
    const store = createMemoryStore()
    let isBroken = false
    const check = (): void => {
      if (isBroken) throw new Error('input/output error')
    }
    const { commit, state, log } = await scene({
      ...store,
      async get(key) {
        check()
        return await store.get(key)
      },
      async batch(ops, options) {
        check()
        await store.batch(ops, options)
      },
    })
    await commit((tx) => tx.put('tail', 'a', { seq: 1 }))
    isBroken = true
    const add = (): Promise<void> => commit((tx) => tx.put('tail', 'a', { seq: (tx.get('tail', 'a')?.seq ?? 0) + 1 }))
    for (let i = 0; i < 3; i++) await expect(add()).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_FAILED', retryable: true })
    expect(log).toEqual([])
    isBroken = false
    await add()
    expect(state.get('tail', 'a')).toEqual({ seq: 2 })
    expect(log).toEqual(['discarded'])
  })
})

it('says when secrets were deleted, and not when others were', async () => {
  const { commit, log } = await scene(createMemoryStore())
  await commit((tx) => {
    tx.put('tail', 'a', { seq: 1 })
    tx.put('key', 'k', { jwk: { kty: 'oct', k: 'AAAA' }, created: 0 })
  })
  await commit((tx) => tx.del('tail', 'a'))
  expect(log).toEqual([])
  await commit((tx) => tx.del('key', 'k'))
  expect(log).toEqual(['erased'])
})

it('closes after what it took is written, and takes nothing any more', async () => {
  const store = createMemoryStore()
  const { commit, close } = await scene(store)
  const last = commit((tx) => tx.put('tail', 'a', { seq: 1 }))
  await close()
  await last
  expect(await store.get('tail/a')).toBeDefined()
  await expect(commit(() => {})).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
})
