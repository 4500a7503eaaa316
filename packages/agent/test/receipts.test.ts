import type { Address, JsonObject } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { beforeEach, describe, expect, it } from 'vitest'
import { addReceipt, dueReceipts, takeReceipt } from '../src/receipts.ts'
import { openState, type State, type Tx } from '../src/state.ts'

const bob = 'bob@b.test' as Address
let state: State
let wakes: string[]
const run = <T>(step: (tx: Tx) => T): T => {
  const { result, effects } = state.run(0, step)
  for (const effect of effects) effect()
  return result
}
const wakeAt = (ms: number, name: string): unknown => wakes.push(`${ms} ${name}`)
const add = (id: string): void => run((tx) => addReceipt(tx, { to: bob, id, hash: `hash of ${id}`, dueMs: 50, wakeAt }))

beforeEach(async () => {
  wakes = []
  state = await openState({ store: createMemoryStore(), random: createSimRandom(1), storeKeys: [new Uint8Array(32)] })
})

describe('receipts to send', () => {
  const due = (): readonly JsonObject[] => run((tx) => dueReceipts(tx, bob))

  it('are for contacts only', () => {
    add('one')
    expect(due()).toEqual([])
  })

  it('are gathered from the first until they are due, and go once', () => {
    run((tx) => tx.put('conversation', bob, { seq: 0, contact: true }))
    add('one')
    add('two')
    expect(wakes).toEqual([`50 receipt ${bob}`])
    expect(due()).toEqual([
      {
        delivered: [
          ['one', 'hash of one'],
          ['two', 'hash of two'],
        ],
      },
    ])
    expect([due(), state.size('receipt')]).toEqual([[], 0])
  })

  it('name so many messages each', () => {
    run((tx) => tx.put('conversation', bob, { seq: 0, contact: true }))
    for (let i = 0; i < 300; i++) add(String(i))
    expect(due().map((body) => (body['delivered'] as unknown[]).length)).toEqual([256, 44])
  })
})

describe('a receipt that comes', () => {
  const put = (id: string, hash?: string): void =>
    run((tx) =>
      tx.put('sent', id, { to: bob, threadId: id, state: 'accepted', expiry: 1, ...(hash === undefined ? {} : { hash }) }),
    )
  const take = (body: JsonObject, from = bob): void => run((tx) => takeReceipt(tx, { from, body }))
  const stateOf = (id: string): string | undefined => state.get('sent', id)?.state

  it('settles the messages it names', () => {
    put('one', 'h')
    put('two', 'h')
    take({ delivered: [['one', 'h'], 7, [], ['three', 'h'], [1, 'h']] })
    expect([stateOf('one'), stateOf('two')]).toEqual(['delivered', 'accepted'])
  })

  it('settles nothing with another hash, from another account, or before the message was sealed', () => {
    put('one', 'h')
    put('two')
    take({ delivered: [['one', 'x'], ['two', 'undefined'], ['two']] })
    take({ delivered: [['one', 'h']] }, 'mallory@m.test' as Address)
    expect([stateOf('one'), stateOf('two')]).toEqual(['accepted', 'accepted'])
  })

  it('is ignored when it is none', () => {
    put('one', 'h')
    for (const body of [{}, { delivered: 'one' }, { delivered: Array(257).fill(['one', 'h']) as never }]) take(body)
    expect(stateOf('one')).toBe('accepted')
  })
})
