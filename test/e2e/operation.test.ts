import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { alice, createStage, type Ended, inTime, type Program, ready, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 90_000 })

const bob = 'bob@a.localhost'
const relayBin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))

let stage: Stage
beforeEach(() => {
  stage = createStage()
})
afterEach(() => stage.close())

/** Runs a command of the relay to its end. */
function relay(data: string, args: readonly string[]): Promise<Ended> {
  return inTime(stage.start([relayBin, '--data', data, ...args], { input: '' }).ended, () => args.join(' '), 60_000)
}

async function start(data: string): Promise<{ readonly program: Program; readonly url: string }> {
  const program = stage.relayProgram({ domain: 'a.localhost', data })
  return { program, url: `ws://127.0.0.1:${await ready(program)}` }
}

it('after a kill the commands work on the store, and the next relay takes the place of the old one’s socket', async () => {
  const data = stage.path('data')
  const { program, url } = await start(data)
  await stage.output('alice', ['init', alice, '--relay', url])
  expect((await relay(data, ['account', 'list'])).out).toBe(`${alice}\n`)
  await program.kill()
  expect((await relay(data, ['status'])).code).toBe(69)
  expect((await relay(data, ['account', 'list'])).out).toBe(`${alice}\n`)
  expect(await relay(data, ['doctor'])).toMatchObject({ code: 0, out: expect.stringContaining('all as it should be') })
  const again = await start(data)
  expect((await relay(data, ['status', '--json'])).out).toContain(`"pid":${again.program.pid},`)
  expect((await again.program.stop()).code).toBe(0)
})

it('a backup under load is whole, however often it is made', async () => {
  const data = stage.path('data')
  const { program, url } = await start(data)
  await stage.output('alice', ['init', alice, '--relay', url])
  await stage.output('bob', ['init', bob, '--relay', url])
  const texts = Array.from({ length: 300 }, (_, i) => `message ${i}`)
  const sending = stage.run('alice', ['send', bob], { input: `${texts.join('\n')}\n` })
  for (let i = 0; i < 3; i++) {
    const backup = stage.path(`backup ${i}`)
    expect((await relay(data, ['backup', backup])).code).toBe(0)
    const copy = stage.path(`copy ${i}`)
    expect((await relay(copy, ['restore', backup])).code).toBe(0)
    // Stanzas that stand in no sum, or sums without their stanzas, would show here.
    expect(await relay(copy, ['doctor'])).toMatchObject({ code: 0, out: expect.stringContaining('all as it should be') })
  }
  expect((await sending).code).toBe(0)
  await program.stop()
  // The session key went ahead of them.
  expect((await relay(data, ['doctor'])).out).toContain('301 stanzas: all as it should be')
})
