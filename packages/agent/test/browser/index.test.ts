import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chat } from '@parley/protocols/chat'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openAgent } from '../../src/browser/index.ts'

// In Node the same store is LevelDB in a folder: everything but IndexedDB itself is what a page runs.
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley browser '))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const storeKeys = [new Uint8Array(randomBytes(32))]
const open = (more: object = {}) => openAgent({ name: join(folder, 'db'), storeKeys, protocols: [chat], ...more })
const account = { address: 'alice@a.localhost', relay: 'ws://127.0.0.1:1' }

it('makes the account once, shows its recovery key this once, and finds both again', async () => {
  const shown: string[] = []
  const made = await open({ ...account, onRecoveryKey: (key: string) => shown.push(key) })
  const { address, device, link } = made
  const { id } = await made.send('bob@b.localhost', chat.text({ text: 'later' }))
  await made.close()
  const again = await open({ ...account, onRecoveryKey: (key: string) => shown.push(key) })
  expect([again.address, again.device, again.link]).toEqual([address, device, link])
  expect(again.sent(id)?.status()).toEqual({ state: 'queued' })
  await again.close()
  expect(shown.map((key) => key.length)).toEqual([43])
})

it('says that there is no profile, or that its key is another, and lets go of the database', async () => {
  await expect(open()).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_ABSENT' })
  await (await open(account)).close()
  const other = [new Uint8Array(randomBytes(32))]
  await expect(open({ storeKeys: other })).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_DAMAGED' })
  await (await open()).close()
})
