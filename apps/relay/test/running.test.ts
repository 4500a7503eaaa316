import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { type DeviceId, type Domain, parseAddress, type StanzaId, utf8 } from '@parley/core'
import { packPost, postPath, writeFrame } from '@parley/stream'
import { afterEach, describe, expect, it } from 'vitest'
import { settings, variableOf } from '../src/settings.ts'
import { command, device, folder, json, run, stopAll } from './harness.ts'

afterEach(stopAll)

const domain = 'a.localhost'
const certificates = fileURLToPath(new URL('../../../test/fixtures/tls/', import.meta.url))

/** A relay with a configuration file that can be changed. */
async function start(settings: object = {}) {
  const home = folder()
  const data = join(home, 'data')
  const file = join(home, 'relay.json')
  const write = (changed: object): void => writeFileSync(file, JSON.stringify({ domain, data, ...settings, ...changed }))
  write({})
  const program = run(['--config', file])
  const port = await program.ready()
  const at = ['--config', file]
  /** Changes the file, and has it read by signal. */
  const reload = async (changed: object): Promise<string> => {
    const before = program.said.err.length
    write(changed)
    program.signal('SIGHUP')
    await program.logs((err) => /reloaded"/.test(err.slice(before)))
    return program.said.err.slice(before)
  }
  return { home, data, file, program, port, at, reload, write }
}

const get = async (url: string): Promise<readonly [number, string]> => {
  const response = await fetch(url)
  return [response.status, await response.text()]
}

describe('health', () => {
  it('is told on the main port, and nothing else is', async () => {
    const { port } = await start()
    const url = `http://127.0.0.1:${port}`
    expect(await get(`${url}/healthz`)).toEqual([200, 'ok\n'])
    expect(await get(`${url}/readyz`)).toEqual([200, 'ok\n'])
    expect((await fetch(`${url}/readyz`, { method: 'POST' })).status).toBe(405)
    expect((await get(`${url}/metrics`))[0]).toBe(404)
    expect((await get(`${url}/.well-known/parley`))[0]).toBe(200)
  })

  it('says so when there is no room: nothing new is taken, everything stored is delivered and leaves', async () => {
    const { port, at, reload } = await start()
    const bob = await device(`bob@${domain}`, port)
    bob.close()
    await bob.ended
    const alice = await device(`alice@${domain}`, port)
    alice.send(`bob@${domain}`, 'while there is room')
    await alice.event(({ kind }) => kind === 'accepted')
    await reload({ diskFreeBytesMin: Number.MAX_SAFE_INTEGER })
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toEqual([503, 'disk-full\n'])
    expect((await get(`http://127.0.0.1:${port}/healthz`))[0]).toBe(200)
    alice.send(`bob@${domain}`, 'too late')
    expect(await alice.event(({ kind }) => kind === 'bounced')).toMatchObject({ code: 'unavailable', retryable: true })
    const back = await device(bob.who, port)
    await back.event(() => back.texts().length === 1)
    expect(back.texts()).toEqual(['while there is room'])
    back.handled()
    await back.settled()
    // A deletion that waits for its batch is not lost; the test's time limit ends this.
    while ((await json<{ mailbox: { count: number } }>([...at, 'status'])).mailbox.count > 0) await back.settled()
    await reload({})
    expect((await get(`http://127.0.0.1:${port}/readyz`))[0]).toBe(200)
    alice.send(`bob@${domain}`, 'there is room again')
    await back.event(() => back.texts().length === 2)
  })
})

describe('a full disk', () => {
  it('does not keep what expires, although others stand in one record with it', async () => {
    const limits = { expiryIntervalMs: 100, mailbox: { expiryStepMs: 100 } }
    const { port, at, reload } = await start({ limits })
    const bob = await device(`bob@${domain}`, port)
    bob.close()
    await bob.ended
    const alice = await device(`alice@${domain}`, port)
    // All of them are there before the first is written, so they are written together.
    for (let i = 0; i < 20; i++) alice.send(`bob@${domain}`, `${i}`, i % 2 === 0 ? 1500 : 60_000)
    await alice.event(() => alice.accepted() === 20)
    await reload({ limits, diskFreeBytesMin: Number.MAX_SAFE_INTEGER })
    // The test's time limit ends this.
    while ((await json<{ mailbox: { count: number } }>([...at, 'status'])).mailbox.count !== 10);
    const back = await device(bob.who, port)
    await back.event(() => back.texts().length === 10)
    expect(back.texts()).toEqual(Array.from({ length: 10 }, (_, i) => `${2 * i + 1}`))
  })
})

describe('a device that talks and does not read', () => {
  it('is ended before what it is owed fills the memory', { timeout: 60_000 }, async () => {
    const fast = { framesPerSecond: 1e6, framesBurst: 1e7, bytesPerSecond: 1e9, bytesBurst: 1e9 }
    const { port, at } = await start({ limits: { ...fast, idleMs: 3000, bufferedBytesMax: 16_384 } })
    const { connection } = await device(`mallory@${domain}`, port)
    const ping = writeFrame({ t: 'ping' })
    connection.pause()
    type Status = { readonly counts: Readonly<Record<string, number>>; readonly connections: number }
    // Each is answered, and the system keeps some megabytes of answers; the test's time limit ends this.
    while ((await json<Status>([...at, 'status'])).counts['relay.device.ended.overloaded'] !== 1)
      for (let i = 0; i < 5000; i++) connection.send(ping)
    expect((await json<Status>([...at, 'status'])).counts['relay.limit.bufferedBytesMax']).toBe(1)
    connection.close(1000, '')
  })
})

describe('sockets that say nothing', () => {
  it('are few of one network, are closed soon, and are told among the limits', async () => {
    const { at, port } = await start({ limits: { connectionsPerPeerMax: 2, loginTimeoutMs: 300 } })
    const silent = () => {
      const socket = connectPlain(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      return new Promise<void>((done) => socket.once('close', () => done()))
    }
    const taken = [silent(), silent()]
    await silent()
    type Status = { readonly counts: Readonly<Record<string, number>> }
    expect((await json<Status>([...at, 'status'])).counts['relay.limit.connectionsPerPeerMax']).toBe(1)
    await Promise.all(taken)
    expect((await get(`http://127.0.0.1:${port}/healthz`))[0]).toBe(200)
  })
})

describe('over HTTP', () => {
  it('a stanza is taken from who signed it, and goes to who is there', async () => {
    const { port } = await start()
    const [alice, bob] = [await device(`alice@${domain}`, port), await device(`bob@${domain}`, port)]
    alice.close()
    const sent = Date.now()
    const stanza = {
      id: 'urn:uuid:5ff1cd0a-7f0b-4f2c-9d3c-1c1d9f3f7a10' as StanzaId,
      to: [parseAddress(`bob@${domain}`)],
      class: 'durable',
      sent,
      expiry: sent + 60_000,
      entries: [{ device: '*', octets: utf8('entry') }],
      body: utf8('by post'),
    } as const
    const { signer } = alice.who
    const from = { from: parseAddress(alice.who.address), device: signer.thumbprint as DeviceId, signer, now: sent }
    const octets = packPost(stanza, { ...from, domain: domain as Domain })
    const post = (body: Uint8Array) => fetch(`http://127.0.0.1:${port}${postPath}`, { method: 'POST', body: Buffer.from(body) })
    const answered = await post(octets)
    expect([answered.status, await answered.json()]).toEqual([
      200,
      { accepted: [`bob@${domain}`], cards: { [`bob@${domain}`]: 1 }, bounced: [] },
    ])
    await bob.event(() => bob.texts().includes('by post'))
    octets[octets.length - 1] = 0
    expect((await post(octets)).status).toBe(403)
    expect((await post(new Uint8Array(2 ** 20 + 1))).status).toBe(413)
  })

  it('cards are shown where the operator says so, and nowhere else', async () => {
    for (const publicCards of [false, true]) {
      const { port } = await start({ publicCards })
      const bob = await device(`bob@${domain}`, port)
      const card = (name: string) => get(`http://127.0.0.1:${port}/.well-known/parley/card/${name}`)
      const missing = [404, '{"code":"item-not-found"}']
      expect(await card('bob')).toEqual(publicCards ? [200, JSON.stringify({ card: bob.who.card, version: 1 })] : missing)
      expect(await card('ghost')).toEqual(missing)
    }
  })
})

describe('metrics', () => {
  const scrape = async (text: string): Promise<ReadonlyMap<string, number>> => {
    const url = /metrics (http:\S+)/.exec(text)?.[1] ?? ''
    const [status, page] = await get(url)
    expect(status).toBe(200)
    return new Map(
      page.split('\n').flatMap((line) => {
        const [, name, value] = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? []
        return name === undefined ? [] : [[name, Number(value)] as const]
      }),
    )
  }

  it('are off unless asked for, and count what goes on', async () => {
    expect((await start()).program.said.out).not.toContain('metrics')
    const { program, port } = await start({ adminListen: '127.0.0.1:0', routes: ['b.localhost=ws://127.0.0.1:9'] })
    await program.says((out) => out.includes('metrics'))
    const alice = await device(`alice@${domain}`, port)
    const bob = await device(`bob@${domain}`, port)
    alice.send(`bob@${domain}`, 'hello')
    alice.send('carol@b.localhost', 'hello')
    await alice.event(() => alice.accepted() === 2)
    await bob.event(({ kind }) => kind === 'stanza')
    bob.handled()
    await bob.settled()
    const metrics = await scrape(program.said.out)
    for (const [name, value] of [
      ['parley_relay_device_login_total', 2],
      ['parley_relay_device_stanza_total', 2],
      ['parley_relay_devices', 2],
      ['parley_relay_ready', 1],
      ['parley_relay_stuck_deliveries', 0],
      ['parley_relay_limit_setting{limit="mailbox.countMax"}', 10_000],
      ['parley_relay_queue_stanzas{domain="b.localhost"}', 1],
      ['parley_relay_stanza_accept_seconds_count', 2],
      ['parley_relay_stanza_deliver_seconds_count', 1],
    ] as const)
      expect([name, metrics.get(name)]).toEqual([name, value])
    expect(metrics.get('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0)
    expect([...metrics.keys()].join('\n')).not.toMatch(/alice|bob/)
  })

  it('tell which limit was met, also one of the mailboxes', async () => {
    const { program, port } = await start({ adminListen: '127.0.0.1:0', limits: { mailbox: { countMax: 1 } } })
    await program.says((out) => out.includes('metrics'))
    const bob = await device(`bob@${domain}`, port)
    bob.close()
    await bob.ended
    const alice = await device(`alice@${domain}`, port)
    for (const text of ['fits', 'does not']) alice.send(`bob@${domain}`, text)
    await alice.event(({ kind }) => kind === 'bounced')
    const metrics = await scrape(program.said.out)
    expect(metrics.get('parley_relay_limit_total{limit="mailbox.countMax"}')).toBe(1)
  })

  it('are all there that the dashboard shows, before anything has happened', async () => {
    const dashboard = JSON.parse(readFileSync(new URL('../deploy/grafana.json', import.meta.url), 'utf8'))
    const expressions: string[] = dashboard.panels.flatMap((panel: { targets?: { expr: string }[] }) =>
      (panel.targets ?? []).map(({ expr }) => expr),
    )
    expect(expressions.length).toBeGreaterThan(10)
    const { program } = await start({
      adminListen: '127.0.0.1:0',
      tlsCert: join(certificates, 'first.cert.pem'),
      tlsKey: join(certificates, 'first.key.pem'),
    })
    await program.says((out) => out.includes('metrics'))
    const url = /metrics (http:\S+)/.exec(program.said.out)?.[1] ?? ''
    const [, page] = await get(url)
    const exported = new Set(
      [...page.matchAll(/^# TYPE (\S+) (\w+)/gm)].flatMap(([, name = '', type]) =>
        type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
      ),
    )
    const named = expressions.flatMap((expr) => expr.match(/\b(?:parley_relay|nodejs|process)_\w+/g) ?? [])
    expect(named.filter((name) => !exported.has(name))).toEqual([])
  })
})

describe('the log', () => {
  it('names nobody unless it is asked to', async () => {
    const { at, program, port, reload } = await start({ logLevel: 'debug' })
    const alice = await device(`alice@${domain}`, port)
    alice.close()
    await command([...at, 'account', 'remove', `alice@${domain}`])
    expect(program.said.err).toMatch(/"on":"#[\w-]{12}","msg":"account removed"/)
    expect(program.said.err).toMatch(/"account":"#[\w-]{12}","from":"#[\w-]{12}","msg":"relay.account.opened"/)
    expect(program.said.err).not.toMatch(/alice|127\.0\.0\.1/)
    await reload({ logLevel: 'info', logAddresses: true })
    const carol = await device(`carol@${domain}`, port)
    expect(program.said.err).toContain(`"account":"carol@${domain}","from":"127.0.0.1","msg":"relay.account.opened"`)
    // Somebody else, who wants the same name.
    void device(`carol@${domain}`, port)
    await program.logs((err) => err.includes('"code":"address-taken","msg":"relay.login.refused"'))
    carol.close()
    await command([...at, 'account', 'remove', `carol@${domain}`])
    expect(program.said.err).toContain(`"on":"carol@${domain}","msg":"account removed"`)
  })
})

describe('a change of the configuration', () => {
  it('says what has changed and what waits for a restart, by signal and by command', async () => {
    const { at, reload, write } = await start()
    const said = await reload({
      routes: ['b.localhost=ws://127.0.0.1:9'],
      port: 1,
      limits: { idleMs: 50_000, mailbox: { countMax: 5 } },
      logLevel: 'debug',
    })
    expect(JSON.parse(said.split('\n')[0] ?? '')).toMatchObject({
      changed: ['routes', 'logLevel', 'limits.idleMs'],
      restart: ['port', 'limits.mailbox.countMax'],
      msg: 'configuration reloaded',
    })
    write({ registration: 'invite' })
    expect(await json([...at, 'reload'])).toEqual({
      changed: ['routes', 'registration', 'logLevel', 'limits.idleMs'],
      // Back to what it was started with.
      restart: [],
    })
  })

  it('from plain to TLS waits for a restart, and says so', async () => {
    const { at, port, write } = await start()
    write({ tlsCert: join(certificates, 'first.cert.pem'), tlsKey: join(certificates, 'first.key.pem') })
    expect(await json([...at, 'reload'])).toEqual({ changed: [], restart: ['tlsCert', 'tlsKey'] })
    expect((await get(`http://127.0.0.1:${port}/readyz`))[0]).toBe(200)
  })

  it('that is wrong changes nothing, and says all that is wrong', async () => {
    const { at, reload } = await start()
    const said = await reload({ prot: 1, logLevel: 'loud' })
    expect(said).toContain('prot: not known; did you mean port?')
    expect(await command([...at, 'reload'])).toMatchObject({ code: 1, err: expect.stringContaining('logLevel') })
  })
})

describe('TLS', () => {
  const files = (home: string) => ({ tlsCert: join(home, 'cert.pem'), tlsKey: join(home, 'key.pem') })
  const put = (name: string, home: string): void => {
    copyFileSync(join(certificates, `${name}.cert.pem`), files(home).tlsCert)
    copyFileSync(join(certificates, `${name}.key.pem`), files(home).tlsKey)
  }
  const secured = (port: number): Promise<TLSSocket> =>
    new Promise((done, failed) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => done(socket))
      socket.on('error', failed)
    })
  const nameAt = async (port: number): Promise<unknown> => {
    const socket = await secured(port)
    const { CN } = socket.getPeerCertificate().subject
    socket.destroy()
    return CN
  }

  it('takes a new certificate by signal, without ending a connection; one that does not fit is refused', async () => {
    const home = folder()
    put('first', home)
    const { port, program, reload } = await start(files(home))
    const open = await secured(port)
    const name = 'first.localhost'
    expect(open.getPeerCertificate().subject.CN).toBe(name)
    copyFileSync(join(certificates, 'second.cert.pem'), files(home).tlsCert)
    expect(await reload({})).toContain('is not the key of')
    expect(await nameAt(port)).toBe(name)
    put('second', home)
    await reload({})
    expect(await nameAt(port)).toBe('second.localhost')
    const answer = new Promise<string>((done) => open.once('data', (octets) => done(octets.toString())))
    open.write('GET /readyz HTTP/1.1\r\nHost: first.localhost\r\n\r\n')
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
    open.destroy()
    expect(program.said.err).toContain('"names":"DNS:localhost, DNS:second.localhost')
  })

  it('is spoken on the main port only when asked for, and a wrong pair stops the start', async () => {
    const home = folder()
    put('first', home)
    const { port } = await start(files(home))
    const status = await new Promise<number | undefined>((done, failed) => {
      request({ port, host: '127.0.0.1', path: '/readyz', rejectUnauthorized: false }, (response) => done(response.statusCode))
        .on('error', failed)
        .end()
    })
    expect(status).toBe(200)
    await expect(fetch(`http://127.0.0.1:${port}/readyz`)).rejects.toThrow()
    copyFileSync(join(certificates, 'second.key.pem'), files(home).tlsKey)
    const wrong = ['--domain', domain, '--data', folder(), '--tls-cert', files(home).tlsCert, '--tls-key', files(home).tlsKey]
    expect(await command(wrong)).toMatchObject({ code: 2, err: expect.stringContaining('is not the key of') })
    expect(await command([...wrong, 'check-config'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('is not the key of'),
    })
  })
})

describe('behind a proxy', () => {
  /** Opens a WebSocket as the proxy would for a client; answers the first frame as text. */
  const openFor = (port: number, client: string): Promise<string> =>
    new Promise((done, failed) => {
      const asked = plainRequest({
        port,
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
          'Sec-WebSocket-Protocol': 'parley.c2s.1',
          'X-Forwarded-For': client,
        },
      })
      asked.on('upgrade', (_, socket, head) => {
        sockets.push(socket)
        if (head.length > 0) done(head.toString())
        else socket.once('data', (octets) => done(octets.toString()))
      })
      asked.on('error', failed)
      asked.end()
    })
  const sockets: Duplex[] = []

  it('counts connections by the clients that the proxy names', async () => {
    const { port } = await start({ trustedProxies: ['127.0.0.1'], limits: { connectionsPerPeerMax: 1 } })
    expect(await openFor(port, '203.0.113.1')).toContain('"t":"challenge"')
    expect(await openFor(port, '203.0.113.2')).toContain('"t":"challenge"')
    expect(await openFor(port, '203.0.113.1')).toContain('"t":"error"')
    for (const socket of sockets.splice(0)) socket.destroy()
  })
})

describe('the files for deployment', () => {
  it('name settings and exit codes that there are', () => {
    const read = (name: string): string => readFileSync(new URL(`../deploy/${name}`, import.meta.url), 'utf8')
    const known = settings.flatMap((setting) => variableOf(setting) ?? [])
    const named = ['Dockerfile', 'compose.yaml'].flatMap((name) => read(name).match(/PARLEY_RELAY_\w+/g) ?? [])
    expect(named.length).toBeGreaterThan(4)
    expect(named.filter((name) => !known.includes(name))).toEqual([])
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const codes = /RestartPreventExitStatus=(.*)/.exec(read('parley-relay.service'))?.[1]?.split(' ') ?? []
    expect(codes.length).toBeGreaterThan(2)
    for (const code of codes) expect(readme).toContain(`\n| ${code} | `)
  })
})

describe('check-config', () => {
  it('prints what would run and where each setting comes from', async () => {
    const home = folder()
    const file = join(home, 'relay.json')
    writeFileSync(file, JSON.stringify({ domain, data: home, limits: { mailbox: { countMax: 7 } } }))
    const { code, out } = await command(['check-config', '--config', file, '--port', '5280'])
    expect(code).toBe(0)
    expect(out).toMatch(/^port +5280 +flag$/m)
    expect(out).toMatch(new RegExp(`^domain +a\\.localhost +${file}$`, 'm'))
    expect(out).toMatch(/^registration +open +default$/m)
    expect(out).toMatch(/^limits\.mailbox\.countMax +7 +\S/m)
    expect(await json(['check-config', '--config', file])).toMatchObject({ ok: true })
  })

  it('prints everything that is wrong', async () => {
    const file = join(folder(), 'relay.json')
    writeFileSync(file, '{"domian":"x","port":"many"}')
    const { code, err } = await command(['--config', file, 'check-config'])
    expect(code).toBe(2)
    expect(err.trimEnd().split('\n')).toHaveLength(4)
    writeFileSync(file, '{')
    expect((await command(['--config', file, 'check-config'])).err).toContain('is not JSON')
  })
})
