/**
 * What others ask over HTTP whether the relay is well: `/healthz` and `/readyz` beside the WebSockets, `/metrics` on an address of its own.
 * @module
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CoreError, type HttpResponse, type Listener, type ListenOptions, utf8 } from '@parley/core'
import type { Metrics } from './metrics.ts'

/** Why a relay is not ready; empty when it is. */
export type Readiness = () => readonly string[]

/** Answers the two paths before the relay sees a request. */
export function withHealth(options: ListenOptions, readiness: Readiness): ListenOptions {
  return {
    ...options,
    async onRequest(request) {
      const { path, method } = request
      if (path === '/healthz' || path === '/readyz') {
        if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' }, body: utf8('') }
        return health(path === '/healthz' ? [] : readiness())
      }
      return (await options.onRequest?.(request)) ?? { status: 404, body: utf8('') }
    },
  }
}

function health(reasons: readonly string[]): HttpResponse {
  return {
    status: reasons.length === 0 ? 200 : 503,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
    body: utf8(`${reasons.length === 0 ? 'ok' : reasons.join('\n')}\n`),
  }
}

/** Serves `/metrics`. It is no place for the public: it tells other domains' names, and how much there is. */
export async function listenAdmin(metrics: Metrics, at: { readonly host: string; readonly port: number }): Promise<Listener> {
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(request.url === '/metrics' ? 405 : 404).end()
      return
    }
    try {
      const { type, text } = await metrics.page()
      response.writeHead(200, { 'content-type': type }).end(text)
    } catch {
      response.writeHead(500).end()
    }
  })
  await new Promise<void>((listening, failed) => {
    server.once('error', (cause) =>
      failed(new CoreError('ERR_CORE_LISTEN_FAILED', 'cannot listen on the admin address', { cause })),
    )
    server.listen(at, listening)
  })
  return {
    // A TCP server that listens has an AddressInfo.
    port: (server.address() as AddressInfo).port,
    close() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      return closed
    },
  }
}
