import { chmodSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { utf8 } from '@parley/core'
import { parseInviteLink } from '@parley/identity'
import { openLevelStore } from '@parley/platform/level'
import { afterEach, describe, expect, it } from 'vitest'
import { controlLimits } from '../src/control/lines.ts'
import { command, device, folder, json, run, stopAll } from './harness.ts'

afterEach(stopAll)

const domain = 'a.localhost'
const alice = `alice@${domain}`
const bob = `bob@${domain}`

async function start(data = join(folder(), 'data'), more: readonly string[] = []) {
  const program = run(['--domain', domain, '--data', data, ...more])
  return { data, program, port: await program.ready(), at: ['--data', data] }
}

/** A relay with alice, and bob away with two stanzas waiting for him. */
async function inhabited() {
  const running = await start()
  const away = await device(bob, running.port)
  away.close()
  await away.ended
  const writer = await device(alice, running.port)
  // One after the other, so that each has a record of its own.
  for (const [i, text] of ['one', 'two'].entries()) {
    writer.send(bob, text)
    await writer.event(() => writer.accepted() === i + 1)
  }
  return { ...running, bob: away.who, alice: writer }
}

async function textsOf(who: Parameters<typeof device>[0], port: number, count: number): Promise<readonly string[]> {
  const back = await device(who, port)
  await back.event(() => back.texts().length >= count)
  const texts = back.texts()
  back.close()
  await back.ended
  return texts
}

describe('the control socket', () => {
  it('is only for the owner, goes with the relay, and one that a killed relay left is no hindrance', async () => {
    const { data, program, at } = await start()
    const socket = join(data, 'control.sock')
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    expect(await json([...at, 'status'])).toMatchObject({ domain, notReady: [], connections: 0 })
    await program.stop()
    expect(() => statSync(socket)).toThrow()
    writeFileSync(socket, '')
    const again = await start(data)
    expect(await json([...again.at, 'status'])).toMatchObject({ domain })
  })

  /** Sends octets and collects what comes until the relay closes or a line is there. */
  function talk(data: string, octets: string): Promise<string> {
    return new Promise((done) => {
      let got = ''
      const socket = connect(join(data, 'control.sock'), () => socket.write(octets))
      socket.on('error', () => {})
      socket.on('data', (part) => {
        got += part
        if (got.endsWith('\n')) socket.destroy()
      })
      socket.on('close', () => done(got))
    })
  }

  it('answers noise, an unknown command and wrong arguments with what is wrong, and ends who sends too much', async () => {
    const { data } = await start()
    expect(await talk(data, 'noise\n')).toContain('"code":"usage"')
    expect(await talk(data, '{"do":"constructor"}\n')).toContain('does not know this command')
    expect(await talk(data, '{"do":"account.show","with":{"address":7}}\n')).toContain('address: cannot be 7')
    expect(await talk(data, '{"do":"account.show"}\n')).toContain('address: is needed')
    expect(await talk(data, 'x'.repeat(controlLimits.requestBytesMax + 1))).toBe('')
    expect(await talk(data, '{"do":"account.list"}\n')).toBe('{"ok":true,"value":[]}\n')
  })

  it('is said to be missing by commands that need a relay, with a code of its own', async () => {
    const { data, program } = await start()
    await program.stop()
    expect(await command(['--data', data, 'status'])).toMatchObject({
      code: 69,
      err: expect.stringContaining('no relay runs on'),
    })
    expect(await command(['--data', data, 'top', '--once'])).toMatchObject({ code: 69 })
    expect(await command(['--data', folder(), 'account', 'list'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('holds no store'),
    })
    expect(await command(['status'])).toMatchObject({ code: 2, err: expect.stringContaining('--data FOLDER') })
  })

  it('is told from a store that somebody else has open', async () => {
    const { data, program } = await start()
    await program.stop()
    const store = await openLevelStore(join(data, 'store'))
    const { code, err } = await command(['--data', data, 'account', 'list'])
    expect([code, err]).toEqual([73, expect.stringContaining('does not answer on its control socket')])
    await store.close()
  })
})

describe('a folder of another user', () => {
  const root = process.geteuid?.() === 0
  it.runIf(root)('is no place for root, who would leave files there that the relay cannot open', async () => {
    const { data, program, at } = await start()
    expect((await command([...at, 'account', 'list'])).code).toBe(0)
    await program.stop()
    chownSync(data, 54_321, 54_321)
    const refused = { code: 2, err: expect.stringContaining("sudo -u '#54321'") }
    for (const work of [
      ['account', 'list'],
      ['doctor', '--repair'],
    ])
      expect(await command(['--data', data, ...work])).toMatchObject(refused)
    expect(await command(['--data', data, '--domain', domain])).toMatchObject(refused)
    chownSync(data, 0, 0)
    expect((await command(['--data', data, 'account', 'list'])).code).toBe(0)
  })

  it.skipIf(root)('may be unreadable, and its socket is said to be', async () => {
    const { data, at } = await start()
    chmodSync(join(data, 'control.sock'), 0)
    expect(await command([...at, 'account', 'list'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('run this as the user'),
    })
  })
})

describe('a folder with a long path', () => {
  it('has no control socket, and commands say so', async () => {
    const data = join(folder(), 'x'.repeat(100))
    await start(data)
    expect(await command(['--data', data, 'account', 'list'])).toMatchObject({
      code: 73,
      err: expect.stringContaining('is too long'),
    })
  })
})

describe('commands on accounts and invitations', () => {
  it('say the same of a relay that runs and of one that does not', async () => {
    const { at, program, alice: writer } = await inhabited()
    const look = async () => ({ list: await json([...at, 'account', 'list']), bob: await json([...at, 'account', 'show', bob]) })
    const running = await look()
    expect(running).toMatchObject({
      list: [alice, bob],
      bob: { version: 1, devices: [{ status: 'active', mailbox: { count: 2 } }] },
    })
    expect((await command([...at, 'account', 'show', bob])).out).toMatch(/active +- +2 stanzas/)
    expect(await json([...at, 'account', 'list', '--after', alice, '--limit', '1'])).toEqual([bob])
    writer.close()
    await program.stop()
    expect(await look()).toEqual(running)
  })

  it('remove an account with what waits for it, at once', async () => {
    const { at, alice: writer } = await inhabited()
    expect((await command([...at, 'account', 'remove', bob])).code).toBe(0)
    expect(await json([...at, 'account', 'list'])).toEqual([alice])
    expect(await command([...at, 'account', 'remove', bob])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no account'),
    })
    expect((await command([...at, 'account', 'remove', alice])).code).toBe(0)
    expect(await writer.ended).toBeGreaterThanOrEqual(4000)
    expect(await json([...at, 'status'])).toMatchObject({ mailbox: { count: 0 } })
  })

  it('make, list and revoke invitations, on a running relay and on its store', async () => {
    const { at, program, port } = await start()
    const made = await json<{ token: string; link: string; id: string; uses: number }>([
      ...at,
      'invite',
      'create',
      '--uses',
      '3',
      '--expires',
      '2h',
    ])
    expect(made).toMatchObject({ token: expect.stringMatching(/^[\w-]{24}$/), uses: 3 })
    expect(parseInviteLink(made.link)).toEqual({ domain, token: made.token, relay: `ws://127.0.0.1:${port}` })
    await program.stop()
    expect(await json([...at, 'invite', 'list'])).toMatchObject([{ id: made.id, uses: 3 }])
    expect((await command([...at, 'invite', 'list'])).out).not.toContain(made.token)
    expect((await command([...at, 'invite', 'revoke', made.id])).code).toBe(0)
    for (const id of [made.id, '-abc', '-h1234'])
      expect(await command([...at, 'invite', 'revoke', id])).toMatchObject({
        code: 1,
        err: expect.stringContaining('no open invitation'),
      })
    expect(await json([...at, 'invite', 'list'])).toEqual([])
    for (const wrong of [
      ['--expires', 'soon'],
      ['--uses', '0'],
    ])
      expect((await command([...at, 'invite', 'create', ...wrong])).code).toBe(2)
  })

  it('keep to the configured limits where no relay runs, and name no port that is not known yet', async () => {
    const { data, program } = await start()
    await program.stop()
    const file = join(folder(), 'relay.json')
    writeFileSync(file, JSON.stringify({ domain, data, limits: { invitesMax: 1 } }))
    const { link } = await json<{ link: string }>(['--config', file, 'invite', 'create'])
    expect(parseInviteLink(link)).not.toHaveProperty('relay')
    expect(await command(['--config', file, 'invite', 'create'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('too many open invitations'),
    })
  })

  it('block and unblock', async () => {
    const { at } = await start()
    expect((await command([...at, 'block', 'add', 'spam.example'])).code).toBe(0)
    expect(await json([...at, 'block', 'list'])).toEqual(['spam.example'])
    expect((await command([...at, 'block', 'remove', 'spam.example'])).code).toBe(0)
    expect((await command([...at, 'block', 'remove', 'spam.example'])).code).toBe(1)
    expect((await command([...at, 'block', 'add', 'not a name'])).code).toBe(2)
  })
})

describe('commands on queues', () => {
  it('show what waits for another domain, try again, and give it up so that the sender is told', async () => {
    const other = 'b.localhost'
    const { at, port, program } = await start(join(folder(), 'data'), ['--route', `${other}=ws://127.0.0.1:9`])
    const writer = await device(alice, port)
    writer.send(`bob@${other}`, 'hello')
    await writer.event(() => writer.accepted() === 1)
    expect(await json([...at, 'queue', 'list'])).toMatchObject([{ domain: other, count: 1, oldest: expect.any(Number) }])
    expect((await command([...at, 'queue', 'list'])).out).toMatch(/^b\.localhost +1 +\d+ B +20\d\d-/m)
    expect(await json([...at, 'status'])).toMatchObject({ queues: [{ domain: other, count: 1 }] })
    expect((await command([...at, 'queue', 'retry', other])).code).toBe(0)
    expect((await command([...at, 'queue', 'retry', 'c.localhost'])).code).toBe(1)
    expect(await json([...at, 'queue', 'drop', other])).toEqual({ domain: other, dropped: 1 })
    expect(await json([...at, 'queue', 'drop', other])).toEqual({ domain: other, dropped: 0 })
    expect(await writer.event(({ kind }) => kind === 'bounced')).toMatchObject({ code: 'undeliverable' })
    expect(await json([...at, 'queue', 'list'])).toMatchObject([{ domain: other, count: 0 }])
    writer.send(`bob@${other}`, 'once more')
    await writer.event(() => writer.accepted() === 2)
    await program.stop()
    expect(await json([...at, 'queue', 'list'])).toMatchObject([{ domain: other, count: 1 }])
    expect(await command([...at, 'queue', 'retry', other])).toMatchObject({
      code: 69,
      err: expect.stringContaining('no relay runs on'),
    })
    expect(await json([...at, 'queue', 'drop', other])).toEqual({ domain: other, dropped: 1 })
    // The bounce waits for the sender.
    expect(await json([...at, 'account', 'show', alice])).toMatchObject({ devices: [{ mailbox: { count: 2 } }] })
  })
})

describe('the key', () => {
  it('changes while the relay runs, and stays changed', async () => {
    const { at, program, data } = await start()
    const first = (await json([...at, 'status']))['key']
    const { key } = await json<{ key: string }>([...at, 'key', 'change'])
    expect(key).not.toBe(first)
    await program.stop()
    expect((await start(data)).program.said.out).toContain(`key=${key}`)
  })
})

describe('a backup', () => {
  it('is made while stanzas come, and what it holds is delivered from another folder under a new epoch', async () => {
    const { at, port, program, data, bob: who, alice: writer } = await inhabited()
    const home = folder()
    const backup = join(home, 'backup')
    const made = json<{ rows: number }>([...at, 'backup', backup])
    for (let i = 0; i < 50; i++) writer.send(bob, `meanwhile ${i}`)
    expect((await made).rows).toBeGreaterThan(5)
    expect(statSync(backup).mode & 0o777).toBe(0o700)
    await writer.event(() => writer.accepted() === 52)
    writer.close()
    expect(await textsOf(who, port, 52)).toHaveLength(52)
    const key = /key=(\S+)/.exec(program.said.out)?.[1]
    await program.stop()
    const epochs = [await epochOf(data)]
    rmSync(data, { recursive: true })
    const restored = await command([...at, 'restore', backup])
    expect(restored).toMatchObject({ code: 0, out: expect.stringContaining(`restored ${domain} as of`) })
    const again = await start(data)
    expect(/key=(\S+)/.exec(again.program.said.out)?.[1]).toBe(key)
    expect(again.program.said.err).toContain('started on a restored store')
    expect((await textsOf(who, again.port, 2)).slice(0, 2)).toEqual(['one', 'two'])
    await again.program.stop()
    epochs.push(await epochOf(data))
    const third = await start(data)
    expect(third.program.said.err).not.toContain('restored')
    await third.program.stop()
    epochs.push(await epochOf(data))
    expect(epochs[1]).not.toBe(epochs[0])
    expect(epochs[2]).toBe(epochs[1])
  })

  it('takes the configuration along, and works on a relay that does not run', async () => {
    const home = folder()
    const data = join(home, 'data')
    const file = join(home, 'relay.json')
    writeFileSync(file, JSON.stringify({ domain, data }))
    const program = run(['--config', file])
    await program.ready()
    expect((await command(['--config', file, 'backup', join(home, 'one')])).code).toBe(0)
    await program.stop()
    expect((await command(['--config', file, 'backup', join(home, 'two')])).code).toBe(0)
    for (const name of ['one', 'two'])
      expect(readFileSync(join(home, name, 'config.json'), 'utf8')).toBe(readFileSync(file, 'utf8'))
  })

  it('is not written over, not restored over a store, and not under a relay that runs', async () => {
    const { at, data, program } = await start()
    const backup = join(folder(), 'backup')
    await json([...at, 'backup', backup])
    expect(await command([...at, 'backup', backup])).toMatchObject({ code: 1, err: expect.stringContaining('is not empty') })
    expect(await command([...at, 'restore', backup])).toMatchObject({ code: 73, err: expect.stringContaining('stop it first') })
    await program.stop()
    expect(await command([...at, 'restore', backup])).toMatchObject({ code: 1, err: expect.stringContaining('holds a store') })
    expect(await command(['--data', folder(), 'restore', data])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no backup'),
    })
  })

  it('that was changed is refused, and leaves no store behind', async () => {
    const { at } = await start()
    const backup = join(folder(), 'backup')
    await json([...at, 'backup', backup])
    const store = await openLevelStore(join(backup, 'store'))
    await store.batch([{ type: 'put', key: 'block/x.example', value: utf8('') }], { durable: true })
    await store.close()
    const data = folder()
    expect(await command(['--data', data, 'restore', backup])).toMatchObject({
      code: 1,
      err: expect.stringContaining('does not hold what it says'),
    })
    expect(() => statSync(join(data, 'store'))).toThrow()
  })
})

describe('the doctor', () => {
  it('finds nothing in a store that is whole, also while the relay runs', async () => {
    const { at, program } = await inhabited()
    expect(await json([...at, 'doctor'])).toMatchObject({ accounts: 2, stanzas: 2, findings: [] })
    expect(await command([...at, 'doctor', '--repair'])).toMatchObject({
      code: 73,
      err: expect.stringContaining('stop it to repair'),
    })
    await program.stop()
    expect(await command([...at, 'doctor'])).toMatchObject({ code: 0, out: expect.stringContaining('all as it should be') })
  })

  it('says what it would repair, and does it when asked', async () => {
    const { at, data, program, bob: who } = await inhabited()
    await program.stop()
    const store = await openLevelStore(join(data, 'store'))
    const entries: string[] = []
    for await (const [key] of store.iterate({ gte: 'mailbox/entry/', lt: 'mailbox/entry/~' })) entries.push(key)
    await store.batch([{ type: 'put', key: entries[0] ?? '', value: utf8('noise') }], { durable: true })
    await store.close()
    const found = await command([...at, 'doctor'])
    expect(found).toMatchObject({ code: 1, out: expect.stringContaining('is no stanza [drops this stanza]') })
    expect((await command([...at, 'doctor'])).out).toBe(found.out)
    const repaired = await command([...at, 'doctor', '--repair'])
    expect(repaired).toMatchObject({
      code: 0,
      out: expect.stringMatching(/repaired; what is left:\n.*1 stanza: all as it should be\n$/),
    })
    const again = await start(data)
    expect(await textsOf(who, again.port, 1)).toEqual(['two'])
  })

  it('says as one JSON object what it found and what is left', async () => {
    const { at, data, program } = await inhabited()
    await program.stop()
    const store = await openLevelStore(join(data, 'store'))
    await store.batch([{ type: 'put', key: 'relay/accounts', value: utf8('7') }], { durable: true })
    await store.close()
    expect(await json([...at, 'doctor', '--repair'])).toMatchObject({
      findings: [],
      before: [{ row: 'relay/accounts', problem: 'says 7, there are 2', repair: 'writes what is there' }],
    })
  })

  it('puts a database together whose list of files is noise, and the relay starts on it under a new epoch', async () => {
    const { at, data, program, bob: who } = await inhabited()
    await program.stop()
    writeFileSync(join(data, 'store', 'CURRENT'), 'MANIFEST-999999\n')
    expect(await command([...at, 'doctor'])).toMatchObject({ code: 65, err: expect.stringContaining('ERR_CORE_STORE_CORRUPT') })
    expect(await command([...at, 'doctor', '--repair'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('put together anew'),
    })
    const again = await start(data)
    expect(again.program.said.err).toContain('started on a restored store')
    expect(await textsOf(who, again.port, 2)).toEqual(['one', 'two'])
  })
})

describe('the live view', () => {
  it('shows once what there is and how fast it goes', async () => {
    const { at } = await inhabited()
    const once = await json([...at, 'top', '--once'])
    expect(once).toMatchObject({ domain, devices: 1, mailbox: { count: 2 }, perSecond: { 'relay.device.stanza': 0 } })
    const { out } = await command([...at, 'top', '--once'])
    expect(out).toMatch(/^a\.localhost {2}ready {2}up /)
    expect(out).toMatch(/waiting +2 stanzas/)
    expect(out).toMatch(/relay\.device\.login +0\/s +2/)
  })

  it('draws again until it is told to stop', async () => {
    const { at } = await start()
    const top = run([...at, 'top', '--interval', '10ms'])
    await top.says((out) => out.split('\u001b[H').length > 3)
    top.signal('SIGINT')
    expect(await top.exit).toBe(0)
  })
})

async function epochOf(data: string): Promise<string> {
  const store = await openLevelStore(join(data, 'store'))
  const meta = await store.get('mailbox/meta')
  await store.close()
  return JSON.parse(new TextDecoder().decode(meta)).epoch
}
