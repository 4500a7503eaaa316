/**
 * Listening for WebSockets and small HTTP requests on one port, on Node with `ws`: plain, with TLS, or behind a proxy that has it.
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { CoreError, type Listener, type ListenOptions, type Transport } from '@parley/core'
import { WebSocketServer as Sockets } from 'ws'
import { createConnection } from '../websocket/connection.ts'
import { type ClientAddress, createClientAddress, type TrustedProxies } from './client-address.ts'
import { createWaitingRoom, type WaitingLimits, type WaitingRoom } from './waiting-room.ts'

export type { TrustedProxies } from './client-address.ts'
export type { WaitingLimits } from './waiting-room.ts'

const requestBytesMax = 1024 * 1024
const requestTimeoutMs = 10_000
// Octets of requests that are on their way in, all together: nobody knows yet who sends them.
const requestsBytesMax = 32 * 1024 * 1024
// How often Node looks for those that take too long.
const checkMs = 1000

/** Certificate chain and private key, both as PEM. */
export type TlsCredentials = { readonly cert: string; readonly key: string }

export type WebSocketServerOptions = {
  /** Without, it speaks no TLS. */
  readonly tls?: TlsCredentials
  /** Proxies that are believed about their clients' addresses. Without TLS nobody else gets a WebSocket, unless from this machine. */
  readonly proxies?: TrustedProxies
  /** What one network may have open besides WebSockets; without it, as much as the system allows. */
  readonly waiting?: WaitingLimits
  /** From the opening of a connection to the end of the TLS handshake, and from there to the end of a request's headers. */
  readonly handshakeMsMax?: number
}

/** A server of which one port listens. */
export interface WebSocketServer {
  readonly listen: Transport['listen']
  /** The certificate for connections from now on; those that are open stay. Throws when it cannot be used. */
  setTls(tls: TlsCredentials): void
}

const tlsOptions = { minVersion: 'TLSv1.2' } as const

/** Makes a server with options of its own; throws a RangeError for a proxy that is no network, an Error for a bad certificate. */
export function createWebSocketServer(options: WebSocketServerOptions = {}): WebSocketServer {
  const { tls, proxies, waiting, handshakeMsMax = requestTimeoutMs } = options
  const clients = createClientAddress(proxies)
  const times = {
    headersTimeout: handshakeMsMax,
    requestTimeout: Math.max(requestTimeoutMs, handshakeMsMax),
    connectionsCheckingInterval: Math.min(checkMs, handshakeMsMax),
  }
  const secure: TlsServer | undefined =
    tls === undefined ? undefined : createTlsServer({ ...times, handshakeTimeout: handshakeMsMax, ...tlsOptions, ...tls })
  const server: Server = secure ?? createServer(times)
  const room = createWaitingRoom(waiting, clients.isProxy)
  server.on('connection', room.enter)
  return {
    listen: (listenOptions) =>
      serve(server, { ...listenOptions, clients, room, onlyProxies: proxies !== undefined && secure === undefined }),
    setTls(next) {
      if (secure === undefined) throw new TypeError('the server was made without TLS')
      secure.setSecureContext({ ...tlsOptions, ...next })
    },
  }
}

/** Listens without TLS and without a proxy. */
export const listenWebSocket: Transport['listen'] = (options) => createWebSocketServer().listen(options)

type ServeOptions = ListenOptions & {
  readonly clients: ClientAddress
  readonly room: WaitingRoom
  readonly onlyProxies: boolean
}

async function serve(http: Server, options: ServeOptions): Promise<Listener> {
  const { clients, room, onlyProxies } = options
  const readBody = createBodyReader()
  http.on('request', (request, response) => void answer(request, response, { ...options, readBody }))
  const sockets = new Sockets({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    // The client's order is its preference; no common one refuses the handshake below.
    handleProtocols: (offered) => [...offered].find((name) => options.subprotocols.includes(name)) ?? false,
  })
  http.on('upgrade', (request, socket, head) => {
    // An error without a listener would end the process. Not a function of this call: it would keep the request as long as the socket.
    socket.on('error', ignore)
    const refuse = (answer: string): void => void socket.end(answer, () => socket.destroy())
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (!offered.some((name) => options.subprotocols.includes(name))) {
      const known = options.subprotocols.join(', ')
      return refuse(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-WebSocket-Protocol: ${known}\r\n\r\n`)
    }
    const from = request.socket.remoteAddress ?? ''
    // Behind a proxy this port is plain: nobody is to speak to it over a network past the proxy.
    if (onlyProxies && !clients.isProxy(from) && !isLoopback(from))
      return refuse('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n')
    const peer = clients.of(from, request.headers)
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      room.leave(request.socket)
      options.onConnection(createConnection(webSocket, { peer, raw: socket, earlyBytesMax: options.earlyBytesMax }))
    })
  })
  await listen(http, options)
  return {
    // A TCP server that listens has an AddressInfo.
    port: (http.address() as AddressInfo).port,
    async close() {
      const closed = new Promise<void>((done) => http.close(() => done()))
      for (const client of sockets.clients) client.terminate()
      http.closeAllConnections()
      room.close()
      await closed
    },
  }
}

function listen(http: Server, options: ListenOptions): Promise<void> {
  return new Promise((listening, failed) => {
    http.once('error', (cause) => failed(new CoreError('ERR_CORE_LISTEN_FAILED', 'cannot listen on the port', { cause })))
    http.listen({ port: options.port, host: options.host ?? '127.0.0.1' }, listening)
  })
}

function ignore(): void {}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address)
}

type Body = Uint8Array | 'too-large' | 'busy'

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ServeOptions & { readBody(request: IncomingMessage): Promise<Body> },
): Promise<void> {
  try {
    if (options.onRequest === undefined) {
      response.writeHead(404).end()
      return
    }
    const body = await options.readBody(request)
    if (typeof body === 'string') {
      if (body === 'busy') response.writeHead(503, { connection: 'close', 'retry-after': '1' }).end()
      else response.writeHead(413, { connection: 'close' }).end()
      return
    }
    const answered = await options.onRequest({
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      body,
      peer: options.clients.of(request.socket.remoteAddress ?? '', request.headers),
    })
    response.writeHead(answered.status, answered.headers).end(answered.body)
  } catch {
    // Internals never go on the wire.
    if (!response.headersSent) response.writeHead(500)
    response.end()
  }
}

/** Reads bodies, each and all together within a bound. */
function createBodyReader(): (request: IncomingMessage) => Promise<Body> {
  let reading = 0
  return async (request) => {
    const parts: Buffer[] = []
    let length = 0
    try {
      for await (const each of request) {
        const part = each as Buffer
        length += part.length
        reading += part.length
        if (length > requestBytesMax) return 'too-large'
        if (reading > requestsBytesMax) return 'busy'
        parts.push(part)
      }
      return new Uint8Array(Buffer.concat(parts))
    } finally {
      reading -= length
    }
  }
}
