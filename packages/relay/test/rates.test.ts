import { mailboxLimits } from '@parley/mailbox'
import { describe, expect, it } from 'vitest'
import { createLinkCharge, createLinkMeter, createMeters, linkLimits } from '../src/rate.ts'
import { createWorld, type RelayTestOptions } from './network.ts'

const silent = { event() {}, count() {}, measure() {} }

async function scene(limits: NonNullable<RelayTestOptions['limits']>) {
  const world = createWorld()
  const relay = await world.relay('a.example', { limits })
  const join = async (address: string) => {
    const device = world.device(world.account(address), { relay })
    await device.online({ register: true })
    return device
  }
  return { world, relay, join }
}

describe('a rate', () => {
  const rate = { perSecond: 10, burst: 5 }

  it('lets the burst through, then one each tenth of a second', () => {
    const meters = createMeters()
    expect(Array.from({ length: 6 }, () => meters.take('a', 1, { rate, now: 1000 }))).toEqual([0, 0, 0, 0, 0, 100])
    expect(meters.take('b', 1, { rate, now: 1000 })).toBe(0)
    expect(meters.take('a', 1, { rate, now: 1099 })).toBe(1)
    expect(meters.take('a', 1, { rate, now: 1100 })).toBe(0)
    expect(meters.take('a', 1, { rate, now: 1100 })).toBe(100)
  })

  it('takes nothing from whom it refuses', () => {
    const meters = createMeters()
    for (let i = 0; i < 50; i++) meters.take('a', 1, { rate, now: 1000 })
    expect(meters.take('a', 1, { rate, now: 1100 })).toBe(0)
  })

  it('holds a connection back by what it is ahead of its rate and burst', () => {
    const rates = { framesPerSecond: 10, framesBurst: 2, bytesPerSecond: 1000, bytesBurst: 1000 }
    const charge = createLinkCharge(() => rates, { telemetry: silent, names: linkLimits.device })
    const meter = createLinkMeter()
    expect([charge(meter, 1, 0), charge(meter, 1, 0), charge(meter, 1, 0)]).toEqual([0, 0, 100])
    expect(charge(meter, 2000, 10_000)).toBe(1000)
    expect(charge(createLinkMeter(), 1, 10_000)).toBe(0)
  })
})

describe('a relay', () => {
  it('takes other limits while it runs, for those who are there too, but not those of its start', async () => {
    const { world, join, relay } = await scene({ fanOutMax: 1, mailbox: { ...mailboxLimits, countMax: 1 } })
    const [alice, bob] = [await join('alice@a.example'), await join('bob@a.example')]
    const outcome = async (text: string): Promise<unknown> => {
      const id = alice.send(bob.address, text)
      await world.until(() => alice.ended(id) !== undefined)
      const ended = alice.ended(id)
      return ended?.kind === 'bounced' ? ended.code : ended?.kind
    }
    relay.relay.setLimits({ stanzasPerAccountBurst: 1, stanzasPerAccountPerSecond: 1 })
    expect([await outcome('one'), await outcome('two')]).toEqual(['accepted', 'rate-limited'])
    await world.pass(2000)
    bob.drop()
    relay.relay.setLimits({ mailbox: mailboxLimits })
    expect([await outcome('three'), await outcome('four')]).toEqual(['accepted', 'mailbox-full'])
  })

  it('tells an account that sends too much when to try again, and serves the others meanwhile', async () => {
    const { world, join, relay } = await scene({ stanzasPerAccountPerSecond: 2, stanzasPerAccountBurst: 3 })
    const [alice, bob, carol] = [await join('alice@a.example'), await join('bob@a.example'), await join('carol@a.example')]
    const ids = Array.from({ length: 5 }, (_, i) => alice.send(bob.address, `flood ${i}`))
    const other = carol.send(bob.address, 'hello')
    await world.until(() => [...ids.map((id) => alice.ended(id)), carol.ended(other)].every((event) => event !== undefined))
    expect(ids.map((id) => alice.ended(id)?.kind)).toEqual(['accepted', 'accepted', 'accepted', 'bounced', 'bounced'])
    expect(alice.ended(ids[4] as never)).toMatchObject({ code: 'rate-limited', retryable: true, wait: expect.any(Number) })
    expect(carol.ended(other)?.kind).toBe('accepted')
    expect(relay.counts.get('relay.limit.stanzasPerAccountPerSecond')).toBe(2)
    await world.pass(1000)
    const again = alice.send(bob.address, 'again')
    await world.until(() => alice.ended(again) !== undefined)
    expect(alice.ended(again)?.kind).toBe('accepted')
  })

  it('answers a bounded number of questions of one device, also over several connections, and the others meanwhile', async () => {
    const { join, relay, world } = await scene({ requestsPerDevicePerSecond: 1, requestsPerDeviceBurst: 3 })
    const [alice, bob] = [await join('alice@a.example'), await join('bob@a.example')]
    const ask = async (device: typeof alice) => {
      const { ok, ...rest } = await device.request('status', {})
      return ok ? 'answered' : rest
    }
    expect([await ask(alice), await ask(alice)]).toEqual(['answered', 'answered'])
    alice.drop()
    await alice.online()
    expect(await ask(alice)).toBe('answered')
    expect(await ask(alice)).toMatchObject({ code: 'too-many-requests', retryable: true, wait: expect.any(Number) })
    expect(await ask(bob)).toBe('answered')
    expect(relay.counts.get('relay.limit.requestsPerDevicePerSecond')).toBe(1)
    await world.pass(1000)
    expect(await ask(alice)).toBe('answered')
  })

  it('tells a device that does not read its answers when to come again', async () => {
    const { world, join, relay } = await scene({})
    const alice = await join('alice@a.example')
    relay.relay.setLimits({ bufferedBytesMax: 1, retryMsMax: 777 })
    await alice.request('status', {})
    await world.until(() => alice.closed !== undefined)
    expect([alice.fatal, alice.wait]).toEqual(['overloaded', 777])
  })

  it('reads a connection that is too fast more slowly, and loses nothing of it', async () => {
    const { world, join, relay } = await scene({ framesPerSecond: 20, framesBurst: 5 })
    const [alice, bob] = [await join('alice@a.example'), await join('bob@a.example')]
    const before = world.schedule.time()
    const ids = Array.from({ length: 40 }, (_, i) => alice.send(bob.address, `message ${i}`))
    await world.until(() => ids.every((id) => alice.ended(id)?.kind === 'accepted'))
    expect(world.schedule.time() - before).toBeGreaterThan(1500)
    expect(relay.counts.get('relay.limit.framesPerSecond')).toBeGreaterThan(0)
    await world.until(() => bob.texts.length === 40)
  })

  it('takes a bounded number of new accounts from one network', async () => {
    const { world, relay } = await scene({ registrationsPerPeerPerHour: 1 })
    const account = world.account('alice@a.example')
    const device = world.device(account, { relay })
    await device.online({ register: true })
    device.drop()
    await world.pass(100)
    // The simulated network knows a node by the device's name, and this one has the same.
    const again = world.device(world.account('alice@a.example'), { relay })
    await expect(again.online({ register: true })).rejects.toThrow('rate-limited')
    expect(again.wait).toBeGreaterThan(3_000_000)
  })

  it('stops looking at logins from where too many were refused', async () => {
    const { world, relay } = await scene({ loginFailuresPerPeerPerMinute: 2 })
    const device = world.device(world.account('alice@a.example'), { relay })
    await expect(device.online()).rejects.toThrow('login-refused')
    await expect(device.online()).rejects.toThrow('login-refused')
    await expect(device.online()).rejects.toThrow('rate-limited')
    await world.pass(30_000)
    await expect(device.online()).rejects.toThrow('login-refused')
  })

  it('takes a bounded number of connections a minute from one network', async () => {
    const { world, relay } = await scene({ connectionsPerPeerPerMinute: 2 })
    const device = world.device(world.account('alice@a.example'), { relay })
    const leave = async () => {
      device.drop()
      await world.pass(10)
    }
    await device.online({ register: true })
    await leave()
    await device.online()
    await leave()
    await expect(device.online()).rejects.toThrow('rate-limited')
    expect(device.wait).toBeGreaterThan(0)
    await world.pass(device.wait ?? 0)
    await device.online()
  })

  it('sends one stanza to a bounded number of devices', async () => {
    const { world, join } = await scene({ fanOutMax: 1 })
    const [alice, bob, carol] = [await join('alice@a.example'), await join('bob@a.example'), await join('carol@a.example')]
    const id = alice.send([bob.address, carol.address], 'to both')
    await world.until(() => alice.ended(id) !== undefined)
    expect(alice.ended(id)).toMatchObject({ kind: 'bounced', code: 'stanza-malformed' })
    expect(bob.texts).toEqual([])
  })
})
