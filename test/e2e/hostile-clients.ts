/**
 * Clients that mean harm, each a loop of one kind of attack on a relay's port. They stop when told to, are bounded in number, and
 * count what they did; what the relay answers does not matter to them.
 * @module
 */
import { randomBytes, randomInt } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { c2sProtocol, s2sProtocol } from '@parley/stream'
import { WebSocket } from 'ws'
import { enter, frame, makeDevice, type RawDevice, type Wire } from './raw-device.ts'

export type Attack = { readonly name: string; run(target: Target): Promise<number> }

export type Target = {
  readonly url: string
  readonly port: number
  readonly domain: string
  /** Attacks end when this is aborted. */
  readonly signal: AbortSignal
}

/** A turn of the loop, so that several attacks share this process. */
const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

/** Opens a socket, does something with it, and waits until it is gone or `ms` have passed. */
function withSocket(port: number, act: (socket: Socket) => void, ms: number): Promise<void> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => socket.destroy(), ms)
    socket.on('error', () => {})
    socket.resume()
    socket.once('connect', () => act(socket))
    socket.once('close', () => {
      clearTimeout(timer)
      done()
    })
  })
}

/** Opens a WebSocket, does something with it once it is open, and waits until it is gone or `ms` have passed. */
function withWebSocket(
  url: string,
  act: (socket: WebSocket) => void,
  {
    ms,
    deflate = false,
    subprotocol = c2sProtocol,
  }: { readonly ms: number; readonly deflate?: boolean; readonly subprotocol?: string },
): Promise<void> {
  return new Promise((done) => {
    const socket = new WebSocket(url, [subprotocol], { perMessageDeflate: deflate })
    const timer = setTimeout(() => socket.terminate(), ms)
    socket.on('error', () => {})
    socket.once('open', () => act(socket))
    socket.once('close', () => {
      clearTimeout(timer)
      done()
    })
  })
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((done) => signal.addEventListener('abort', done, { once: true }))
}

async function loop({ signal }: Target, work: () => Promise<unknown>): Promise<number> {
  let count = 0
  while (!signal.aborted) {
    await work()
    count++
    await turn()
  }
  return count
}

const noises: readonly (() => string | Buffer)[] = [
  () => randomBytes(randomInt(1, 4000)),
  () => '{"t":"login","jws":"' + 'A'.repeat(randomInt(1, 3000)) + '"}\n',
  () => frame({ t: 'register', jws: 'a.b.c', card: 'x'.repeat(1000), statement: '' }),
  () => `{"t":${'['.repeat(randomInt(1, 2000))}\n`,
  () => frame({ t: 'stanza', c: 1, n: 1, id: 'x', entries: Array.from({ length: 500 }, () => ['*', 1e9]) }),
  () => frame({ t: 'ack', epoch: 'AAAAAAAAAAA', h: Number.MAX_SAFE_INTEGER }),
  () => '\n'.repeat(randomInt(1, 4000)),
  () => randomBytes(5000),
]

const broken: readonly (() => string)[] = [
  () => 'GET / HTTP/1.1\r\n',
  () => `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  () => `GET / HTTP/1.1\r\nHost: x\r\n${'X-Filler: y\r\n'.repeat(3000)}\r\n`,
  () =>
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n',
  () =>
    `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${c2sProtocol}\r\n\r\n`,
  () => 'POST /.well-known/parley/stanza HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n',
  () => 'POST /.well-known/parley/stanza HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\n',
  () => `\u0000${randomBytes(300).toString('latin1')}\r\n\r\n`,
]

function pick<T>(list: readonly (() => T)[]): T {
  return (list[randomInt(list.length)] ?? list[0])?.() as T
}

/** The handshake of a WebSocket by hand, on a plain socket. */
const handshake = (subprotocol: string, extra = ''): string =>
  `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n${extra}\r\n`

/** One frame of RFC 6455 §5.2 with a mask, its header as wrong as asked for. */
function webSocketFrame(first: number, length: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(14)
  head[0] = first
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}

/** Talks as a device that is logged in, and comes back whenever the relay has ended its connection; counts what was taken of it. */
async function talking(
  target: Target,
  name: string,
  act: { begin?(wire: Wire): void; say(wire: Wire, device: RawDevice, count: number): Promise<boolean> },
): Promise<number> {
  const device = makeDevice(`${name}@${target.domain}`)
  const over = aborted(target.signal)
  let count = 0
  while (!target.signal.aborted) {
    const entered = enter(target.url, device, count === 0 ? 'register' : 'login').catch(() => undefined)
    const wire = await Promise.race([entered, over.then(() => undefined)])
    wire?.closed.catch(() => {})
    if (wire !== undefined) act.begin?.(wire)
    while (wire !== undefined && !target.signal.aborted && (await Promise.race([act.say(wire, device, count), over])) === true) {
      count++
      await turn()
    }
    wire?.close()
    await turn()
  }
  return count
}

/** Every attack; each is meant to run beside the others. */
export const attacks: readonly Attack[] = [
  {
    name: 'noise before login',
    run: (target) =>
      loop(target, () => withWebSocket(target.url, (socket) => socket.send(pick<string | Buffer>(noises)), { ms: 1000 })),
  },
  {
    name: 'noise between relays',
    run: (target) =>
      loop(target, () =>
        withWebSocket(target.url, (socket) => socket.send(pick<string | Buffer>(noises)), { ms: 1000, subprotocol: s2sProtocol }),
      ),
  },
  {
    name: 'broken handshakes',
    run: (target) => loop(target, () => withSocket(target.port, (socket) => void socket.write(pick(broken), 'latin1'), 500)),
  },
  {
    name: 'half-open sockets',
    async run(target) {
      const sockets = Array.from({ length: 100 }, () =>
        withSocket(target.port, (socket) => void socket.write(handshake(c2sProtocol).slice(0, 60)), 60_000),
      )
      const silent = Array.from({ length: 50 }, () => withWebSocket(target.url, () => {}, { ms: 60_000 }))
      // The relay ends them; until then they take a place and say nothing.
      await Promise.race([Promise.all([...sockets, ...silent]), aborted(target.signal)])
      return sockets.length + silent.length
    },
  },
  {
    name: 'compression bombs',
    run: (target) =>
      loop(target, async () => {
        // A relay that agrees to compression would unpack this into 10 MiB.
        const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024))
        await withWebSocket(target.url, (socket) => socket.send(Buffer.alloc(200_000), { compress: true }), {
          ms: 500,
          deflate: true,
        })
        await withSocket(
          target.port,
          (socket) => {
            socket.write(handshake(c2sProtocol, 'Sec-WebSocket-Extensions: permessage-deflate\r\n'))
            socket.write(webSocketFrame(0xc2, bomb.length, bomb))
          },
          500,
        )
        await withSocket(
          target.port,
          (socket) => {
            socket.write(
              `POST /.well-known/parley/stanza HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`,
            )
            socket.write(bomb)
          },
          500,
        )
      }),
  },
  {
    name: 'frames of any length',
    run: (target) =>
      loop(target, () =>
        withSocket(
          target.port,
          (socket) => {
            socket.write(handshake(c2sProtocol))
            socket.write(webSocketFrame(randomInt(256), 2 ** randomInt(5, 48), randomBytes(randomInt(1, 60_000))))
          },
          300,
        ),
      ),
  },
  {
    name: 'connection storms',
    run: (target) =>
      loop(target, () =>
        Promise.all(Array.from({ length: 40 }, () => withWebSocket(target.url, (socket) => socket.terminate(), { ms: 1000 }))),
      ),
  },
  {
    name: 'floods after login',
    run: (target) =>
      talking(target, 'flooder', {
        // Questions about nobody, as fast as the socket takes them.
        say(wire, _, count) {
          for (let i = 0; i < 50; i++)
            wire.send(
              frame({ t: 'request', id: `${count} ${i}`, what: 'cards' }, `{"address":"x${i}@${target.domain}","since":0}`),
            )
          return wire.sent(frame({ t: 'ping' }))
        },
      }),
  },
  {
    name: 'slow readers',
    run: (target) =>
      talking(target, 'slowreader', {
        // Answers of some size, asked for and never read.
        begin: (wire) => wire.pause(),
        say(wire, { address }, count) {
          for (let i = 0; i < 16; i++)
            wire.send(frame({ t: 'request', id: `${count} ${i}`, what: 'cards' }, `{"address":"${address}","since":0}`))
          return wire.sent(frame({ t: 'ping' }))
        },
      }),
  },
]
