import { createSchedule } from '@parley/core/sim'
import { writeFrame } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { moved, type Progress, waitingSince } from '../src/progress.ts'
import { createWorld } from './network.ts'

describe('progress', () => {
  it('counts from the last acknowledgement while stanzas wait, and not at all while none do', async () => {
    const schedule = createSchedule({ settle: async () => {} })
    const clock = schedule.clock()
    const progress: Progress = { at: clock.monotonic() }
    const since = (unacknowledged: number): number => waitingSince(progress, unacknowledged, clock.monotonic())
    const pass = (): Promise<boolean> => schedule.run({ until: () => false, timeMax: schedule.time() + 100 })
    await pass()
    expect(since(0)).toBe(100)
    await pass()
    expect(since(1)).toBe(100)
    moved(progress, clock.monotonic())
    await pass()
    expect(since(1)).toBe(200)
  })

  it('gives up a device that answers pings and acknowledges nothing', async () => {
    const world = createWorld()
    const relay = await world.relay('a.example')
    const [alice, bob] = ['alice', 'bob'].map((name) => world.device(world.account(`${name}@a.example`), { relay }))
    if (alice === undefined || bob === undefined) throw new Error('two devices')
    await alice.online({ register: true })
    await bob.online({ register: true })
    bob.isHolding = true
    alice.send(bob.address, 'never acknowledged')
    for (let i = 0; i < 12 && bob.fatal === undefined; i++) {
      bob.raw(writeFrame({ t: 'ping' }))
      await world.pass(10_000)
    }
    expect(bob.fatal).toBe('idle')
  })
})
