/**
 * The Connection port over a `ws` socket, used by both ends. Frames with data are put together here: all that one turn of the loop has for
 * a connection is one write.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Connection, ConnectionHandlers } from '@parley/core'
import type { RawData, WebSocket } from 'ws'
import { frameLength, joinFrames } from './frames.ts'

// A reason is at most 123 octets (RFC 6455 §5.5).
const reasonCharactersMax = 120
/** How long a peer may take to answer a close before the socket is cut. */
const closeTimeoutMs = 2000
/** What is more than this is written at once. */
const writeBytesMax = 128 * 1024

/** A connection: one record and few functions, because a server has many that do nothing for long. */
type Open = { -readonly [K in keyof Connection]: Connection[K] } & {
  handlers: ConnectionHandlers | undefined
  /** Frames that came before anybody took them. */
  waiting: Uint8Array[] | undefined
  closed: { readonly code: number; readonly reason: string } | undefined
  readonly out: Out
}

type ConnectionOptions = { readonly peer: string; readonly raw?: Duplex; readonly earlyBytesMax?: number | undefined }

/** `raw` is what the server's socket writes to; a client, whose frames are masked, learns that when it is connected. */
export function createConnection(socket: WebSocket, { peer, raw, earlyBytesMax }: ConnectionOptions): Connection {
  const onDrain = (): void => {
    if (open.closed === undefined) open.handlers?.onDrain?.()
  }
  const values: Omit<Open, 'bufferedBytes'> = {
    subprotocol: socket.protocol,
    peer,
    handlers: undefined,
    waiting: undefined,
    closed: undefined,
    out: { socket, raw, isMasked: raw === undefined, frames: [], bytes: 0 },
    start(given) {
      open.handlers = given
      const early = open.waiting ?? []
      open.waiting = undefined
      for (const frame of early) given.onFrame(frame)
      if (open.closed !== undefined) given.onClose(open.closed.code, open.closed.reason)
    },
    send(frame) {
      if (socket.readyState === socket.OPEN) send(open.out, frame)
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    admit: ignore,
    close(code, reason) {
      flush(open.out)
      socket.close(code, reason.slice(0, reasonCharactersMax))
      // A paused or dead peer never answers the close frame.
      const timer = setTimeout(() => socket.terminate(), closeTimeoutMs)
      timer.unref()
      socket.once('close', () => clearTimeout(timer))
    },
  }
  // One getter for all: V8 keeps an object with a getter of its own as a dictionary.
  const open: Open = Object.defineProperty(values, 'bufferedBytes', bufferedBytes) as Open

  raw?.on('drain', onDrain)
  if (raw !== undefined && earlyBytesMax !== undefined) boundEarly(open, raw, earlyBytesMax)
  socket.binaryType = 'nodebuffer'
  // Text frames are no part of the protocol; as octets they fail as any other malformed frame does.
  socket.on('message', (data: RawData) => {
    const frame = octets(data)
    if (open.handlers !== undefined) open.handlers.onFrame(frame)
    else if (open.waiting === undefined) open.waiting = [frame]
    else open.waiting.push(frame)
  })
  socket.on('close', (code: number, reason: Buffer) => {
    open.closed = { code, reason: reason.toString('utf8') }
    open.handlers?.onClose(open.closed.code, open.closed.reason)
  })
  // A dialled one knows what was chosen when it is open.
  if (raw === undefined) {
    socket.once('upgrade', ({ socket: wire }) => {
      open.out.raw = wire
      wire.on('drain', onDrain)
    })
    socket.once('open', () => (open.subprotocol = socket.protocol))
  }
  // 'close' follows every error; without a listener an error would end the process.
  socket.on('error', ignore)
  return open
}

/**
 * The socket puts a frame together in memory until it has all of it, for anybody. Octets are counted as they come, so that no more than
 * these wait of one who has not proved anything; nothing is left of it afterwards.
 */
function boundEarly(open: Open, raw: Duplex, bytesMax: number): void {
  let left = bytesMax
  const stop = (): void => {
    raw.off('data', count)
    open.admit = ignore
  }
  const count = (octets: Uint8Array): void => {
    left -= octets.length
    if (left >= 0) return
    stop()
    open.pause()
    open.resume = ignore
    if (open.handlers?.onExcess === undefined) open.close(1009, '')
    else open.handlers.onExcess()
  }
  raw.on('data', count)
  open.admit = stop
}

const bufferedBytes: PropertyDescriptor & ThisType<Open> = {
  get() {
    const { out } = this
    return out.bytes + (out.raw?.writableLength ?? 0)
  },
  enumerable: true,
}

/** Where frames go. */
type Out = {
  readonly socket: WebSocket
  raw: Duplex | undefined
  readonly isMasked: boolean
  /** Frames that wait for the end of this turn, and their octets on the wire. */
  readonly frames: Uint8Array[]
  bytes: number
}

// Connections with frames that wait for the end of this turn.
let due: Out[] = []

function flushAll(): void {
  const now = due
  due = []
  for (const out of now) flush(out)
}

function send(out: Out, frame: Uint8Array): void {
  if (out.frames.length === 0) {
    if (due.length === 0) setImmediate(flushAll)
    due.push(out)
  }
  out.frames.push(frame)
  out.bytes += frameLength(frame.length, out.isMasked)
  if (out.bytes > writeBytesMax) flush(out)
}

function flush(out: Out): void {
  const { socket, raw, frames } = out
  if (frames.length === 0) return
  const octets = joinFrames(frames, out)
  frames.length = 0
  out.bytes = 0
  // Nothing comes behind a close frame.
  if (socket.readyState === socket.OPEN) raw?.write(octets)
}

function ignore(): void {}

function octets(data: RawData): Uint8Array {
  const buffer = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data)
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
