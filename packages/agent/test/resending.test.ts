import type { Address, StanzaId } from '@parley/core'
import { createSchedule } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { createResending } from '../src/resending.ts'

const bob = 'bob@b.example' as Address
const carol = 'carol@b.example' as Address
const ids = (count: number): StanzaId[] => Array.from({ length: count }, (_, i) => `urn:uuid:${i}` as StanzaId)

function scene() {
  const schedule = createSchedule({ settle: async () => {} })
  const offered: StanzaId[] = []
  const resending = createResending({ clock: schedule.clock(), offer: (id) => offered.push(id) })
  const pass = (ms: number) => schedule.run({ until: () => false, timeMax: schedule.time() + ms })
  return { resending, offered, pass }
}

describe('what a relay refused for now', () => {
  it('is tried again one after another when the relay said, and faster as it is taken', async () => {
    const { resending, offered, pass } = scene()
    const all = ids(8)
    for (const id of all) resending.refused(id, bob, 1000)
    await pass(999)
    expect(offered).toEqual([])
    await pass(1)
    expect(offered).toEqual(all.slice(0, 1))
    resending.ended(all[0] as StanzaId)
    expect(offered).toEqual(all.slice(0, 3))
    for (const id of all.slice(1, 3)) resending.ended(id)
    expect(offered).toEqual(all.slice(0, 7))
  })

  it('goes back to one at a time when it is refused again', async () => {
    const { resending, offered, pass } = scene()
    const all = ids(6)
    for (const id of all) resending.refused(id, bob, 100)
    await pass(100)
    resending.ended(all[0] as StanzaId)
    for (const id of all.slice(1, 3)) resending.refused(id, bob, 500)
    offered.length = 0
    await pass(499)
    expect(offered).toEqual([])
    await pass(1)
    expect(offered).toHaveLength(1)
  })

  it('takes far fewer attempts than stanzas times tries behind a rate of one in 200 ms', async () => {
    const { resending, offered, pass } = scene()
    const all = ids(50)
    for (const id of all) resending.refused(id, bob, 200)
    let taken = 0
    let attempts = 0
    for (let i = 0; i < 200 && taken < all.length; i++) {
      offered.length = 0
      await pass(200)
      attempts += offered.length
      const [first, ...others] = offered.splice(0)
      if (first !== undefined) {
        taken++
        resending.ended(first)
      }
      // What comes along is too much for this moment.
      attempts += offered.length
      for (const id of [...others, ...offered]) resending.refused(id, bob, 200)
    }
    expect(taken).toBe(all.length)
    expect(attempts).toBeLessThanOrEqual(3 * all.length)
  })

  it('of one recipient does not wait for what another one cannot take', async () => {
    const { resending, offered, pass } = scene()
    const [first, second] = ids(2) as [StanzaId, StanzaId]
    resending.refused(first, bob, 30_000)
    resending.refused(second, carol, 100)
    await pass(100)
    expect(offered).toEqual([second])
  })

  it('is forgotten when everything is sent anew', async () => {
    const { resending, offered, pass } = scene()
    for (const id of ids(3)) resending.refused(id, bob, 100)
    resending.clear()
    await pass(10_000)
    expect(offered).toEqual([])
    resending.ended(ids(1)[0] as StanzaId)
  })
})
