import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAddress, utf8 } from '@parley/core'
import { signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, thumbprint } from '@parley/jose'
import { openLevelStore } from '@parley/platform/level'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { type C2sEvent, type C2sOutput, c2sProtocol, createC2sClient } from '@parley/stream'
import { afterEach, describe, expect, it } from 'vitest'
import { runProgram } from '../src/program.ts'

const running: { stop(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop()
})

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'parley relay '))
}

/** Runs the program in this process, with signals of its own. */
function run(argv: readonly string[], env: Record<string, string> = {}) {
  const said = { out: '', err: '' }
  const handlers = new Map<string, Set<(name: string) => void>>()
  let onOut = (): void => {}
  const exit = runProgram({
    argv,
    env,
    out(text) {
      said.out += text
      onOut()
    },
    err(text) {
      said.err += text
    },
    onSignal(names, fn) {
      for (const name of names) handlers.set(name, (handlers.get(name) ?? new Set()).add(fn))
      return () => {
        for (const name of names) handlers.get(name)?.delete(fn)
      }
    },
  })
  const signal = (name: string): void => {
    for (const fn of handlers.get(name) ?? []) fn(name)
  }
  const program = {
    said,
    exit,
    signal,
    stop() {
      signal('SIGTERM')
      return exit
    },
    /** The port of the ready line; fails when the program ends before it. */
    async ready(): Promise<number> {
      const line = /parley-relay ready domain=\S+ port=(\d+) key=\S{43}\n/
      const seen = new Promise<void>((done) => {
        onOut = () => line.test(said.out) && done()
        onOut()
      })
      const code = await Promise.race([seen, exit])
      if (code !== undefined) throw new Error(`ended with ${code}: ${said.err}`)
      running.push(program)
      return Number(line.exec(said.out)?.[1])
    },
  }
  return program
}

/** A device that registers itself and echoes what is needed, on real sockets. */
async function device(address: string, port: number) {
  const make = (): Jwk => generateKey('Ed25519', { random: systemRandom })
  const accountKey = importKey(make())
  const signer = importKey(make())
  const id = thumbprint(signer.publicJwk as Jwk) as never
  const now = systemClock.now()
  const parsed = parseAddress(address)
  const card = signCard(
    {
      address: parsed,
      version: 1,
      prev: null,
      accountKey: accountKey.publicJwk as Jwk,
      next: thumbprint(make()),
      devices: [{ id, signingKey: signer.publicJwk as Jwk, added: now / 1000 }],
    },
    { key: accountKey, now },
  )
  const agreementKey = generateKey('X25519', { random: systemRandom })
  const validity = { issued: now / 1000, expiry: now / 1000 + 3600 }
  const statement = signStatement(
    { device: id, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  const client = createC2sClient({
    address: parsed,
    device: id,
    signer,
    inc: 'AAAAAAAAAAA',
    position: undefined,
    relayKey: undefined,
    random: systemRandom,
    register: { card: card.jws, statement },
  })
  const events: C2sEvent[] = []
  const waiting: { readonly find: (event: C2sEvent) => boolean; done(event: C2sEvent): void }[] = []
  const connection = await dialWebSocket(`ws://127.0.0.1:${port}`, {
    subprotocols: [c2sProtocol],
    frameBytesMax: 2 ** 20,
    timeoutMs: 5000,
  })
  const apply = (out: C2sOutput): void => {
    for (const frame of out.frames) connection.send(frame)
    for (const event of out.events) {
      events.push(event)
      for (const each of waiting) if (each.find(event)) each.done(event)
    }
  }
  connection.start({ onFrame: (frame) => apply(client.receive(frame, systemClock.now())), onClose() {} })
  const event = (find: (each: C2sEvent) => boolean): Promise<C2sEvent> =>
    new Promise((done) => {
      const before = events.find(find)
      if (before === undefined) waiting.push({ find, done })
      else done(before)
    })
  await event(({ kind }) => kind === 'ready')
  return {
    event,
    send(to: string, text: string) {
      const sent = systemClock.now()
      const entries = [{ device: '*', octets: utf8('entry') }] as const
      const stanzaId = `urn:uuid:00000000-0000-4000-8000-${String(events.length).padStart(12, '0')}` as never
      apply(
        client.send({
          id: stanzaId,
          to: [parseAddress(to)],
          class: 'durable',
          sent,
          expiry: sent + 60_000,
          entries,
          body: utf8(text),
        }),
      )
    },
    close: () => connection.close(1000, ''),
  }
}

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
      PARLEY_RELAY_LOG_LEVEL: 'silent',
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
    expect(await second.exit).toBe(1)
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
    expect(await newer.exit).toBe(1)
    expect(newer.said.err).toMatch(/^parley-relay: ERR_MAILBOX_STORE_NEWER: /)
    for (const name of readdirSync(join(data, 'store')))
      if (/^MANIFEST|^CURRENT/.test(name)) writeFileSync(join(data, 'store', name), 'damaged')
    const damaged = run(['--domain', 'a.localhost', '--data', data])
    expect(await damaged.exit).toBe(1)
    expect(damaged.said.err).toMatch(/^parley-relay: ERR_CORE_STORE_(?:CORRUPT|FAILED): /)
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
    expect(await other.exit).toBe(1)
    expect(other.said.err).toMatch(/^parley-relay: ERR_RELAY_DOMAIN_MISMATCH: /)
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
      [['--config', join(home, 'absent.json')], {}, 'cannot be read as JSON'],
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

  it('shows its help', async () => {
    const program = run(['--help'])
    expect(await program.exit).toBe(0)
    expect(program.said.out).toContain('--trace-wire <file>')
  })
})
