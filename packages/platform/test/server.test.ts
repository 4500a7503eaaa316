import { readFileSync } from 'node:fs'
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
