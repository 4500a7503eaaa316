/**
 * What every implementation of a port must do, as named cases that any test runner can loop over:
 * `for (const c of storeCases) it(c.name, () => c.run(open))`. A case throws when the implementation is wrong.
 * @module
 */
import { fromUtf8, utf8 } from '../bytes.ts'
import { assert } from '../errors.ts'
import type { Connection, Store, Transport } from '../ports.ts'

export type StoreCase = { readonly name: string; run(store: Store): Promise<void> }

const put = (key: string, text: string) => ({ type: 'put', key, value: utf8(text) }) as const
const keysOf = async (store: Store, range: Parameters<Store['iterate']>[0]): Promise<string> => {
  const keys: string[] = []
  for await (const [key] of store.iterate(range)) keys.push(key)
  return keys.join(' ')
}

export const storeCases: readonly StoreCase[] = [
  {
    name: 'answers undefined for an absent key',
    async run(store) {
      assert((await store.get('absent')) === undefined, 'get')
      assert((await store.getMany(['absent']))[0] === undefined, 'getMany')
    },
  },
  {
    name: 'reads what a batch wrote, as plain octets',
    async run(store) {
      await store.batch([put('a', 'one'), put('b', 'two')], { durable: true })
      const [a, b] = await store.getMany(['a', 'b'])
      assert(a !== undefined && b !== undefined && fromUtf8(a) === 'one' && fromUtf8(b) === 'two', 'values')
      assert(Object.getPrototypeOf(a) === Uint8Array.prototype, 'a plain Uint8Array')
    },
  },
  {
    name: 'applies the operations of a batch in order',
    async run(store) {
      await store.batch([put('a', 'one'), { type: 'del', key: 'a' }, put('b', 'x'), put('b', 'y')], { durable: false })
      const b = await store.get('b')
      assert((await store.get('a')) === undefined && b !== undefined && fromUtf8(b) === 'y', 'order')
    },
  },
  {
    name: 'iterates ranges in key order, both ways, with limits',
    async run(store) {
      await store.batch(
        ['d', 'b', 'a', 'c', 'e'].map((key) => put(key, key)),
        { durable: true },
      )
      assert((await keysOf(store, {})) === 'a b c d e', 'all')
      assert((await keysOf(store, { gt: 'a', lt: 'e' })) === 'b c d', 'open')
      assert((await keysOf(store, { gte: 'b', lte: 'd' })) === 'b c d', 'closed')
      assert((await keysOf(store, { reverse: true, limit: 2 })) === 'e d', 'reverse')
      assert((await keysOf(store, { gte: 'x' })) === '', 'empty')
    },
  },
  {
    name: 'iterates the range as it was when the iteration began',
    async run(store) {
      await store.batch([put('a', '1'), put('b', '2')], { durable: true })
      const seen: string[] = []
      for await (const [key] of store.iterate({})) {
        seen.push(key)
        if (key === 'a') await store.batch([put('aa', '3'), { type: 'del', key: 'b' }], { durable: true })
      }
      assert(seen.join(' ') === 'a b', 'a snapshot')
    },
  },
  {
    name: 'clears a range and nothing else',
    async run(store) {
      await store.batch(
        ['a/1', 'a/2', 'b/1'].map((key) => put(key, key)),
        { durable: true },
      )
      await store.clear({ gte: 'a/', lt: 'a0' })
      assert((await keysOf(store, {})) === 'b/1', 'clear')
      await store.compact({ gte: 'a/', lt: 'a0' })
      assert((await store.stats()).bytes >= 0, 'stats')
    },
  },
  {
    name: 'refuses work after close with a coded error',
    async run(store) {
      await store.close()
      let code: unknown
      try {
        await store.get('a')
      } catch (error) {
        code = (error as { code?: unknown }).code
      }
      assert(code === 'ERR_CORE_STORE_CLOSED', 'code')
    },
  },
]

export type TransportCase = {
  readonly name: string
  run(parts: { readonly transport: Transport; url(port: number): string }): Promise<void>
}

const listenDefaults = { port: 0, frameBytesMax: 1000, host: '127.0.0.1' } as const

export const transportCases: readonly TransportCase[] = [
  {
    name: 'carries frames both ways in order, also those sent before start',
    async run({ transport, url }) {
      const echo = (connection: Connection): void => {
        connection.send(utf8('first'))
        connection.start({ onFrame: (frame) => connection.send(frame), onClose() {} })
      }
      const listener = await transport.listen({ ...listenDefaults, subprotocols: ['x.1'], onConnection: echo })
      const connection = await transport.dial(url(listener.port), { subprotocols: ['x.1'], frameBytesMax: 1000, timeoutMs: 5000 })
      const seen: string[] = []
      await new Promise<void>((done) => {
        connection.start({
          onFrame(frame) {
            seen.push(fromUtf8(frame) ?? '?')
            if (seen.length === 3) connection.close(1000, 'bye')
          },
          onClose: () => done(),
        })
        connection.send(utf8('a'))
        connection.send(utf8('b'))
      })
      await listener.close()
      assert(seen.join(' ') === 'first a b' && connection.subprotocol === 'x.1', 'frames in order')
    },
  },
  {
    name: 'tells the peer the code and the reason of a close, once',
    async run({ transport, url }) {
      let closed = ''
      let tell: () => void = () => {}
      const told = new Promise<void>((done) => {
        tell = done
      })
      const listener = await transport.listen({
        ...listenDefaults,
        subprotocols: ['x.1'],
        onConnection: (connection) =>
          connection.start({
            onFrame() {},
            onClose(code, reason) {
              closed += `${code} ${reason};`
              tell()
            },
          }),
      })
      const connection = await transport.dial(url(listener.port), { subprotocols: ['x.1'], frameBytesMax: 1000, timeoutMs: 5000 })
      connection.start({ onFrame() {}, onClose() {} })
      connection.close(4001, 'a-reason')
      await told
      connection.send(utf8('into the void'))
      await listener.close()
      assert(closed === '4001 a-reason;', 'close code and reason')
    },
  },
  {
    name: 'reads no more than it may of an accepted connection before it is admitted, and all of it after',
    async run({ transport, url }) {
      const seen: string[] = []
      let tell: () => void = () => {}
      const listener = await transport.listen({
        ...listenDefaults,
        earlyBytesMax: 600,
        subprotocols: ['x.1'],
        onConnection: (connection) =>
          connection.start({
            onFrame(frame) {
              seen.push(`${frame.length}`)
              if (frame.length > 1) return
              connection.admit()
              connection.send(frame)
            },
            onClose() {
              seen.push('closed')
              tell()
            },
            onExcess() {
              seen.push('excess')
              connection.resume()
              connection.close(4001, 'excess')
            },
          }),
      })
      // What is sent when it is let in comes after `lengths`.
      const knock = async (lengths: readonly number[]): Promise<string> => {
        const closed = new Promise<void>((done) => {
          tell = done
        })
        const connection = await transport.dial(url(listener.port), {
          subprotocols: ['x.1'],
          frameBytesMax: 1000,
          timeoutMs: 5000,
        })
        connection.start({
          onFrame() {
            for (const length of [900, 800]) connection.send(new Uint8Array(length))
            connection.close(1000, '')
          },
          onClose() {},
        })
        for (const length of lengths) connection.send(new Uint8Array(length))
        await closed
        return seen.splice(0).join(' ')
      }
      const admitted = await knock([500, 1])
      const refused = await knock([900, 900])
      await listener.close()
      assert(admitted === '500 1 900 800 closed', 'all that an admitted one sends')
      // What was read already may still come.
      assert(refused.includes('excess') && refused.endsWith('closed'), 'not all of one that brings too much')
    },
  },
  {
    name: 'closes a connection that brings too much where nobody hears of it',
    async run({ transport, url }) {
      let code = 0
      const listener = await transport.listen({
        ...listenDefaults,
        earlyBytesMax: 100,
        subprotocols: ['x.1'],
        onConnection: (connection) => connection.start({ onFrame() {}, onClose() {} }),
      })
      const connection = await transport.dial(url(listener.port), { subprotocols: ['x.1'], frameBytesMax: 1000, timeoutMs: 5000 })
      await new Promise<void>((done) => {
        connection.start({
          onFrame() {},
          onClose(given) {
            code = given
            done()
          },
        })
        connection.send(new Uint8Array(900))
      })
      await listener.close()
      assert(code === 1009, 'close code')
    },
  },
  {
    name: 'fails a dial to a closed port with a coded, retryable error',
    async run({ transport, url }) {
      const listener = await transport.listen({ ...listenDefaults, subprotocols: ['x.1'], onConnection() {} })
      await listener.close()
      let error: { code?: unknown; retryable?: unknown } = {}
      try {
        await transport.dial(url(listener.port), { subprotocols: ['x.1'], frameBytesMax: 1000, timeoutMs: 5000 })
      } catch (thrown) {
        error = thrown as typeof error
      }
      assert(error.code === 'ERR_CORE_DIAL_FAILED' && error.retryable === true, 'coded and retryable')
    },
  },
  {
    name: 'answers HTTP requests and bounds their size',
    async run({ transport, url }) {
      const listener = await transport.listen({
        ...listenDefaults,
        subprotocols: ['x.1'],
        onConnection() {},
        onRequest: async ({ path }) => ({ status: 200, body: utf8(path) }),
      })
      const http = url(listener.port).replace(/^ws/, 'http')
      const ask = { bytesMax: 100, timeoutMs: 5000, allowAddress: () => true }
      const { status, body } = await transport.request(`${http}/.well-known/parley`, ask)
      assert(status === 200 && fromUtf8(body) === '/.well-known/parley', 'answer')
      let code: unknown
      try {
        await transport.request(`${http}/.well-known/parley`, { ...ask, bytesMax: 3 })
      } catch (thrown) {
        code = (thrown as { code?: unknown }).code
      }
      await listener.close()
      assert(code === 'ERR_CORE_REQUEST_FAILED', 'bounded')
    },
  },
]
