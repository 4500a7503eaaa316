/**
 * Listening for WebSockets and small HTTP requests on one port, on Node with `ws`.
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CoreError, type ListenOptions, type Transport } from '@parley/core'
import { WebSocketServer } from 'ws'
import { createConnection } from '../websocket/connection.ts'

const requestBytesMax = 1024 * 1024
const requestTimeoutMs = 10_000

export const listenWebSocket: Transport['listen'] = async (options) => {
  const http = createServer((request, response) => void answer(request, response, options))
  http.requestTimeout = requestTimeoutMs
  http.headersTimeout = requestTimeoutMs
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    // The client's order is its preference; no common one refuses the handshake below.
    handleProtocols: (offered) => [...offered].find((name) => options.subprotocols.includes(name)) ?? false,
  })
  http.on('upgrade', (request, socket, head) => {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (!offered.some((name) => options.subprotocols.includes(name))) {
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-WebSocket-Protocol: ${options.subprotocols.join(', ')}\r\n\r\n`,
      )
      return
    }
    socket.on('error', () => {})
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      options.onConnection(createConnection(webSocket, request.socket.remoteAddress ?? ''))
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

async function answer(request: IncomingMessage, response: ServerResponse, options: ListenOptions): Promise<void> {
  try {
    if (options.onRequest === undefined) {
      response.writeHead(404).end()
      return
    }
    const body = await readBody(request)
    if (body === undefined) {
      response.writeHead(413, { connection: 'close' }).end()
      return
    }
    const answered = await options.onRequest({
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      body,
      peer: request.socket.remoteAddress ?? '',
    })
    response.writeHead(answered.status, answered.headers).end(answered.body)
  } catch {
    // Internals never go on the wire.
    if (!response.headersSent) response.writeHead(500)
    response.end()
  }
}

async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request) {
    length += (part as Buffer).length
    if (length > requestBytesMax) return undefined
    parts.push(part as Buffer)
  }
  return new Uint8Array(Buffer.concat(parts))
}
