/**
 * The floors: a WebSocket server that only forwards, and the same with one LevelDB write for each message, in synced
 * batches of one turn. No authentication, no federation, no limits. Run by itself it is the server; imported it is the client.
 * @module
 */
import { fileURLToPath } from 'node:url'
import { Level } from 'level'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Client, dialWebSocket, type Service, startNode } from './relay-service.ts'

// The first octet says what follows: who I am, a message for somebody, "taken over", "handled up to".
const [isLogin, isMessage, isAccepted, isHandled] = [0, 1, 2, 3]

function u32(kind: number, value: number, body?: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + (body?.length ?? 0))
  frame[0] = kind
  frame.writeUInt32BE(value, 1)
  if (body !== undefined) frame.set(body, 5)
  return frame
}

/** The client side of a floor. */
export async function startFloor(folder: string | undefined): Promise<Service> {
  const { port, ...server } = await startNode([fileURLToPath(import.meta.url), ...(folder === undefined ? [] : [folder])])
  return {
    ...server,
    port,
    name: folder === undefined ? 'bare ws forwarder' : 'bare ws + LevelDB',
    stores: folder !== undefined,
    connect: (id, listener) =>
      new Promise<Client>((resolve, reject) => {
        const socket = dialWebSocket(`ws://127.0.0.1:${port}`)
        const closed = new Promise<void>((done) => socket.once('close', () => done()))
        socket.once('error', reject)
        socket.on('message', (frame: Buffer) => {
          if (frame[0] === isAccepted) listener.accepted?.(frame.readUInt32BE(1))
          else {
            listener.message?.(frame.subarray(5))
            if (folder !== undefined) socket.send(u32(isHandled, frame.readUInt32BE(1)))
          }
        })
        socket.once('open', () => {
          socket.send(u32(isLogin, id))
          resolve({
            send: (to, body) => socket.send(u32(isMessage, to, body)),
            async close() {
              socket.close()
              await closed
            },
          })
        })
      }),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv[2])

async function serve(folder: string | undefined): Promise<void> {
  const store: Level<string, Buffer> | undefined =
    folder === undefined ? undefined : new Level<string, Buffer>(folder, { valueEncoding: 'buffer' })
  await store?.open()
  const online = new Map<number, WebSocket>()
  let written = 0
  let waiting: { readonly from: WebSocket; readonly to: number; readonly n: number; readonly frame: Buffer }[] = []
  let writing = false
  const key = (to: number, n: number): string => `${String(to).padStart(8, '0')} ${String(n).padStart(12, '0')}`

  // One synced batch for all that came in while the one before was written.
  const write = async (): Promise<void> => {
    writing = true
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      await store?.batch(
        group.map(({ to, n, frame }) => ({ type: 'put' as const, key: key(to, n), value: frame })),
        { sync: true },
      )
      const accepted = new Map<WebSocket, number>()
      for (const { from, to, frame } of group) {
        accepted.set(from, (accepted.get(from) ?? 0) + 1)
        online.get(to)?.send(frame)
      }
      for (const [from, count] of accepted) from.send(u32(isAccepted, count))
    }
    writing = false
  }

  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  server.on('connection', (socket) => {
    let id = -1
    socket.on('message', async (frame: Buffer) => {
      const value = frame.readUInt32BE(1)
      if (frame[0] === isLogin) {
        id = value
        if (store !== undefined)
          for await (const [, stored] of store.iterator({ gte: key(id, 0), lt: key(id + 1, 0) })) socket.send(stored)
        online.set(id, socket)
      } else if (frame[0] === isHandled) void store?.del(key(id, value))
      else if (store === undefined) online.get(value)?.send(frame)
      else {
        const n = ++written
        const stored = Buffer.from(frame)
        stored.writeUInt32BE(n, 1)
        waiting.push({ from: socket, to: value, n, frame: stored })
        if (!writing) void write()
      }
    })
    socket.on('close', () => {
      if (online.get(id) === socket) online.delete(id)
    })
  })
  server.on('listening', () => {
    const address = server.address()
    process.stdout.write(`floor port=${typeof address === 'object' ? address?.port : ''}\n`)
  })
}
