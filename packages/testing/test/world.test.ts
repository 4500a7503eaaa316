import { chat } from '@parley/protocols/chat'
import { expect, it } from 'vitest'
import { createWorld } from '../src/index.ts'

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))

it('carries a message from one account to another over two relays', async () => {
  const world = createWorld({ seed: 1, settle })
  await world.addRelay('a.test')
  await world.addRelay('b.test')
  const alice = await world.addAccount('alice@a.test')
  await world.addAccount('bob@b.test')
  const sent = await world.settled(alice.agent.send('bob@b.test', chat.text({ text: 'hello' })))
  await world.settled(sent.delivered(), 30_000).catch(() => {})
  expect(sent.status().state).toBe('accepted')
  expect(await world.run({ until: () => world.handed.length > 0, timeMs: 60_000 })).toBe(true)
  expect(world.handed).toMatchObject([{ device: 'bob@b.test/1', attempt: 1, text: 'hello' }])
  await world.close()
})
