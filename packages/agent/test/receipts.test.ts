import type { Address, JsonObject, MessageId } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { beforeEach, describe, expect, it } from 'vitest'
import { addReceipt, dueReceipts, takeDisplayed, takeReceipt } from '../src/receipts.ts'
import type { SentRow } from '../src/rows.ts'
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
const add = (id: string): boolean => run((tx) => addReceipt(tx, { to: bob, id, hash: `hash of ${id}`, due: 50, wakeAt }))

beforeEach(async () => {
  wakes = []
  state = await openState({ store: createMemoryStore(), random: createSimRandom(1), storeKeys: [new Uint8Array(32)] })
})

describe('receipts to send', () => {
  const due = (): readonly JsonObject[] => run((tx) => dueReceipts(tx, bob))

  it('are gathered from the first until they are due, and go once', () => {
    expect([add('one'), add('two')]).toEqual([true, false])
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
    for (let i = 0; i < 300; i++) add(String(i))
    expect(due().map((body) => (body['delivered'] as unknown[]).length)).toEqual([256, 44])
  })
})

const put = (id: string, row: Partial<SentRow> = {}): void =>
  run((tx) => tx.put('sent', id, { to: bob, threadId: 't', state: 'accepted', expiry: 1, ...row }))
const stateOf = (id: string): string | undefined => state.get('sent', id)?.state

describe('a delivered receipt that comes', () => {
  const [hash, other] = ['h'.repeat(43), 'o'.repeat(43)]
  const take = (body: JsonObject, from = bob): void => run((tx) => takeReceipt(tx, { from, body }))

  it('settles the messages it names', () => {
    put('one', { hash })
    put('two', { hash })
    take({
      delivered: [
        ['one', hash],
        ['three', hash],
      ],
    })
    expect([stateOf('one'), stateOf('two')]).toEqual(['delivered', 'accepted'])
  })

  it('settles nothing with another hash, from another account, or before the message was sealed', () => {
    put('one', { hash })
    put('two')
    take({
      delivered: [
        ['one', other],
        ['two', hash],
      ],
    })
    take({ delivered: [['one', hash]] }, 'mallory@m.test' as Address)
    expect([stateOf('one'), stateOf('two')]).toEqual(['accepted', 'accepted'])
  })

  it('is ignored when it is none', () => {
    put('one', { hash })
    const pair = ['one', hash]
    const bodies = [
      {},
      { delivered: 'one' },
      { delivered: [pair, 7] },
      { delivered: [pair], more: 1 },
      { delivered: Array(257).fill(pair) },
    ]
    for (const body of bodies) take(body as JsonObject)
    expect(stateOf('one')).toBe('accepted')
  })
})

describe('a displayed receipt that comes', () => {
  const hash = 'h'.repeat(43)
  const id = (text: string): MessageId => text as MessageId
  const take = (upTo: string, from: string = bob): void => run((tx) => takeDisplayed(tx, { from, upTo }))
  const states = (): readonly unknown[] => ['one', 'two', 'three', 'four'].map(stateOf)

  beforeEach(() => {
    put('one', { hash, state: 'delivered' })
    put('two', { hash, after: id('one'), state: 'failed', cause: 'bounced' })
    put('three', { hash, after: id('two') })
    put('four', { hash, after: id('three') })
  })

  it('settles its message and those before it in the thread, but none that failed', () => {
    take('three')
    expect(states()).toEqual(['displayed', 'failed', 'displayed', 'accepted'])
  })

  it('overrules the failure of the message that it names', () => {
    take('two')
    expect(states()).toEqual(['displayed', 'displayed', 'accepted', 'accepted'])
  })

  it('never moves anything back', () => {
    take('four')
    take('one')
    expect(states()).toEqual(['displayed', 'failed', 'displayed', 'displayed'])
  })

  it('settles nothing for somebody else, for an unknown message, or before the message was sealed', () => {
    put('five', { after: id('four') })
    take('four', 'mallory@m.test')
    take('six')
    take('five')
    expect([...states(), stateOf('five')]).toEqual(['delivered', 'failed', 'accepted', 'accepted', 'accepted'])
  })
})
