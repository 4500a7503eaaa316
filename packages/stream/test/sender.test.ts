import { describe, expect, it } from 'vitest'
import { createSender } from '../src/index.ts'

const epoch = 'AAAAAAAAAAA'
const make = (start = 0) => createSender({ epoch, start, windowStanzas: 3, windowBytes: 100 })
const ack = (h: number, more = {}) => ({ t: 'ack', epoch, h, ...more }) as const

describe('the sending half', () => {
  it('numbers frames one by one, whatever their positions', () => {
    const sender = make(10)
    expect([sender.add(12, 1), sender.pass(), sender.add(20, 1)]).toEqual([{ c: 1, n: 12 }, { c: 2 }, { c: 3, n: 20 }])
  })

  it('keeps no more stanzas or octets on their way than the window takes, but always one', () => {
    const sender = make()
    expect(sender.room(1000)).toBe(true)
    sender.add(1, 60)
    expect([sender.room(40), sender.room(41)]).toEqual([true, false])
    sender.add(2, 10)
    sender.add(3, 10)
    expect(sender.room(1)).toBe(false)
    sender.ack(ack(1))
    expect([sender.room(80), sender.room(81)]).toEqual([true, false])
    sender.ack(ack(3))
    expect(sender.room(1000)).toBe(true)
  })

  it('releases nothing for another epoch or for what was acknowledged before', () => {
    const sender = make()
    sender.add(1, 1)
    expect(sender.ack({ t: 'ack', epoch: 'BBBBBBBBBBB', h: 1 })).toEqual({ outcome: 'ignored' })
    expect(sender.ack(ack(1))).toEqual({ outcome: 'released', from: 0, h: 1 })
    expect(sender.ack(ack(1))).toEqual({ outcome: 'ignored' })
  })

  it('takes an acknowledgement beyond what was sent as fatal, even of a position that exists', () => {
    const sender = make(5)
    sender.add(7, 1)
    expect(sender.ack(ack(8))).toEqual({ outcome: 'fatal', code: 'ack-beyond' })
    expect(sender.ack(ack(6))).toEqual({ outcome: 'released', from: 5, h: 6 })
  })

  it('notices that an acknowledgement with bounces in it was lost', () => {
    const sender = make()
    sender.add(1, 1)
    sender.add(2, 1)
    expect(sender.ack(ack(2, { after: 1 }))).toEqual({ outcome: 'fatal', code: 'stanza-gap' })
    expect(sender.ack(ack(2, { after: 0 }))).toMatchObject({ outcome: 'released' })
  })

  it('refuses positions that do not rise', () => {
    const sender = make(5)
    expect(() => sender.add(5, 1)).toThrow(RangeError)
  })
})
