import { readFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connect, type PeerCertificate } from 'node:tls'
import type { Connection, Listener } from '@parley/core'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createClientAddress } from '../src/server/client-address.ts'
import { createWebSocketServer, type WebSocketServerOptions } from '../src/server/index.ts'

const pem = (name: string): string => readFileSync(new URL(`../../../test/fixtures/tls/${name}.pem`, import.meta.url), 'utf8')
const tlsOf = (name: string) => ({ cert: pem(`${name}.cert`), key: pem(`${name}.key`) })

const open: (Listener | WebSocket)[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

async function start(options: WebSocketServerOptions, host = '127.0.0.1') {
  const server = createWebSocketServer(options)
  const connections: Connection[] = []
  const frames: Uint8Array[] = []
  let wake = (): void => {}
  const listener = await server.listen({
    port: 0,
    host,
    subprotocols: ['x'],
    frameBytesMax: 100,
    onConnection(connection) {
      connections.push(connection)
      connection.start({
        onFrame(frame) {
          frames.push(frame)
          wake()
        },
        onClose() {},
      })
    },
    onRequest: async ({ peer }) => ({ status: 200, body: new TextEncoder().encode(peer) }),
  })
  open.push(listener)
  const framesReach = (count: number): Promise<void> =>
    new Promise((done) => {
      wake = () => frames.length >= count && done()
      wake()
    })
  return { server, port: listener.port, connections, framesReach }
}

/** Opens a WebSocket; answers the HTTP status when it is refused. */
function dial(url: string, headers: Record<string, string> = {}): Promise<WebSocket | number> {
  const socket = new WebSocket(url, ['x'], { headers, rejectUnauthorized: false })
  open.push(socket)
  return new Promise((done, failed) => {
    socket.once('open', () => done(socket))
    socket.once('unexpected-response', (_, response) => done(response.statusCode ?? 0))
    socket.on('error', failed)
  })
}

function certificateAt(port: number): Promise<PeerCertificate> {
  return new Promise((done, failed) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      done(socket.getPeerCertificate())
      socket.destroy()
    })
    socket.on('error', failed)
  })
}

describe('a server with TLS', () => {
  it('shows the new certificate after a change, and keeps the connections that are open', async () => {
    const { server, port, framesReach } = await start({ tls: tlsOf('first') })
    const socket = (await dial(`wss://127.0.0.1:${port}`)) as WebSocket
    expect((await certificateAt(port)).subject.CN).toBe('first.localhost')
    server.setTls(tlsOf('second'))
    expect((await certificateAt(port)).subject.CN).toBe('second.localhost')
    socket.send(new Uint8Array(1))
    await framesReach(1)
    const later = (await dial(`wss://127.0.0.1:${port}`)) as WebSocket
    later.send(new Uint8Array(1))
    await framesReach(2)
    expect(socket.readyState).toBe(WebSocket.OPEN)
  })

  it('refuses a key that is not the certificate’s, and goes on with what it has', async () => {
    const { server, port } = await start({ tls: tlsOf('first') })
    expect(() => server.setTls({ cert: pem('first.cert'), key: pem('second.key') })).toThrow()
    expect((await certificateAt(port)).subject.CN).toBe('first.localhost')
    expect(() => createWebSocketServer({ tls: { cert: 'noise', key: 'noise' } })).toThrow()
    expect(() => createWebSocketServer().setTls(tlsOf('first'))).toThrow(TypeError)
  })
})

describe('a server behind a proxy', () => {
  const proxies = { networks: ['127.0.0.1'], header: 'x-forwarded-for' } as const

  it('knows the client by what the proxy says', async () => {
    const { port, connections } = await start({ proxies })
    await dial(`ws://127.0.0.1:${port}`, { 'X-Forwarded-For': '203.0.113.9' })
    expect(connections[0]?.peer).toBe('203.0.113.9')
    const asked = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'X-Forwarded-For': '203.0.113.8' } })
    expect(await asked.text()).toBe('203.0.113.8')
  })

  it('believes nobody else', async () => {
    const { port, connections } = await start({ proxies: { ...proxies, networks: ['192.0.2.1'] } })
    await dial(`ws://127.0.0.1:${port}`, { 'X-Forwarded-For': '203.0.113.9' })
    expect(connections[0]?.peer).toBe('127.0.0.1')
  })

  const outside = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address
  it.skipIf(outside === undefined)('takes no WebSocket over a network past the proxy, unless it speaks TLS', async () => {
    const plain = await start({ proxies }, '0.0.0.0')
    expect(await dial(`ws://${outside}:${plain.port}`)).toBe(403)
    const secure = await start({ proxies, tls: tlsOf('first') }, '0.0.0.0')
    expect(await dial(`wss://${outside}:${secure.port}`)).toBeInstanceOf(WebSocket)
  })
})

describe('sockets that say nothing', () => {
  /** A socket, and when it is closed. */
  const silent = (port: number) => {
    const socket = connectPlain(port, '127.0.0.1')
    open.push({ close: () => void socket.destroy() } as never)
    socket.on('error', () => {})
    socket.resume()
    return { socket, closed: new Promise<void>((done) => socket.once('close', () => done())) }
  }
  let refusals = 0
  const waiting = { perNetworkMax: 2, networkOf: (address: string) => address, onRefused: () => void refusals++ }

  it.each([
    ['plain', {}],
    ['with TLS', { tls: tlsOf('first') }],
  ])('are closed soon (%s)', async (_, options) => {
    const { port } = await start({ ...options, handshakeMsMax: 100 })
    await silent(port).closed
    const slow = silent(port)
    slow.socket.write('tls' in options ? Buffer.from([22, 3, 1]) : 'GET / HTTP/1.1\r\nHost: x\r\n')
    await slow.closed
  })

  it.each([
    ['plain', {}],
    ['with TLS', { tls: tlsOf('first') }],
  ])('are few of one network, beside any number of WebSockets (%s)', async (_, options) => {
    const { port } = await start({ ...options, waiting })
    const url = `${'tls' in options ? 'wss' : 'ws'}://127.0.0.1:${port}`
    for (let i = 0; i < 3; i++) expect(await dial(url)).toBeInstanceOf(WebSocket)
    const first = silent(port)
    silent(port)
    await silent(port).closed
    refusals = 0
    await expect(dial(url)).rejects.toThrow()
    expect(refusals).toBe(1)
    first.socket.destroy()
    await first.closed
    // The server hears of it a moment later; the test's time limit ends this.
    while ((await dial(url).catch(() => undefined)) === undefined);
  })

  it('do not hold up the end of the server, in the middle of a TLS handshake neither', async () => {
    const server = createWebSocketServer({ tls: tlsOf('first') })
    const listener = await server.listen({ port: 0, subprotocols: ['x'], frameBytesMax: 100, onConnection() {} })
    const { socket, closed } = silent(listener.port)
    await new Promise((done) => socket.once('connect', done))
    // Whoever came after it was accepted behind it.
    await certificateAt(listener.port)
    await listener.close()
    await closed
  })

  it('are counted by nobody where they come from a proxy', async () => {
    const { port } = await start({ waiting, proxies: { networks: ['127.0.0.1'], header: 'x-forwarded-for' } })
    for (let i = 0; i < 5; i++) silent(port)
    expect(await dial(`ws://127.0.0.1:${port}`)).toBeInstanceOf(WebSocket)
  })
})

describe('bodies of requests', () => {
  it('are refused, to be sent again, when too many come at once', async () => {
    const { port } = await start({})
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n'
    const answers: string[] = []
    let answered = (): void => {}
    const some = new Promise<void>((done) => {
      answered = done
    })
    for (let i = 0; i < 40; i++) {
      const socket = connectPlain(port, '127.0.0.1')
      open.push({ close: () => void socket.destroy() } as never)
      socket.on('error', () => {})
      socket.on('data', (octets) => {
        answers.push(octets.toString())
        answered()
      })
      // The last octet never comes.
      socket.write(head)
      socket.write(Buffer.alloc(1_048_575))
    }
    await some
    expect(answers[0]).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 1/)
  })
})

describe('the address of a client', () => {
  const trusted = ['10.0.0.0/8', 'fd00::/8']
  it.each([
    ['10.1.1.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
    ['::ffff:10.1.1.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
    ['fd00::1', { 'x-forwarded-for': '2001:db8::7' }, '2001:db8::7'],
    // What the client wrote itself stands to the left of what the proxies appended.
    ['10.1.1.1', { 'x-forwarded-for': '1.1.1.1, 203.0.113.9, 10.2.2.2' }, '203.0.113.9'],
    ['10.1.1.1', { 'x-forwarded-for': ['1.1.1.1', '203.0.113.9'] }, '203.0.113.9'],
    ['10.1.1.1', { 'x-forwarded-for': '203.0.113.9:4711' }, '203.0.113.9'],
    ['10.1.1.1', { 'x-forwarded-for': '10.3.3.3' }, '10.3.3.3'],
    ['10.1.1.1', { 'x-forwarded-for': '203.0.113.9, unknown' }, '10.1.1.1'],
    ['10.1.1.1', { forwarded: 'for=203.0.113.9' }, '10.1.1.1'],
    ['10.1.1.1', {}, '10.1.1.1'],
    ['203.0.113.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.1'],
    ['', { 'x-forwarded-for': '203.0.113.9' }, ''],
  ])('%s with %j is %s', (socket, headers, client) => {
    expect(createClientAddress({ networks: trusted, header: 'x-forwarded-for' }).of(socket, headers)).toBe(client)
  })

  it.each([
    ['for=203.0.113.9;proto=https;by=10.0.0.1', '203.0.113.9'],
    ['for=1.1.1.1, For="[2001:db8::7]:4711"', '2001:db8::7'],
    ['proto=https;for=203.0.113.9, for=10.2.2.2', '203.0.113.9'],
    ['for=_hidden', '10.1.1.1'],
    ['noise', '10.1.1.1'],
  ])('with Forwarded: %s is %s', (forwarded, client) => {
    const headers = { forwarded, 'x-forwarded-for': '9.9.9.9' }
    expect(createClientAddress({ networks: trusted, header: 'forwarded' }).of('10.1.1.1', headers)).toBe(client)
  })

  it.each(['', 'x', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/', 'fd00::/129'])('is no network: %j', (text) => {
    expect(() => createClientAddress({ networks: [text], header: 'forwarded' })).toThrow(RangeError)
  })
})
