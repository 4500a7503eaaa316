import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { requestHttp } from '../src/http/index.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const guards = { bytesMax: 1000, timeoutMs: 5000, allowAddress: () => true }

describe('a guarded request', () => {
  it('takes an answer that is as large as it may be', async () => {
    const url = await serve((_, response) => void response.end('x'.repeat(1000)))
    expect((await requestHttp(url, guards)).body).toHaveLength(1000)
  })

  it('gives up an answer that is larger, also when it has no end', async () => {
    const large = await serve((_, response) => void response.end('x'.repeat(1001)))
    await expect(requestHttp(large, guards)).rejects.toMatchObject({ code: 'ERR_CORE_REQUEST_FAILED', retryable: false })
    let hungUp = (): void => {}
    const ended = new Promise<void>((done) => {
      hungUp = done
    })
    const endless = await serve((_, response) => {
      const more = (): void => void response.write('x'.repeat(100), (error) => error ?? setImmediate(more))
      response.once('close', hungUp)
      more()
    })
    await expect(requestHttp(endless, guards)).rejects.toMatchObject({ code: 'ERR_CORE_REQUEST_FAILED' })
    await ended
  })

  it('gives up an answer that takes too long, although a little comes all the time', async () => {
    const url = await serve((_, response) => {
      const timer = setInterval(() => response.write('x'), 10)
      response.once('close', () => clearInterval(timer))
    })
    await expect(requestHttp(url, { ...guards, timeoutMs: 100 })).rejects.toMatchObject({
      code: 'ERR_CORE_REQUEST_FAILED',
      retryable: true,
    })
  })

  it('follows no redirect', async () => {
    let asked = 0
    const url = await serve((request, response) => {
      asked++
      response.writeHead(302, { location: `http://${request.headers.host}/elsewhere` }).end()
    })
    expect((await requestHttp(url, guards)).status).toBe(302)
    expect(asked).toBe(1)
  })

  it('speaks HTTP only', () => {
    expect(() => requestHttp('file:///etc/passwd', guards)).toThrow(TypeError)
  })
})
