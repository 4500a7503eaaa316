import type { Address, DeviceId, MessageId } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  allot,
  askFor,
  eraseCounters,
  isLate,
  isSeen,
  isSettled,
  markGone,
  markSeen,
  otherDigest,
  renumber,
  type Sequence,
  wasMissed,
} from '../src/counters.ts'
import { openState, type State, type Tx } from '../src/state.ts'

const id = 'urn:uuid:00000000-0000-4000-8000-000000000001' as MessageId
const sequence: Sequence = {
  from: 'alice@a.test' as Address,
  device: 'device' as DeviceId,
  inc: 'AAAAAAAAAAA',
  conversation: 'bob@b.test' as Address,
}
const bob = 'bob@b.test' as Address
let state: State
const run = <T>(step: (tx: Tx) => T): T => state.run(0, step).result
const mark = (seq: number, missed?: number): void =>
  run((tx) =>
    markSeen(tx, sequence, { seq, holesMax: 4, hash: `hash ${seq}`, threadId: 't', ...(missed === undefined ? {} : { missed }) }),
  )
const seen = (of: Sequence = sequence): number[] =>
  run((tx) => Array.from({ length: 21 }, (_, seq) => seq).filter((seq) => isSeen(tx, of, seq)))

beforeEach(async () => {
  state = await openState({ store: createMemoryStore(), random: createSimRandom(1), storeKeys: [new Uint8Array(32)] })
})

describe('numbers that came', () => {
  it('are told from those that did not, in whatever order they come', () => {
    for (const seq of [3, 1, 5]) mark(seq)
    expect(seen()).toEqual([0, 1, 3, 5])
    mark(4)
    mark(2)
    expect(seen()).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('leave holes only so many: the oldest are given up', () => {
    mark(1)
    mark(20)
    expect(seen()).toEqual([...Array(16).keys(), 20])
    mark(17)
    expect(state.get('counter', 'alice@a.test device AAAAAAAAAAA bob@b.test')?.holes).toEqual([16, 18, 19])
  })

  it('take no more room after a leap to the highest number there is', () => {
    mark(Number.MAX_SAFE_INTEGER)
    expect(state.get('counter', 'alice@a.test device AAAAAAAAAAA bob@b.test')?.holes).toHaveLength(4)
  })

  it.each([
    ['device', { device: 'other' as DeviceId }],
    ['life', { inc: 'BBBBBBBBBBB' }],
    ['conversation', { conversation: 'carol@c.test' as Address }],
    ['account', { from: 'mallory@a.test' as Address }],
  ])('say nothing of another %s', (_, change) => {
    mark(1)
    expect(seen({ ...sequence, ...change })).toEqual([])
  })

  it('are late when they were given up, once', () => {
    mark(3, 2)
    expect(run((tx) => wasMissed(tx, sequence, 2))).toBe(true)
    expect(run((tx) => isSeen(tx, sequence, 2))).toBe(false)
    mark(2)
    expect(run((tx) => wasMissed(tx, sequence, 2))).toBe(false)
    expect(run((tx) => isSeen(tx, sequence, 2))).toBe(true)
  })

  it('are remembered as given up only so many', () => {
    for (let seq = 2; seq <= 20; seq += 2) mark(seq, seq - 1)
    expect(state.get('counter', 'alice@a.test device AAAAAAAAAAA bob@b.test')?.missed).toEqual([13, 15, 17, 19])
  })
})

describe('what a thread went on without', () => {
  const late = (threadId: string, seq: number): boolean => run((tx) => isLate(tx, sequence, { threadId, seq }))

  it('is late in that thread, also what was lost before it', () => {
    mark(1)
    mark(4, 3)
    expect([2, 3, 5].map((seq) => late('t', seq))).toEqual([true, true, false])
    expect(late('u', 2)).toBe(false)
    mark(6, 5)
    expect(late('t', 5)).toBe(true)
  })

  it('is asked for once, the newest of it and what does not wait here', () => {
    mark(1)
    mark(20)
    const ask = (seq: number): readonly number[] => run((tx) => askFor(tx, sequence, { seq, here: new Set([18]), numbersMax: 3 }))
    expect([ask(19), ask(19), ask(20)]).toEqual([[17, 19], [], []])
  })

  it('is not asked for from before this device was there', () => {
    run((tx) => markSeen(tx, sequence, { seq: 50, holesMax: 64, hash: 'h', threadId: 't', missed: 49, begins: true }))
    expect(run((tx) => askFor(tx, sequence, { seq: 52, here: new Set(), numbersMax: 64 }))).toEqual([51, 52])
  })

  it('is settled when its sender has it no more, if it was asked for', () => {
    mark(1)
    mark(5)
    run((tx) => askFor(tx, sequence, { seq: 3, here: new Set(), numbersMax: 64 }))
    expect(run((tx) => markGone(tx, sequence, [1, 2, 4, 9]))).toEqual([2])
    expect(run((tx) => markGone(tx, sequence, [2]))).toEqual([])
    expect([1, 2, 3, 4, 5].map((seq) => run((tx) => isSettled(tx, sequence, seq)))).toEqual([true, true, false, false, true])
  })
})

describe('contents', () => {
  it('under one number are told apart, for the newest numbers', () => {
    for (let seq = 1; seq <= 300; seq++) mark(seq)
    const other = (seq: number, hash: string): unknown => run((tx) => otherDigest(tx, sequence, { seq, hash }))
    expect([other(300, 'hash 300'), other(300, 'another'), other(64, 'another'), other(63, 'another')]).toEqual([
      undefined,
      'hash 300',
      'hash 64',
      undefined,
    ])
    expect(state.size('digest')).toBe(8)
  })

  it('are forgotten with their numbers when nothing under them can come any more', () => {
    mark(1)
    run((tx) => allot(tx, { to: bob, threadId: 't', id }))
    run((tx) => eraseCounters(tx, -1))
    expect([state.size('counter'), state.size('digest'), state.size('tail')]).toEqual([1, 1, 1])
    run((tx) => eraseCounters(tx, 0))
    expect([state.size('counter'), state.size('digest'), state.size('tail')]).toEqual([0, 0, 0])
  })
})

describe('own numbers', () => {
  const next = (thread?: string): unknown =>
    run((tx) => allot(tx, { to: bob, id, ...(thread === undefined ? {} : { threadId: thread }) }))

  it('count in a conversation, and name the one before in the thread', () => {
    expect([next('t'), next('u'), next('t'), next(), next('u')]).toEqual([
      { seq: 1, prev: 0 },
      { seq: 2, prev: 0 },
      { seq: 3, prev: 1 },
      { seq: 4, prev: 0 },
      { seq: 5, prev: 2 },
    ])
  })

  it('begin anew with a new life, with those that wait to be sealed', () => {
    for (let i = 0; i < 3; i++) next('t')
    run((tx) => {
      const row = { to: bob, threadId: 't' }
      tx.put('outbox', '1', { ...row, ...allot(tx, { to: bob, threadId: 't', id }) } as never)
      tx.put('outbox', '2', { to: bob, seq: 0, prev: 0 } as never)
      tx.put('outbox', '3', { ...row, ...allot(tx, { to: bob, threadId: 't', id }) } as never)
      renumber(tx)
    })
    expect([...state.rows('outbox')].map(([, { seq, prev }]) => [seq, prev])).toEqual([
      [1, 0],
      [0, 0],
      [2, 1],
    ])
    expect(next('t')).toEqual({ seq: 3, prev: 2 })
  })
})
