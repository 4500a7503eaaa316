import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseAddress, toDomain } from '@parley/core'
import { formatInviteLink } from '@parley/identity'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore } from '@parley/platform/level'
import { listenWebSocket } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { createRelay, type Relay } from '@parley/relay'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStage, inTime, isReady, parleyBin, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const domain = toDomain('c.localhost')
if (domain === undefined) throw new Error('a domain')

// A relay in this process, so that its operator's side can be looked at; the commands are processes of their own.
let stage: Stage
let relay: Relay
let url: string
beforeEach(async () => {
  stage = createStage()
  const store = await openLevelStore(stage.path('relay'))
  relay = await createRelay({
    domain,
    store,
    transport: { dial: dialWebSocket, listen: listenWebSocket, request: requestHttp },
    clock: systemClock,
    random: systemRandom,
    registration: 'invite',
  })
  url = `ws://127.0.0.1:${relay.port}`
})
afterEach(async () => {
  await relay.close()
  await stage.close()
})

async function invitation(): Promise<string> {
  const { token } = await relay.invites.create()
  return formatInviteLink({ domain: domain as never, token, relay: url })
}

describe('an invitation', () => {
  it('is all that somebody needs: a link and the name they want', async () => {
    const link = await invitation()
    expect(await stage.output('alice', ['init', 'alice', '--invite', link])).toContain('address       alice@c.localhost')
    const second = await stage.run('bob', ['init', 'bob', '--invite', link])
    expect(second).toMatchObject({ code: 1 })
    expect(second.err).toContain('the relay refused: invite-refused; no profile was made')
    expect(existsSync(stage.path('bob'))).toBe(false)
    const { token } = await relay.invites.create()
    await stage.output('bob', ['init', 'bob@c.localhost', '--relay', url, '--invite', token])
  })

  it('to another domain is a mistake that is said before anything is made', async () => {
    const wrong = await stage.run('alice', ['init', 'alice@elsewhere.example', '--invite', await invitation()])
    expect(wrong).toMatchObject({ code: 2, out: '' })
    expect(wrong.err).toContain('the invitation is to c.localhost, not to elsewhere.example')
    expect(existsSync(stage.path('alice'))).toBe(false)
  })
})

describe('an account', () => {
  it('blocks somebody, lists whom it blocks, and hears them again', async () => {
    await stage.output('alice', ['init', 'alice', '--invite', await invitation()])
    await stage.output('bob', ['init', 'bob', '--invite', await invitation()])
    await stage.output('alice', ['block', 'bob@c.localhost'])
    expect(await stage.output('alice', ['block'])).toBe('bob@c.localhost\n')
    const refused = await stage.run('bob', ['send', 'alice@c.localhost', 'hello'])
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('forbidden')
    await stage.output('alice', ['block', 'bob@c.localhost', '--remove'])
    expect(await stage.output('alice', ['block'])).toBe('')
    await stage.output('bob', ['send', 'alice@c.localhost', 'hello'])
  })

  it('is removed with its profile once its address was repeated', async () => {
    await stage.output('alice', ['init', 'alice', '--invite', await invitation()])
    expect(await stage.run('alice', ['account', 'remove'])).toMatchObject({ code: 2 })
    expect(await relay.accounts.list()).toEqual(['alice@c.localhost'])
    expect(await stage.output('alice', ['account', 'remove', '--confirm', 'alice@c.localhost'])).toBe(
      'alice@c.localhost  removed\n',
    )
    expect(await relay.accounts.list()).toEqual([])
    expect(existsSync(stage.path('alice'))).toBe(false)
  })

  it('that its operator removed ends what listens for it, and sending fails with the reason', async () => {
    await stage.output('alice', ['init', 'alice', '--invite', await invitation()])
    const listening = stage.parley('alice', ['listen', '--events'], { input: '' })
    await listening.next(isReady)
    await relay.accounts.remove(parseAddress('alice@c.localhost'))
    const gone = 'the relay has let go of this device for good: account-removed'
    expect(await inTime(listening.ended, () => 'it listens on')).toMatchObject({ code: 1, err: `parley: ${gone}\n` })
    const sent = await stage.run('alice', ['send', 'bob@c.localhost', 'hello', '--timeout', '2s'])
    expect(sent).toMatchObject({ code: 75, err: expect.stringContaining('(login-refused)') })
  })
})

describe('a device', () => {
  it('waits to be approved and says so, then listens, and ends with the reason when it is removed', async () => {
    const account = await stage.output('alice', ['init', 'alice', '--invite', await invitation()])
    const link = /im:\S+/.exec(account)?.[0] ?? ''
    const asked = ['device', 'request', 'alice@c.localhost', '--relay', url, '--account', link]
    const line = (await stage.output('phone', asked)).trim()
    const first = stage.parley('phone', ['listen', '--count', '1'], { input: '' })
    // It is refused before a process can start that approves it.
    await vi.waitUntil(async () => (await relay.stats()).connections > 0, { timeout: 20_000, interval: 20 })
    await stage.output('alice', ['device', 'approve', line])
    await stage.output('bob', ['init', 'bob', '--invite', await invitation()])
    await stage.output('bob', ['send', 'alice@c.localhost', 'hello'])
    const heard = await inTime(first.ended, () => 'the phone hears nothing')
    expect(heard).toMatchObject({ code: 0, out: expect.stringContaining('bob@c.localhost hello') })
    expect(heard.err).toBe('parley: the relay refuses this device: login-refused; trying again\n')
    const listening = stage.parley('phone', ['listen', '--events'], { input: '' })
    await listening.next(isReady)
    const others = (await stage.output('alice', ['device', 'list'])).split('\n').filter((each) => !each.includes('this device'))
    await stage.output('alice', ['device', 'remove', others[0]?.split('  ')[0] ?? '', '--reason', 'retired'])
    const gone = 'the relay has let go of this device for good: device-removed'
    expect(await inTime(listening.ended, () => 'it listens on')).toMatchObject({ code: 1, err: `parley: ${gone}\n` })
  })
})

it('the page of parley names every command and its options', async () => {
  const page = readFileSync(fileURLToPath(new URL('../../apps/cli/README.md', import.meta.url)), 'utf8')
  const help = async (path: readonly string[]): Promise<string> => (await stage.start([parleyBin, ...path, '--help']).ended).out
  const commandsOf = (text: string): readonly string[] =>
    [...(text.split('\nCommands:\n')[1] ?? '').matchAll(/^ {2}([a-z]+)/gm)].flatMap(([, name = '']) =>
      name === 'help' ? [] : [name],
    )
  const walk = async (path: readonly string[]): Promise<readonly string[]> => {
    const text = await help(path)
    const options = [...text.matchAll(/^ {2}(--[a-z]+)/gm)].map(([, name = '']) => name)
    const inner = await Promise.all(commandsOf(text).map((name) => walk([...path, name])))
    return [path.join(' '), ...options, ...inner.flat()]
  }
  const names = await walk([])
  expect(names.length).toBeGreaterThan(30)
  expect(names.filter((name) => !page.includes(name) && !page.includes(name.replace(/^jwm$/, 'jwm make')))).toEqual([])
})
