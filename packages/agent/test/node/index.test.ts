import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { openLevelStore } from '@parley/platform/level'
import { chat } from '@parley/protocols/chat'
import { createSmk } from '@parley/session'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openAgent, requestDevice } from '../../src/node/index.ts'
import { openState } from '../../src/state.ts'

const day = 86_400_000
let home: string
beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), 'parley agent ')), 'profile')
})
afterEach(async () => {
  await rm(join(home, '..'), { recursive: true, force: true })
})

// Nobody listens there: an agent works all the same, and says that it has no connection.
const relay = 'ws://127.0.0.1:1'
const address = 'alice@a.test'

/** The machine's clock, so many milliseconds ahead. */
function ahead(ms: number): Clock {
  return {
    now: () => Date.now() + ms,
    monotonic: () => performance.now(),
    at(when, fn) {
      const timer = setTimeout(fn, Math.min(Math.max(0, when - performance.now()), 0x7fffffff))
      return () => clearTimeout(timer)
    },
  }
}

const open = (changes: Partial<Parameters<typeof openAgent>[0]> = {}): ReturnType<typeof openAgent> =>
  openAgent({ home, protocols: [chat], ...changes })
const make = (): ReturnType<typeof openAgent> => open({ address, relay })
const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8)
const keyFile = (): string => join(home, 'store.key')

/** All octets of all files of the profile. */
async function everything(): Promise<Buffer> {
  const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  return Buffer.concat(await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name)))))
}

describe('a profile folder', () => {
  it('is made with its account, shows the recovery key once, and opens again', async () => {
    const keys: string[] = []
    const first = await open({ address, relay, onRecoveryKey: (key) => keys.push(key) })
    const { device, link } = first
    await first.close()
    const again = await open({ address, relay, onRecoveryKey: (key) => keys.push(key) })
    expect([again.device, again.link, again.address]).toEqual([device, link, address])
    await again.close()
    expect(keys).toHaveLength(1)
    expect((await everything()).includes(keys[0] ?? '-')).toBe(false)
  })

  it('is for its owner alone', async () => {
    await (await make()).close()
    expect([await modeOf(home), await modeOf(keyFile())]).toEqual(['700', '600'])
    await chmod(home, 0o755)
    await (await open()).close()
    expect(await modeOf(home)).toBe('700')
  })

  it('that holds no profile needs an address and a relay', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_ABSENT' })
    await (await make()).close()
  })

  it('serves one at a time', async () => {
    const first = await make()
    await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_IN_USE' })
    await first.close()
    await (await open()).close()
  })

  it('does not speak to a relay in the clear, but on loopback', async () => {
    for (const url of ['ws://relay.example', 'http://127.0.0.1', 'relay.example'])
      await expect(open({ address, relay: url })).rejects.toThrow(TypeError)
    await (await make()).close()
  })

  it('of a further device answers the line to approve, and opens', async () => {
    const { line } = await requestDevice({ home, address, relay })
    const agent = await open()
    expect(agent.deviceLine).toBe(line)
    expect(agent.devices()).toEqual([])
    expect(agent.link).toBe(`im:${address}`)
    await agent.close()
    await expect(requestDevice({ home, address, relay })).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_EXISTS' })
  })

  it('keeps what is in the outbox over a restart, without any relay', async () => {
    const agent = await make()
    const sent = await agent.send('bob@b.test', chat.text({ text: 'hi' }))
    const waiting = expect(sent.accepted()).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
    await agent.close()
    await waiting
    await expect(agent.send('bob@b.test', chat.text({ text: 'hi' }))).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
    await expect(agent.drained()).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' })
    await agent.close()
    const again = await open()
    const enough = new AbortController()
    const drained = expect(again.drained({ signal: enough.signal })).rejects.toBe('not drained')
    enough.abort('not drained')
    await drained
    await again.close()
  })
})

describe('a profile that cannot be read', () => {
  beforeEach(async () => {
    await (await make()).close()
  })

  it('of a newer program is refused untouched', async () => {
    const store = await openLevelStore(join(home, 'store'))
    await store.batch([{ type: 'put', key: 'meta/schema', value: utf8('99') }], { durable: true })
    await store.close()
    const before = await readFile(keyFile())
    await expect(open({ clock: ahead(40 * day) })).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_NEWER' })
    expect(await readFile(keyFile())).toEqual(before)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_NEWER' })
  })

  it.each([
    ['missing', () => rm(keyFile())],
    ['cut off', () => writeFile(keyFile(), Buffer.alloc(20))],
    ['empty', () => writeFile(keyFile(), '')],
    ['another', async () => writeFile(keyFile(), Buffer.concat([(await readFile(keyFile())).subarray(0, 8), Buffer.alloc(32)]))],
  ])('because its store key is %s is refused, and does not get a new one', async (_, damage) => {
    await damage()
    const before = await readFile(keyFile()).catch(() => undefined)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
    expect(await readFile(keyFile()).catch(() => undefined)).toEqual(before)
  })
})

describe('the store key', () => {
  it('is renewed after a month, the secrets sealed anew, and the old one is gone', async () => {
    const first = await make()
    const { device } = first
    await first.close()
    const before = await readFile(keyFile())
    await (await open({ clock: ahead(29 * day) })).close()
    expect(await readFile(keyFile())).toEqual(before)
    const renewed = await open({ clock: ahead(31 * day) })
    expect(renewed.device).toBe(device)
    await renewed.close()
    const after = await readFile(keyFile())
    expect(after).toHaveLength(40)
    expect((await everything()).includes(before.subarray(8))).toBe(false)
    await (await open({ clock: ahead(31 * day) })).close()
    await writeFile(keyFile(), before)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
  })

  it('goes on changing after a crash in the middle', async () => {
    await (await make()).close()
    const [time, old] = [(await readFile(keyFile())).subarray(0, 8), (await readFile(keyFile())).subarray(8)]
    // Both keys are on disk, and no secret is sealed under the new one yet.
    const next = Buffer.alloc(32, 7)
    await writeFile(keyFile(), Buffer.concat([time, next, old]))
    await (await open()).close()
    expect((await readFile(keyFile())).subarray(8)).toEqual(next)
    await (await open()).close()
  })
})

it.each([
  ['', false],
  [', with a new store key on the same day', true],
])('leaves nothing of an erased session key in the folder, neither open nor sealed%s', async (_, renewsToo) => {
  await (await make()).close()
  const random = createSimRandom('smk')
  const storeKeys = [(await readFile(keyFile())).subarray(8)]
  const store = await openLevelStore(join(home, 'store'))
  const state = await openState({ store, random, storeKeys })
  const profile = state.get('self', 'profile')
  const pin = state.get('pin', address)
  if (profile === undefined || pin === undefined) throw new Error('no profile')
  const owner = { address: profile.address, device: profile.device }
  const smk = createSmk({
    owner,
    audience: [{ address: profile.address, account: pin.account, version: 1 }],
    now: Date.now(),
    random,
  })
  const own = { smk, conversation: 'bob@b.test', devices: [], given: [] }
  const held = { smk, source: 'ahead', status: 'working', taken: Date.now() } as const
  const { changes } = state.run(Date.now(), (tx) => {
    tx.put('own', 'bob@b.test', own)
    tx.put('held', `bob@b.test ${smk.sid}`, held)
    // A login has confirmed that so much time has passed.
    tx.put('age', 'agent', { ms: 0, sure: Date.now() + 100 * day })
  })
  // Twice, so that older versions of the row are about too.
  for (let i = 0; i < 2; i++) await store.batch(state.write([changes]), { durable: true })
  const sealed = [await store.get('own/bob@b.test'), await store.get(`held/bob@b.test ${smk.sid}`)].map((octets) =>
    Buffer.from(octets ?? []),
  )
  await store.close()
  if (!renewsToo) {
    const made = Buffer.alloc(8)
    made.writeBigUInt64BE(BigInt(Date.now() + 100 * day))
    await writeFile(keyFile(), Buffer.concat([made, ...storeKeys]))
  }
  const raw = Buffer.from(smk.key.k ?? '', 'base64url')
  const isIn = async (what: Buffer): Promise<boolean> => (await everything()).includes(what)
  for (const what of sealed) expect(await isIn(what.subarray(0, 64))).toBe(true)
  for (const what of [raw, Buffer.from(smk.key.k ?? '')]) expect(await isIn(what)).toBe(false)

  const agent = await open({ clock: ahead(100 * day) })
  await agent.close()
  for (const what of sealed) {
    for (let i = 0; i + 32 <= what.length; i += 32) expect(await isIn(what.subarray(i, i + 32))).toBe(false)
  }
  for (const what of [raw, Buffer.from(smk.key.k ?? '')]) expect(await isIn(what)).toBe(false)
})
