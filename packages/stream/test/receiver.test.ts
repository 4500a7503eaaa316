import { toAddress } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { createReceiver, readFrame, streamLimits, writeFrame } from '../src/index.ts'
import { bob, stanzaId } from './parts.ts'

const epoch = 'AAAAAAAAAAA'
const make = (start = 0) => createReceiver({ epoch, start })

describe('the receiving half', () => {
  it('tells new from repeated and missing by the count, not by the positions', () => {
    const receiver = make(4)
    expect(receiver.take({ c: 1, n: 9 }, 1)).toBe('new')
    expect(receiver.take({ c: 1, n: 9 }, 1)).toBe('again')
    expect(receiver.take({ c: 3, n: 20 }, 1)).toBe('gap')
    expect(receiver.take({ c: 2, n: 15 }, 1)).toBe('new')
    expect(receiver.take({ c: 3 }, 1)).toBe('new')
    expect(receiver.take({ c: 4, n: 16 }, 1)).toBe('new')
  })

  it('takes a position that was handled before, or does not rise, as a fault', () => {
    expect(make(4).take({ c: 1, n: 4 }, 1)).toBe('gap')
  })

  it('acknowledges in order, whatever the order of settling', () => {
    const receiver = make()
    for (const n of [1, 2, 3]) receiver.take({ c: n, n }, 10)
    receiver.settle(2, {})
    expect(receiver.flush()).toBeUndefined()
    receiver.settle(1, {})
    expect(receiver.flush()).toEqual({ t: 'ack', epoch, after: 0, h: 2 })
    expect([receiver.count, receiver.bytes]).toEqual([1, 10])
    expect(receiver.flush()).toBeUndefined()
    receiver.settle(3, {})
    expect(receiver.flush()).toEqual({ t: 'ack', epoch, after: 2, h: 3 })
  })

  it('says with the acknowledgement where stanzas ended and which cards were meant', () => {
    const receiver = make()
    const bounce = { id: stanzaId(), code: 'recipient-unknown', retryable: false }
    for (const n of [1, 2]) receiver.take({ c: n, n }, 1)
    receiver.settle(1, { cards: { [bob]: 3 } })
    receiver.settle(2, { bounced: [bounce] })
    expect(receiver.flush()).toEqual({ t: 'ack', epoch, after: 0, h: 2, cards: { [bob]: 3 }, bounced: [bounce] })
  })

  it('settles everything up to a position at once', () => {
    const receiver = make(100)
    receiver.take({ c: 1, n: 105 }, 1)
    receiver.take({ c: 2, n: 300 }, 1)
    receiver.settleUpTo(299)
    expect(receiver.flush()).toMatchObject({ h: 105 })
    receiver.settleUpTo(300)
    expect(receiver.flush()).toMatchObject({ h: 300 })
  })

  it('says of many stanzas in several acknowledgements what no header could hold', () => {
    const receiver = make()
    const to = Array.from({ length: 64 }, (_, i) => toAddress(`${'x'.repeat(100)}${i}@b.example`)).filter(
      (each) => each !== undefined,
    )
    const bounce = { id: stanzaId(), to, code: 'recipient-unknown', retryable: false }
    const cards = Object.fromEntries(to.map((address) => [address, 1_000_000_000]))
    for (let n = 1; n <= 64; n++) {
      receiver.take({ c: n, n }, 1)
      receiver.settle(n, { cards, bounced: [bounce] })
    }
    let after = 0
    let bounces = 0
    for (let ack = receiver.flush(); ack !== undefined; ack = receiver.flush()) {
      expect(ack.after).toBe(after)
      expect(ack.h).toBeGreaterThan(after)
      expect(readFrame(writeFrame(ack), streamLimits)).toMatchObject({ ok: true })
      after = ack.h
      bounces += ack.bounced?.length ?? 0
    }
    expect([after, bounces, receiver.count]).toEqual([64, 64, 0])
  })
})
