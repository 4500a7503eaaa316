import { chat } from '@parley/protocols/chat'
import { describe, expect, it } from 'vitest'
import { createTestNetwork, type TestDevice, type TestNetwork } from '../src/index.ts'

async function two(seed: number): Promise<{ network: TestNetwork; alice: TestDevice; bob: TestDevice }> {
  const network = await createTestNetwork({ seed })
  return { network, alice: await network.addAccount('alice@a.test'), bob: await network.addAccount('bob@b.test') }
}

const say = async ({ network, alice }: { network: TestNetwork; alice: TestDevice }, text: string) =>
  network.settle(alice.agent.send('bob@b.test', chat.text({ text })))

const hear = async (network: TestNetwork, device: TestDevice): Promise<string | undefined> => {
  const messages = device.agent.messages(chat.text)
  const { value } = await network.settle(messages.next())
  // Leaving the loop marks it as handled.
  if (messages.return !== undefined) await network.settle(messages.return())
  return value?.body.text
}

describe('a test network', () => {
  it('lets nothing happen unless time passes', async () => {
    const all = await two(1)
    const before = all.network.now()
    const sent = all.alice.agent.send('bob@b.test', chat.text({ text: 'hello' }))
    await new Promise<void>((done) => setImmediate(done))
    expect(all.network.now()).toBe(before)
    await all.network.settle(sent)
    expect(await hear(all.network, all.bob)).toBe('hello')
    expect(all.network.now()).toBeGreaterThan(before)
    await all.network.close()
  })

  it('does the same twice from the same seed', async () => {
    const run = async (seed: number) => {
      const all = await two(seed)
      all.network.setLinks({ lose: 0.05, delayMsMax: 200 })
      const { id } = await say(all, 'hello')
      await hear(all.network, all.bob)
      const at = all.network.now()
      await all.network.close()
      return { id, at }
    }
    const first = await run(5)
    expect(await run(5)).toEqual(first)
    expect(await run(6)).not.toEqual(first)
  })

  it('keeps what a killed process had stored', async () => {
    const all = await two(2)
    await say(all, 'before')
    all.alice.kill()
    expect(all.alice.isUp).toBe(false)
    expect(() => all.alice.agent).toThrowError('alice@a.test/1 is down')
    await all.network.settle(all.alice.start())
    expect(await hear(all.network, all.bob)).toBe('before')
    await all.network.close()
  })

  it('cuts one direction and heals it', async () => {
    const all = await two(3)
    const heal = all.network.cut('a.test', 'b.test')
    await say(all, 'hello')
    await expect(all.network.until(() => all.bob.agent.parked().length > 0, { timeMs: 60_000 })).rejects.toThrow('until')
    heal()
    expect(await hear(all.network, all.bob)).toBe('hello')
    await all.network.close()
  })

  it('waits out a full disk', async () => {
    const all = await two(4)
    all.bob.disk.full = true
    const sent = await say(all, 'hello')
    await all.network.advance(10_000)
    expect(sent.status().state).toBe('accepted')
    all.bob.disk.full = false
    expect(await hear(all.network, all.bob)).toBe('hello')
    await all.network.close()
  })

  it('lets time go on while a disk is full and something waits to be sealed', async () => {
    const all = await two(8)
    const sent = await say(all, 'hello')
    const { disk } = all.alice
    // Bob's card is the last thing that finds room.
    disk.onBatch = ({ at }) => {
      if (at === 'after') disk.full = true
    }
    await all.network.advance(10_000)
    expect([disk.full, sent.status().state]).toEqual([true, 'queued'])
    disk.onBatch = () => {}
    disk.full = false
    expect(await hear(all.network, all.bob)).toBe('hello')
    await all.network.close()
  })

  it('gives every device of an account a copy', async () => {
    const all = await two(5)
    const second = await all.network.addDevice(all.bob)
    await say(all, 'to both')
    expect(await hear(all.network, all.bob)).toBe('to both')
    expect(await hear(all.network, second)).toBe('to both')
    await all.network.close()
  })

  it('lets relays die and come back', async () => {
    const all = await two(6)
    const relay = all.network.relay('b.test')
    relay.kill()
    await say(all, 'hello')
    await all.network.advance(60_000)
    await all.network.settle(relay.start())
    expect(await hear(all.network, all.bob)).toBe('hello')
    expect(() => all.network.relay('c.test')).toThrowError(TypeError)
    await all.network.close()
  })

  it('takes a clock that is set back an hour', async () => {
    const all = await two(7)
    all.bob.clock.jump(-3_600_000)
    await say(all, 'hello')
    expect(await hear(all.network, all.bob)).toBe('hello')
    await all.network.close()
  })
})
