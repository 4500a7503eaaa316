import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { utf8 } from '@parley/core'
import { openLevelStore } from '@parley/platform/level'
import { afterEach, describe, expect, it } from 'vitest'
import { device, folder, run, stopAll } from './harness.ts'

afterEach(stopAll)

describe('parley-relay', () => {
  it('says when it is ready, keeps its folder private, and drains on SIGTERM', async () => {
    const data = join(folder(), 'data')
    const program = run(['--domain', 'a.localhost', '--data', data])
    expect(await program.ready()).toBeGreaterThan(0)
    expect(statSync(data).mode & 0o777).toBe(0o700)
    program.signal('SIGTERM')
    expect(await program.exit).toBe(0)
    expect(program.said.err).toContain('"msg":"drained"')
  })

  it('federates with another over real sockets, by a route that came with SIGHUP', async () => {
    const home = folder()
    const config = join(home, 'a.json')
    const trace = join(home, 'wire.jsonl')
    writeFileSync(config, JSON.stringify({ domain: 'a.localhost', data: join(home, 'a'), logLevel: 'silent' }))
    const a = run(['--config', config, '--trace-wire', trace])
    const portA = await a.ready()
    const b = run(['--domain', 'b.localhost', '--data', join(home, 'b'), '--route', `a.localhost=ws://127.0.0.1:${portA}`], {
      PARLEY_RELAY_LOG_LEVEL: 'info',
      PARLEY_RELAY_LOG_ADDRESSES: 'true',
    })
    const portB = await b.ready()
    writeFileSync(
      config,
      JSON.stringify({ domain: 'a.localhost', data: join(home, 'a'), routes: [`b.localhost=ws://127.0.0.1:${portB}`] }),
    )
    a.signal('SIGHUP')
    const alice = await device('alice@a.localhost', portA)
    const bob = await device('bob@b.localhost', portB)
    alice.send('bob@b.localhost', 'over two relays')
    const event = await bob.event(({ kind }) => kind === 'stanza')
    expect(event).toMatchObject({ stanza: { from: 'alice@a.localhost', body: utf8('over two relays') } })
    expect(await alice.event(({ kind }) => kind === 'accepted')).toMatchObject({ to: ['bob@b.localhost'] })
    expect(b.said.err).toContain('"peer":"a.localhost","msg":"relay.peer_session.ready"')
    alice.close()
    bob.close()
    const traced = readFileSync(trace, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(traced.filter(({ header }) => header.t === 'stanza')).toMatchObject([
      { direction: 'in', kind: 'device', header: { from: 'alice@a.localhost' } },
      { direction: 'out', kind: 'relay', name: 'b.localhost' },
    ])
  })

  it('does not start twice on one folder, and says so', async () => {
    const data = folder()
    const first = run(['--domain', 'a.localhost', '--data', data])
    await first.ready()
    const second = run(['--domain', 'a.localhost', '--data', data])
    expect(await second.exit).toBe(73)
    expect(second.said.err).toBe(
      'parley-relay: ERR_CORE_STORE_LOCKED: another process has this store open; is another relay running on this folder?\n',
    )
  })

  it('refuses a damaged folder and one of a newer version with their codes, and changes nothing in it', async () => {
    const data = folder()
    const first = run(['--domain', 'a.localhost', '--data', data])
    await first.ready()
    await first.stop()
    const store = await openLevelStore(join(data, 'store'))
    await store.batch([{ type: 'put', key: 'mailbox/meta', value: utf8('{"schema":99}') }], { durable: true })
    await store.close()
    const newer = run(['--domain', 'a.localhost', '--data', data])
    expect(await newer.exit).toBe(78)
    expect(newer.said.err).toMatch(/^parley-relay: ERR_MAILBOX_STORE_NEWER: /)
    for (const name of readdirSync(join(data, 'store')))
      if (/^MANIFEST|^CURRENT/.test(name)) writeFileSync(join(data, 'store', name), 'damaged')
    const damaged = run(['--domain', 'a.localhost', '--data', data])
    expect(await damaged.exit).toBe(65)
    expect(damaged.said.err).toMatch(/^parley-relay: ERR_CORE_STORE_CORRUPT: /)
  })

  it('refuses a folder of another domain, and a port that is taken', async () => {
    const data = folder()
    const first = run(['--domain', 'a.localhost', '--data', data])
    const port = await first.ready()
    const taken = run(['--domain', 'b.localhost', '--data', folder(), '--port', String(port)])
    expect(await taken.exit).toBe(1)
    expect(taken.said.err).toMatch(/ERR_CORE_LISTEN_FAILED.*is the port taken/)
    await first.stop()
    const other = run(['--domain', 'c.localhost', '--data', data])
    expect(await other.exit).toBe(78)
    expect(other.said.err).toMatch(/^parley-relay: ERR_RELAY_DOMAIN_MISMATCH: .*does --data name the folder of this domain\?/)
  })

  it('ends with 2 and one line per problem when it is called wrongly', async () => {
    const home = folder()
    const bad = join(home, 'bad.json')
    writeFileSync(bad, '{"domian":"a.localhost"}')
    mkdirSync(join(home, 'x'))
    for (const [argv, env, text] of [
      [[], {}, 'parley-relay: domain: is needed'],
      [['--prot', '1'], {}, "unknown option '--prot'"],
      [['--config', bad], {}, 'domian: not known; did you mean domain?'],
      [['--config', join(home, 'absent.json')], {}, 'cannot be read (ENOENT)'],
      [
        ['--domain', 'a.localhost', '--data', home],
        { PARLEY_RELAY_PROT: '1' },
        'PARLEY_RELAY_PROT: not known; did you mean PARLEY_RELAY_PORT?',
      ],
    ] as const) {
      const program = run(argv, env)
      expect(await program.exit).toBe(2)
      expect(program.said.err).toContain(text)
    }
  })

  it('names the command that was probably meant', async () => {
    const { exit, said } = run(['statsu', '--data', folder()])
    expect(await exit).toBe(2)
    expect(said.err).toBe('parley-relay: statsu: no such command; did you mean status?\n')
  })

  it('shows its help', async () => {
    const program = run(['--help'])
    expect(await program.exit).toBe(0)
    expect(program.said.out).toContain('--trace-wire <file>')
  })
})
