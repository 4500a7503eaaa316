import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromUtf8, utf8 } from '@parley/core'
import { openLevelStore } from '@parley/platform/level'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { alice, bob, createStage, inTime, type Relay, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
beforeAll(async () => {
  stage = createStage()
  relays = await stage.relays()
  await stage.output('alice', ['init', alice, '--relay', relays.a.url])
  await stage.output('bob', ['init', bob, '--relay', relays.b.url])
  // Something in each store that must not be lost.
  await stage.output('alice', ['send', bob, 'kept by relay b'])
  await relays.b.program.stop()
})
afterAll(() => stage.close())

/** What may become of a store; each case gets a copy of its own. */
const damages: readonly (readonly [name: string, damage: (store: string) => void])[] = [
  ['CURRENT is gone', (store) => rmSync(join(store, 'CURRENT'))],
  ['CURRENT names nothing', (store) => writeFileSync(join(store, 'CURRENT'), 'MANIFEST-999999\n')],
  ['the manifest is noise', (store) => writeFileSync(join(store, manifestOf(store)), Buffer.alloc(300, 0x5a))],
  ['the manifest is empty', (store) => truncateSync(join(store, manifestOf(store)), 0)],
]

describe('a relay’s folder', () => {
  const start = async (data: string, domain = 'b.localhost') => {
    const { ended } = stage.relayProgram({ domain, data })
    const { code, out, err } = await inTime(ended, () => 'the relay runs', 10_000)
    expect(out).not.toContain('ready')
    return { code, err }
  }

  it.each(damages)('that is damaged (%s) is refused', async (name, damage) => {
    const data = copyOf(relays.b.data, `relay ${name}`)
    damage(join(data, 'store'))
    const { code, err } = await start(data)
    expect([code, err]).toEqual([65, expect.stringContaining('ERR_CORE_STORE_CORRUPT')])
    expect(err).toContain('keep a copy of the folder')
  })

  it.each([
    ['relay/meta', '{"schema":99,"domain":"b.localhost"}', 'ERR_RELAY_STORE_NEWER'],
    ['mailbox/meta', '{"schema":99,"epoch":"AAAAAAAAAAA"}', 'ERR_MAILBOX_STORE_NEWER'],
    ['relay/meta', 'noise', 'ERR_RELAY_STORE_CORRUPT'],
    ['relay/key', '{"kty":"OKP"}', 'ERR_RELAY_STORE_CORRUPT'],
    ['mailbox/meta', 'noise', 'ERR_MAILBOX_STORE_CORRUPT'],
  ])('whose row %s says %s is refused and left alone', async (key, value, expected) => {
    const data = copyOf(relays.b.data, `relay ${expected} ${key.slice(0, 5)}`)
    await putRow(data, key, value)
    const before = await rowsOf(data)
    const { code, err } = await start(data)
    expect([code, err]).toEqual([expected.endsWith('NEWER') ? 78 : 65, expect.stringContaining(expected)])
    expect(await rowsOf(data)).toEqual(before)
  })

  it('of another domain is refused', async () => {
    expect(await start(relays.b.data, 'c.localhost')).toEqual({
      code: 78,
      err: expect.stringContaining('ERR_RELAY_DOMAIN_MISMATCH'),
    })
  })

  it('that another relay has open is refused, and the first goes on', async () => {
    expect(await start(relays.a.data, 'a.localhost')).toEqual({ code: 73, err: expect.stringContaining('ERR_CORE_STORE_LOCKED') })
    expect((await stage.run('alice', ['verify', alice])).code).toBe(0)
    expect((await stage.run('alice', ['send', bob, 'second'])).code).toBe(0)
  })

  it('is whole when what was refused is put aside: nothing stored is lost', async () => {
    await relays.b.restart()
    const out = await stage.output('bob', ['listen', '--json', '--count', '2'])
    const lines = out.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).text)).toEqual(['kept by relay b', 'second'])
  })

  it('is no excuse for a port that is taken', async () => {
    const { port } = new URL(relays.a.url)
    const program = stage.relayProgram({ domain: 'd.localhost', data: stage.path('relay-d'), port: Number(port) })
    expect(await program.ended).toMatchObject({ code: 1, err: expect.stringContaining('ERR_CORE_LISTEN_FAILED') })
  })
})

describe('a profile', () => {
  it.each(damages)('that is damaged (%s) is refused', async (name, damage) => {
    const profile = `alice ${name}`
    damage(join(copyOf(stage.path('alice'), profile), 'store'))
    expect(await stage.run(profile, ['contacts'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('ERR_CORE_STORE_CORRUPT'),
    })
  })

  it.each([
    ['meta/schema', '99', 'ERR_AGENT_STORE_NEWER'],
    ['meta/schema', 'noise', 'ERR_AGENT_PROFILE_DAMAGED'],
    ['self/profile', 'noise', 'ERR_AGENT_PROFILE_DAMAGED'],
    ['key/account', 'noise', 'ERR_AGENT_PROFILE_DAMAGED'],
  ])('whose row %s says %s is refused and left alone', async (key, value, expected) => {
    const profile = `alice ${expected} ${key.slice(0, 4)} ${value}`
    const home = copyOf(stage.path('alice'), profile)
    await putRow(home, key, value)
    const before = await rowsOf(home)
    for (const args of [['contacts'], ['send', bob, 'hi'], ['init', alice, '--relay', relays.a.url]]) {
      const ended = await stage.run(profile, args)
      expect([args, ended.code, ended.out, ended.err]).toEqual([args, 1, '', expect.stringContaining(expected)])
    }
    expect(await rowsOf(home)).toEqual(before)
  })

  it('without its store key is refused, and gets no new one', async () => {
    const home = copyOf(stage.path('alice'), 'alice without key')
    rmSync(join(home, 'store.key'))
    expect(await stage.run('alice without key', ['contacts'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('ERR_AGENT_PROFILE_DAMAGED'),
    })
    expect(readdirSync(home)).toEqual(['store'])
  })

  it('with another profile’s store key is refused, and both keep their own', async () => {
    const home = copyOf(stage.path('alice'), 'alice with another key')
    cpSync(join(stage.path('bob'), 'store.key'), join(home, 'store.key'))
    const ended = await stage.run('alice with another key', ['contacts'])
    expect(ended).toMatchObject({ code: 1, err: expect.stringContaining('ERR_AGENT_PROFILE_DAMAGED') })
    expect(readFileSync(join(home, 'store.key'))).toEqual(readFileSync(join(stage.path('bob'), 'store.key')))
  })

  it('that was whole works as before', async () => {
    expect((await stage.run('alice', ['send', bob, 'third'])).code).toBe(0)
    expect(JSON.parse(await stage.output('bob', ['listen', '--json', '--count', '1'])).text).toBe('third')
  })

  it('that is an older copy takes a new incarnation, so that no number is used twice', async () => {
    const home = copyOf(stage.path('bob'), 'bob restored')
    await stage.output('alice', ['send', bob, 'read by the newer one'])
    await stage.output('bob', ['listen', '--json', '--count', '1'])
    const before = await incarnationOf(home)
    expect(before).toBe(await incarnationOf(stage.path('bob')))
    expect((await stage.run('bob restored', ['send', alice, 'from the copy'])).code).toBe(0)
    expect(await incarnationOf(home)).not.toBe(before)
    expect(JSON.parse(await stage.output('alice', ['listen', '--json', '--count', '1'])).text).toBe('from the copy')
  })
})

async function incarnationOf(home: string): Promise<string> {
  const profile = (await rowsOf(home)).find(([key]) => key === 'self/profile')
  return JSON.parse(profile?.[1] ?? '{}').inc
}

function copyOf(folder: string, name: string): string {
  const copy = stage.path(name)
  cpSync(folder, copy, { recursive: true })
  return copy
}

function manifestOf(store: string): string {
  return readFileSync(join(store, 'CURRENT'), 'utf8').trim()
}

async function putRow(folder: string, key: string, value: string): Promise<void> {
  const store = await openLevelStore(join(folder, 'store'))
  await store.batch([{ type: 'put', key, value: utf8(value) }], { durable: true })
  await store.close()
}

async function rowsOf(folder: string): Promise<readonly (readonly [string, string])[]> {
  const store = await openLevelStore(join(folder, 'store'))
  const rows: (readonly [string, string])[] = []
  for await (const [key, value] of store.iterate({})) rows.push([key, fromUtf8(value) ?? Buffer.from(value).toString('hex')])
  await store.close()
  return rows
}
