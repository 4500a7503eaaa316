import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromUtf8, type Transport, utf8 } from '@parley/core'
import { storeCases, transportCases } from '@parley/core/sim'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ensurePrivateFolder, readPrivateFile, refuseHeadlessStore, writePrivateFile } from '../src/files/index.ts'
import { requestHttp } from '../src/http/index.ts'
import { openLevelStore } from '../src/level/index.ts'
import { listenWebSocket } from '../src/server/index.ts'
import { nextTurn, systemClock, systemRandom } from '../src/system/index.ts'
import { dialWebSocket } from '../src/websocket/index.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-platform-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the LevelDB store', () => {
  for (const c of storeCases) {
    it(c.name, async () => {
      const store = await openLevelStore(folder)
      await c.run(store)
      await store.close().catch(() => {})
    })
  }

  it('is refused to a second opener with a coded error', async () => {
    const store = await openLevelStore(folder)
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: 'ERR_CORE_STORE_LOCKED' })
    await store.close()
  })

  it('tells a damaged folder from other failures', async () => {
    const store = await openLevelStore(folder)
    await store.batch([{ type: 'put', key: 'a', value: utf8('1') }], { durable: true })
    await store.close()
    await writePrivateFile(join(folder, 'CURRENT'), utf8('MANIFEST-999999\n'))
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CORRUPT' })
  })
})

describe('a folder without the file that names the others', () => {
  it('is refused where there is data, and not where there is none yet', async () => {
    const inner = join(folder, 'store')
    await refuseHeadlessStore(inner)
    const store = await openLevelStore(inner)
    await store.batch([{ type: 'put', key: 'a', value: utf8('1') }], { durable: true })
    await store.close()
    await refuseHeadlessStore(inner)
    await rm(join(inner, 'CURRENT'))
    await expect(refuseHeadlessStore(inner)).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CORRUPT' })
    // Died while the first one was made.
    await ensurePrivateFolder(folder)
    await writePrivateFile(join(folder, 'MANIFEST-000001'), utf8(''))
    await refuseHeadlessStore(folder)
  })
})

const transport: Transport = { dial: dialWebSocket, listen: listenWebSocket, request: requestHttp }

describe('the WebSocket and HTTP transport', () => {
  for (const c of transportCases) it(c.name, () => c.run({ transport, url: (port) => `ws://127.0.0.1:${port}` }))

  it('refuses frames over the limit by ending the connection', async () => {
    let code = 0
    let tell: () => void = () => {}
    const told = new Promise<void>((done) => {
      tell = done
    })
    const listener = await listenWebSocket({
      port: 0,
      subprotocols: ['x'],
      frameBytesMax: 10,
      onConnection: (connection) =>
        connection.start({
          onFrame() {},
          onClose(given) {
            code = given
            tell()
          },
        }),
    })
    const connection = await dialWebSocket(`ws://127.0.0.1:${listener.port}`, {
      subprotocols: ['x'],
      frameBytesMax: 10,
      timeoutMs: 2000,
    })
    connection.start({ onFrame() {}, onClose() {} })
    connection.send(new Uint8Array(11))
    await told
    await listener.close()
    expect([1006, 1009]).toContain(code)
  })

  it('does not put a frame together for one who is not admitted', async () => {
    const listener = await listenWebSocket({
      port: 0,
      subprotocols: ['x'],
      frameBytesMax: 2 ** 20,
      earlyBytesMax: 4096,
      onConnection: (connection) => connection.start({ onFrame() {}, onClose() {} }),
    })
    const socket = new WebSocket(`ws://127.0.0.1:${listener.port}`, ['x'])
    const code = await new Promise<number>((closed) => {
      socket.on('close', closed)
      socket.on('open', () => socket.send(new Uint8Array(5000), { fin: false }))
    })
    await listener.close()
    expect(code).toBe(1009)
  })

  it.each(['127.0.0.1', 'localhost'])(
    'asks about the addresses of %s before it knocks there, and takes no for an answer',
    async (host) => {
      let knocks = 0
      const listener = await listenWebSocket({
        port: 0,
        subprotocols: ['x'],
        frameBytesMax: 10,
        onConnection: () => knocks++,
        onRequest: async () => {
          knocks++
          return { status: 200, body: new Uint8Array(0) }
        },
      })
      const asked: string[] = []
      const refuse = (address: string): boolean => {
        asked.push(address)
        return false
      }
      const request = { bytesMax: 10, timeoutMs: 1000 }
      const dial = { subprotocols: ['x'], frameBytesMax: 10, timeoutMs: 1000 }
      const at = `${host}:${listener.port}`
      await expect(requestHttp(`http://${at}/`, { ...request, allowAddress: refuse })).rejects.toMatchObject({
        code: 'ERR_CORE_REQUEST_FAILED',
      })
      await expect(dialWebSocket(`ws://${at}/`, { ...dial, allowAddress: refuse })).rejects.toMatchObject({
        code: 'ERR_CORE_DIAL_FAILED',
      })
      expect(asked.length).toBeGreaterThanOrEqual(2)
      expect(knocks).toBe(0)
      const onlyV4 = (address: string): boolean => address === '127.0.0.1'
      await requestHttp(`http://${at}/`, { ...request, allowAddress: onlyV4 })
      const connection = await dialWebSocket(`ws://${at}/`, { ...dial, allowAddress: onlyV4 })
      expect(knocks).toBe(2)
      connection.start({ onFrame() {}, onClose() {} })
      connection.close(1000, '')
      await listener.close()
    },
  )

  it('refuses a handshake without a common subprotocol', async () => {
    const listener = await listenWebSocket({ port: 0, subprotocols: ['x'], frameBytesMax: 10, onConnection() {} })
    await expect(
      dialWebSocket(`ws://127.0.0.1:${listener.port}`, { subprotocols: ['y'], frameBytesMax: 10, timeoutMs: 2000 }),
    ).rejects.toMatchObject({
      code: 'ERR_CORE_DIAL_FAILED',
    })
    await listener.close()
  })
})

describe('private files', () => {
  it('have mode 0600 in a folder of mode 0700', async () => {
    const inner = join(folder, 'inner')
    await ensurePrivateFolder(inner)
    await writePrivateFile(join(inner, 'key'), utf8('secret'))
    expect((await stat(inner)).mode & 0o777).toBe(0o700)
    expect((await stat(join(inner, 'key'))).mode & 0o777).toBe(0o600)
    expect(fromUtf8((await readPrivateFile(join(inner, 'key'))) ?? utf8(''))).toBe('secret')
    expect(await readPrivateFile(join(inner, 'absent'))).toBeUndefined()
  })
})

describe('the system clock and randomness', () => {
  it('calls back once and not when cancelled', async () => {
    let calls = 0
    const cancel = systemClock.at(systemClock.monotonic() + 5, () => calls++)
    cancel()
    await new Promise<void>((done) => systemClock.at(systemClock.monotonic() + 10, done))
    expect(calls).toBe(0)
  })
  it('lets promises settle before the next turn', async () => {
    let settled = 0
    void (async () => {
      for (let i = 0; i < 100; i++) await undefined
      settled++
    })()
    await nextTurn()
    expect(settled).toBe(1)
  })

  it('draws more octets than one system call gives', () => {
    expect(systemRandom.bytes(100_000).length).toBe(100_000)
    // Small draws share one of the system's; none is ever handed out twice, nor is what is left of one.
    const draws = Array.from({ length: 5000 }, (_, i) => systemRandom.bytes(8 + (i % 57)))
    expect(draws.every(({ length }, i) => length === 8 + (i % 57))).toBe(true)
    expect(new Set(draws.map((octets) => octets.slice(0, 8).join())).size).toBe(draws.length)
    expect(new Set(draws.map(({ buffer }) => buffer)).size).toBe(draws.length)
  })
})
