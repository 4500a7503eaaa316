import { existsSync } from 'node:fs'
import { toDomain } from '@parley/core'
import { formatInviteLink } from '@parley/identity'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore } from '@parley/platform/level'
import { listenWebSocket } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { createRelay, type Relay } from '@parley/relay'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStage, type Stage } from './programs.ts'

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
})
