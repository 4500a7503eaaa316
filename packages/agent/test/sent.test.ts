import type { Address, MessageId } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { beforeEach, describe, expect, it } from 'vitest'
import type { SentState } from '../src/rows.ts'
import { createSentBook, type SentBook, settleSent } from '../src/sent.ts'
import { openState, type State } from '../src/state.ts'

const id = 'urn:uuid:1' as MessageId
let state: State
let book: SentBook

beforeEach(async () => {
  state = await openState({ store: createMemoryStore(), random: createSimRandom(1), storeKeys: [new Uint8Array(32)] })
  state.run(0, (tx) => tx.put('sent', id, { to: 'bob@b.test' as Address, threadId: id, state: 'queued', expiry: 1 }))
  book = createSentBook(state)
})

function settle(to: SentState, cause?: string): void {
  state.run(0, (tx) => settleSent(tx, id, { state: to, ...(cause === undefined ? {} : { cause }) }))
  book.notice(id)
}

describe('a sent message', () => {
  it('moves forward only', () => {
    const seen = (['accepted', 'queued', 'failed', 'accepted', 'delivered', 'failed'] as const).map((to) => {
      settle(to)
      return state.get('sent', id)?.state
    })
    expect(seen).toEqual(['accepted', 'accepted', 'failed', 'failed', 'delivered', 'delivered'])
  })

  it('that a receipt names was delivered, whatever a relay said before', () => {
    settle('failed', 'expired')
    expect(book.handle(id, 't').status()).toEqual({ state: 'failed', cause: 'expired' })
    settle('delivered')
    expect(book.handle(id, 't').status()).toEqual({ state: 'delivered' })
  })

  it('that is not known changes nothing', () => {
    state.run(0, (tx) => settleSent(tx, 'other', { state: 'failed' }))
    expect(state.size('sent')).toBe(1)
  })
})

describe('a handle', () => {
  it('resolves as the message moves on', async () => {
    const handle = book.handle(id, 't')
    const both = [handle.accepted(), handle.delivered()]
    settle('accepted')
    await both[0]
    settle('delivered')
    await both[1]
    await handle.accepted()
  })

  it('rejects with the cause when the message fails', async () => {
    const delivered = book.handle(id, 't').delivered()
    settle('failed', 'recipient-unknown')
    await expect(delivered).rejects.toMatchObject({ code: 'ERR_AGENT_SEND_FAILED', reason: 'recipient-unknown' })
    await expect(book.handle(id, 't').accepted()).rejects.toMatchObject({ code: 'ERR_AGENT_SEND_FAILED' })
  })

  it('rejects with the reason of its signal, and waits no more', async () => {
    const controller = new AbortController()
    const waiting = book.handle(id, 't').accepted({ signal: controller.signal })
    controller.abort('enough')
    await expect(waiting).rejects.toBe('enough')
    await expect(book.handle(id, 't').accepted({ signal: controller.signal })).rejects.toBe('enough')
  })

  it('rejects when the agent is closed, also one that asks afterwards', async () => {
    const error = new Error('closed')
    const handle = book.handle(id, 't')
    const waiting = handle.accepted()
    book.close(error)
    await expect(waiting).rejects.toBe(error)
    await expect(handle.delivered()).rejects.toBe(error)
    settle('accepted')
    await handle.accepted()
  })
})
