/**
 * The Connection port over a `ws` socket, used by both ends. A server's frames are not masked, so they are put together here: all that
 * one turn of the loop has for a connection is one write.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Connection, ConnectionHandlers } from '@parley/core'
import type { RawData, WebSocket } from 'ws'

// A reason is at most 123 octets (RFC 6455 §5.5).
const reasonCharactersMax = 120
/** How long a peer may take to answer a close before the socket is cut. */
const closeTimeoutMs = 2000
/** What is more than this is written at once. */
const writeBytesMax = 128 * 1024

/** `raw` is what the server's socket writes to; a client has none, because its frames are masked. */
export function createConnection(socket: WebSocket, { peer, raw }: { readonly peer: string; readonly raw?: Duplex }): Connection {
  let handlers: ConnectionHandlers | undefined
  let waiting: Uint8Array[] | undefined
  let closed: { readonly code: number; readonly reason: string } | undefined

  socket.binaryType = 'nodebuffer'
  // Text frames are no part of the protocol; as octets they fail as any other malformed frame does.
  socket.on('message', (data: RawData) => {
    const frame = octets(data)
    if (handlers !== undefined) handlers.onFrame(frame)
    else if (waiting === undefined) waiting = [frame]
    else waiting.push(frame)
  })
  socket.on('close', (code: number, reason: Buffer) => {
    closed = { code, reason: reason.toString('utf8') }
    handlers?.onClose(closed.code, closed.reason)
  })
  // 'close' follows every error; without a listener an error would end the process.
  socket.on('error', ignore)
  const onDrain = (): void => {
    if (closed === undefined) handlers?.onDrain?.()
  }
  const out = raw === undefined ? createMaskedOut(socket, onDrain) : createOut(raw, { socket, onDrain })

  return {
    get subprotocol() {
      return socket.protocol
    },
    peer,
    get bufferedBytes() {
      return out.bytes
    },
    start(given) {
      handlers = given
      const early = waiting ?? []
      waiting = undefined
      for (const frame of early) given.onFrame(frame)
      if (closed !== undefined) given.onClose(closed.code, closed.reason)
    },
    send(frame) {
      if (socket.readyState === socket.OPEN) out.send(frame)
    },
    pause() {
      socket.pause()
    },
    resume() {
      socket.resume()
    },
    close(code, reason) {
      out.flush()
      socket.close(code, reason.slice(0, reasonCharactersMax))
      // A paused or dead peer never answers the close frame.
      const timer = setTimeout(() => socket.terminate(), closeTimeoutMs)
      timer.unref()
      socket.once('close', () => clearTimeout(timer))
    },
  }
}

/** Where frames go. */
interface Out {
  /** Octets that wait. */
  readonly bytes: number
  send(frame: Uint8Array): void
  flush(): void
}

function createMaskedOut(socket: WebSocket, onDrain: () => void): Out {
  let wire: Duplex | undefined
  let isCorked = false
  // A dialled one tells what it stands on.
  socket.once('upgrade', (response) => {
    wire = response.socket
  })
  const sent = (): void => {
    if (socket.bufferedAmount === 0) onDrain()
  }

  // Frames of one turn leave together: each alone would be a call of the system.
  const cork = (): void => {
    if (wire === undefined || isCorked) return
    const corked = wire
    isCorked = true
    corked.cork()
    process.nextTick(() => {
      isCorked = false
      corked.uncork()
    })
  }
  return {
    get bytes() {
      return socket.bufferedAmount
    },
    send(frame) {
      cork()
      socket.send(frame, { binary: true }, sent)
    },
    flush() {},
  }
}

// Connections with frames that wait for the end of this turn.
let due: (() => void)[] = []

function flushAll(): void {
  const now = due
  due = []
  for (const flush of now) flush()
}

function createOut(raw: Duplex, { socket, onDrain }: { readonly socket: WebSocket; readonly onDrain: () => void }): Out {
  let frames: Uint8Array[] = []
  let bytes = 0
  raw.on('drain', onDrain)

  const flush = (): void => {
    if (frames.length === 0) return
    const isOpen = socket.readyState === socket.OPEN
    const octets = Buffer.allocUnsafe(bytes)
    let at = 0
    for (const frame of frames) {
      at = writeHead(octets, at, frame.length)
      octets.set(frame, at)
      at += frame.length
    }
    frames = []
    bytes = 0
    // Nothing comes behind a close frame.
    if (isOpen) raw.write(octets)
  }
  return {
    get bytes() {
      return bytes + raw.writableLength
    },
    send(frame) {
      if (frames.length === 0) {
        if (due.length === 0) setImmediate(flushAll)
        due.push(flush)
      }
      frames.push(frame)
      bytes += headLength(frame.length) + frame.length
      if (bytes > writeBytesMax) flush()
    },
    flush,
  }
}

function headLength(length: number): number {
  return length < 126 ? 2 : length < 0x10000 ? 4 : 10
}

// RFC 6455 §5.2: one binary frame, whole, not masked.
function writeHead(octets: Buffer, at: number, length: number): number {
  octets[at] = 0x82
  if (length < 126) {
    octets[at + 1] = length
    return at + 2
  }
  if (length < 0x10000) {
    octets[at + 1] = 126
    return octets.writeUInt16BE(length, at + 2)
  }
  octets[at + 1] = 127
  octets.writeUInt32BE(0, at + 2)
  return octets.writeUInt32BE(length, at + 6)
}

function ignore(): void {}

function octets(data: RawData): Uint8Array {
  const buffer = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data)
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
