import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openLevelStore } from '@parley/platform/level'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { alice, bob, createStage, isReady, parleyBin, type Relay, type Stage } from './programs.ts'

const hostile = 'red \u001b[31mtext\u0007 \u202edesrever\u202c \u009b2J\u2066x\u2069 zero\u200bwidth'
const shownHostile = 'red \\u{1b}[31mtext\\u{7} \\u{202e}desrever\\u{202c} \\u{9b}2J\\u{2066}x\\u{2069} zero\\u{200b}width'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
const init = (profile: string, address: string, relay: Relay): Promise<string> =>
  stage.output(profile, ['init', address, '--relay', relay.url])
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays()
})
afterEach(() => stage.close())

describe('parley init', () => {
  it('shows the recovery key this once, and keeps it on no device', async () => {
    const out = await init('alice', alice, relays.a)
    const key = /^recovery key {2}([\w-]{43})$/m.exec(out)?.[1] ?? ''
    expect(out.split(key)).toHaveLength(2)
    const octets = Buffer.from(key, 'base64url')
    const files = filesBelow(stage.path('alice')).map((file) => readFileSync(file))
    expect(files.filter((file) => file.includes(key) || file.includes(octets))).toEqual([])
    for (const args of [['contacts'], ['device', 'list']]) expect(await stage.output('alice', args)).not.toContain(key)
    const again = await stage.run('alice', ['init', alice, '--relay', relays.a.url])
    expect(again).toMatchObject({ code: 1, out: '' })
    expect(again.err).toContain('there is a profile in this folder already')
  })

  it('makes folders and files that only their owner reads, whatever the shell’s mask says', async () => {
    const before = process.umask(0)
    try {
      await init('alice', alice, relays.a)
      await stage.output('alice', ['contacts'])
    } finally {
      process.umask(before)
    }
    const home = stage.path('alice')
    const folders = [home, join(home, 'store')]
    expect(folders.map((folder) => statSync(folder).mode & 0o777)).toEqual([0o700, 0o700])
    const files = filesBelow(home)
    expect(files.map((file) => [file, statSync(file).mode & 0o777])).toEqual(files.map((file) => [file, 0o600]))
    expect(files.length).toBeGreaterThan(4)
  })

  it('refuses an address that is taken, malformed or of another domain', async () => {
    await init('alice', alice, relays.a)
    for (const [address, code, said] of [
      [alice, 1, 'address-taken'],
      ['carol@c.localhost', 1, 'domain-unknown'],
      ['alice', 2, 'ERR_CORE_ADDRESS_MALFORMED'],
    ] as const) {
      const ended = await stage.run(`for ${said}`, ['init', address, '--relay', relays.a.url])
      expect([address, ended.code]).toEqual([address, code])
      expect(ended.err).toContain(said)
      // Nothing is left of it: the folder is free for an address that the relay takes.
      expect(existsSync(stage.path(`for ${said}`))).toBe(false)
    }
    expect((await stage.run('for address-taken', ['init', 'alice2@a.localhost', '--relay', relays.a.url])).code).toBe(0)
  })

  it('ends when it is refused, also by a challenge that came with the handshake', async () => {
    const ends = await Promise.all(
      Array.from({ length: 6 }, (_, i) => stage.run(`carol ${i}`, ['init', 'carol@c.localhost', '--relay', relays.a.url])),
    )
    expect(ends.map(({ code }) => code)).toEqual(ends.map(() => 1))
  })

  it('refuses a relay without TLS that is not on loopback, and waits no longer than told for one that is away', async () => {
    for (const relay of ['ws://example.com', 'nonsense', 'http://127.0.0.1', '']) {
      for (const command of ['init', 'device request']) {
        const ended = await stage.run('one', [...command.split(' '), alice, '--relay', relay])
        expect([relay, ended.code]).toEqual([relay, 2])
        expect(ended.err).toContain('--relay')
      }
    }
    expect(existsSync(stage.path('one'))).toBe(false)
    await relays.a.program.kill()
    const ended = await stage.run('two', ['init', alice, '--relay', relays.a.url, '--timeout', '300ms'])
    expect(ended.code).toBe(75)
    // The profile is there; it registers when the relay is.
    await relays.a.restart()
    await init('bob', bob, relays.b)
    expect((await stage.run('two', ['send', bob, 'here after all'])).code).toBe(0)
  })
})

describe('exit codes', () => {
  beforeEach(async () => {
    await init('alice', alice, relays.a)
    await init('bob', bob, relays.b)
  })

  it('0: done', async () => {
    expect(await stage.run('alice', ['send', bob, 'hi'])).toMatchObject({ code: 0, err: '' })
    expect(await stage.run('bob', ['listen', '--count', '1'])).toMatchObject({ code: 0, err: '' })
    expect((await stage.start([parleyBin, '--version']).ended).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it('1: there is nobody of that name', async () => {
    for (const [address, cause] of [
      ['nobody@b.localhost', 'recipient-unknown'],
      ['nobody@a.localhost', 'recipient-unknown'],
      ['nobody@c.localhost', 'domain-unknown'],
    ] as const) {
      const ended = await stage.run('alice', ['send', address, 'hi'])
      expect([address, ended.code, ended.out]).toEqual([address, 1, ''])
      expect(ended.err).toContain(cause)
    }
  })

  it('1: there is no profile', async () => {
    for (const args of [['listen'], ['send', bob, 'hi'], ['contacts'], ['verify', bob], ['device', 'list']]) {
      const ended = await stage.run('nobody', args)
      expect(ended.code).toBe(1)
      expect(ended.err).toContain('ERR_AGENT_PROFILE_ABSENT')
      expect(existsSync(stage.path('nobody'))).toBe(false)
    }
  })

  it('2: usage', async () => {
    for (const args of [
      [],
      ['shout'],
      ['send'],
      ['send', bob, 'hi', '--wait', 'forever'],
      ['send', bob, 'hi', '--timeout', 'soon'],
      ['listen', '--count', '0'],
      ['contacts', 'add', 'bob'],
      ['send', 'not an address', 'hi'],
      ['send', 'alice@@a.localhost', 'hi'],
      ['device', 'approve', 'im:bob@b.localhost?device=short'],
    ]) {
      const ended = await stage.run('alice', args)
      expect([args, ended.code, ended.err === '']).toEqual([args, 2, false])
    }
  })

  it('73: another process has the profile open', async () => {
    const listener = stage.parley('bob', ['listen', '--json', '--events'])
    await listener.next(isReady)
    for (const args of [['send', alice, 'hi'], ['listen'], ['contacts'], ['device', 'list'], ['verify', alice]]) {
      const ended = await stage.run('bob', args)
      expect([args, ended.code]).toEqual([args, 73])
      expect(ended.err).toContain('ERR_AGENT_PROFILE_IN_USE')
    }
    // The first one has noticed nothing.
    await stage.output('alice', ['send', bob, 'still listening?'])
    await listener.next(({ json }) => json.text === 'still listening?')
    expect((await listener.stop()).code).toBe(0)
    expect((await stage.run('bob', ['contacts'])).code).toBe(0)
  })

  it('75: kept in the outbox while the relay is away; a later command sends it, in order', async () => {
    await relays.a.program.kill()
    const ended = await stage.run('alice', ['send', bob, '--json', '--timeout', '300ms'], { input: 'one\ntwo\n' })
    expect(ended.code).toBe(75)
    expect(ended.out.match(/"queued"/g)).toHaveLength(2)
    expect(ended.out).not.toContain('accepted')
    await relays.a.restart()
    expect((await stage.run('alice', ['send', bob, 'three'])).code).toBe(0)
    const out = await stage.output('bob', ['listen', '--json', '--count', '3'])
    expect(parseLines(out).map(({ text }) => text)).toEqual(['one', 'two', 'three'])
  })

  it('75: any later command sends it, and is not kept when the relay is away', async () => {
    await relays.a.program.kill()
    expect((await stage.run('alice', ['send', bob, 'one', '--timeout', '300ms'])).code).toBe(75)
    expect((await stage.run('alice', ['contacts'])).code).toBe(0)
    await relays.a.restart()
    expect((await stage.run('alice', ['contacts'])).code).toBe(0)
    expect(JSON.parse(await stage.output('bob', ['listen', '--json', '--count', '1'])).text).toBe('one')
  })

  it('75: accepted, and not delivered in time', async () => {
    const ended = await stage.run('alice', ['send', bob, 'hi', '--wait', 'delivered', '--timeout', '500ms'])
    expect(ended.code).toBe(75)
    expect(ended.err).toContain('accepted, but not delivered yet')
  })

  it('76: a link names another key than the one that is pinned', async () => {
    await stage.output('alice', ['send', bob, 'hi'])
    const wrong = `im:${bob}?k=${'A'.repeat(43)}`
    const ended = await stage.run('alice', ['contacts', 'add', wrong])
    expect(ended.code).toBe(76)
    expect(ended.err).toContain('ERR_AGENT_TRUST_HELD')
    expect(await stage.output('alice', ['contacts'])).not.toContain('AAAA')
    expect((await stage.run('alice', ['send', bob, 'hi again'])).code).toBe(0)
  })

  it('76: a relay puts another account in somebody’s place, until the person decides', async () => {
    await stage.output('alice', ['send', bob, 'to the real bob'])
    await relays.b.program.stop()
    await forget(relays.b, bob)
    await relays.b.restart()
    const link = /im:\S+/.exec(await init('mallory', bob, relays.b))?.[0] ?? ''
    expect((await stage.run('alice', ['contacts', 'add', link])).code).toBe(76)

    // A second version makes relay a's answers say that alice's card is old.
    const line = await stage.output('accomplice', ['device', 'request', bob, '--relay', relays.b.url])
    await stage.output('mallory', ['device', 'approve', line.trim()])
    await init('carol', 'carol@a.localhost', relays.a)
    await stage.output('carol', ['send', bob, 'who are you?'])
    const sender = stage.parley('alice', ['send', bob, '--json', '--events'])
    sender.write('one\n')
    await sender.next(({ json }) => json.event === 'problem' && json.code === 'card-fork')
    sender.write('two\n')
    expect(await sender.ended).toMatchObject({ code: 76 })
    expect((await stage.run('alice', ['send', bob, 'three'])).code).toBe(76)
    expect(await stage.output('alice', ['contacts'])).toMatch(/^im:bob@b\.localhost\S* .*held: card-fork$/m)

    expect((await stage.run('alice', ['verify', bob, '--decide', 'perhaps'])).code).toBe(2)
    await stage.output('alice', ['verify', bob, '--decide', 'keep'])
    expect((await stage.run('alice', ['send', bob, 'four'])).code).toBe(0)
  })
})

describe('text of other people', () => {
  beforeEach(async () => {
    await init('alice', alice, relays.a)
    await init('bob', bob, relays.b)
    await stage.output('alice', ['send', bob, hostile])
  })

  it('is shown with control and bidirectional characters escaped', async () => {
    const out = await stage.output('bob', ['listen', '--count', '1'])
    expect(out).toMatch(/^urn:uuid:[0-9a-f-]{36} 1 alice@a\.localhost .*\n$/)
    expect(out).toContain(shownHostile)
    expect(out).not.toMatch(/[^\n\P{Cc}]|\p{Bidi_Control}/u)
  })

  it('is the same text in JSON, which shows none of them either', async () => {
    const out = await stage.output('bob', ['listen', '--json', '--count', '1'])
    expect(JSON.parse(out).text).toBe(hostile)
    expect(out).not.toMatch(/[^\n\P{Cc}]|\p{Bidi_Control}/u)
  })

  it.skipIf(!existsSync('/usr/bin/script'))('is coloured on a terminal, and not where NO_COLOR is set', async () => {
    // util-linux's script gives the command a terminal.
    const onTerminal = async (noColor: string): Promise<string> => {
      const command = `'${process.execPath}' '${parleyBin}' listen --count 1 --home '${stage.path('bob')}'`
      const script = stage.execute('/usr/bin/script', ['-qec', command, '/dev/null'], {
        env: { NO_COLOR: noColor, TERM: 'xterm' },
      })
      return (await script.ended).out
    }
    expect(await onTerminal('1')).not.toContain('\u001b')
    await stage.output('alice', ['send', bob, hostile])
    const painted = await onTerminal('')
    expect(painted).toContain('\u001b[36malice@a.localhost\u001b[0m')
    expect(painted).toContain(shownHostile)
  })
})

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

function parseLines(out: string): readonly { readonly text?: string }[] {
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** What a relay that deceives does to its directory. */
async function forget(relay: Relay, address: string): Promise<void> {
  const store = await openLevelStore(join(relay.data, 'store'))
  await store.clear({ gt: `account/${address} `, lt: `account/${address} ~` })
  await store.close()
}

describe('parley device', () => {
  it('lets a device in, and takes it off the account again for a reason', async () => {
    await init('alice', alice, relays.a)
    const line = (await stage.output('second', ['device', 'request', alice, '--relay', relays.a.url])).trim()
    await stage.output('alice', ['device', 'approve', line])
    const listed = (await stage.output('alice', ['device', 'list'])).trim().split('\n')
    const id = listed.find((text) => !text.includes('this device'))?.split('  ')[0] ?? ''
    expect([listed.length, id.length]).toEqual([2, 43])
    for (const args of [[id], [id, '--reason', 'lost']])
      expect((await stage.run('alice', ['device', 'remove', ...args])).code).toBe(2)
    expect(await stage.run('alice', ['device', 'remove', 'nobody', '--reason', 'retired'])).toMatchObject({ code: 1, out: '' })
    expect(await stage.output('alice', ['device', 'remove', id, '--reason', 'compromised'])).toBe('removed as compromised\n')
    expect(await stage.output('alice', ['device', 'remove', id, '--reason', 'retired'])).toBe(
      'was removed as compromised before\n',
    )
    expect(await stage.output('alice', ['device', 'list'])).toContain('compromised')
    const ended = await stage.run('second', ['send', bob, 'hi', '--timeout', '3s'])
    expect(ended.code).not.toBe(0)
  })
})
