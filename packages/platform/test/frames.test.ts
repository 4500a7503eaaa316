import { describe, expect, it } from 'vitest'
import { createWebSocketServer } from '../src/server/index.ts'
import { frameLength, joinFrames } from '../src/websocket/frames.ts'
import { dialWebSocket } from '../src/websocket/index.ts'

const lengths = [...Array(20).keys(), 124, 125, 126, 127, 1000, 65535, 65536, 65537, 200_001]
const frames = lengths.map((length, i) => new Uint8Array(length).map((_, j) => (7 * i + j) & 0xff))

describe('frames on the wire', () => {
  it('come out of a real connection as they went in, whatever their length, in both directions', async () => {
    const server = createWebSocketServer({})
    const echoed: Uint8Array[] = []
    const listener = await server.listen({
      port: 0,
      host: '127.0.0.1',
      subprotocols: ['x'],
      frameBytesMax: 300_000,
      onConnection: (connection) =>
        connection.start({ onFrame: (frame) => connection.send(new Uint8Array(frame)), onClose() {} }),
      onRequest: async () => ({ status: 404, body: new Uint8Array(0) }),
    })
    const connection = await dialWebSocket(`ws://127.0.0.1:${listener.port}`, {
      subprotocols: ['x'],
      frameBytesMax: 300_000,
      timeoutMs: 5000,
    })
    await new Promise<void>((done) => {
      connection.start({
        onFrame(frame) {
          if (echoed.push(new Uint8Array(frame)) === frames.length) done()
        },
        onClose: () => done(),
      })
      connection.send(frames[0] as Uint8Array)
      expect(connection.bufferedBytes).toBe(6)
      for (const frame of frames.slice(1)) connection.send(frame)
    })
    expect(echoed).toEqual(frames)
    expect(connection.bufferedBytes).toBe(0)
    connection.close(1000, '')
    await listener.close()
  })

  it('are masked with a key of their own each, and leave what was sent as it is', () => {
    const same = Array.from({ length: 5000 }, () => new Uint8Array(16).fill(1))
    const octets = joinFrames(same, { bytes: same.length * frameLength(16, true), isMasked: true })
    const keys = new Set<string>()
    for (let at = 0; at < octets.length; at += 22) {
      expect([octets[at], octets[at + 1]]).toEqual([0x82, 0x80 | 16])
      const key = octets.subarray(at + 2, at + 6)
      keys.add(key.toString('hex'))
      expect([...octets.subarray(at + 6, at + 22)]).toEqual(Array.from({ length: 16 }, (_, i) => 1 ^ (key[i & 3] ?? 0)))
    }
    // Keys are drawn: with 5000 out of four octets hardly ever two are the same.
    expect(keys.size).toBeGreaterThan(4990)
    expect(same.every((frame) => frame.every((octet) => octet === 1))).toBe(true)
  })
})
