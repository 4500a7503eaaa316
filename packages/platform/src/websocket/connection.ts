/**
 * The Connection port over a `ws` socket, used by both ends.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Connection, ConnectionHandlers } from '@parley/core'
import type { RawData, WebSocket } from 'ws'

// A reason is at most 123 octets (RFC 6455 §5.5).
const reasonCharactersMax = 120
/** How long a peer may take to answer a close before the socket is cut. */
const closeTimeoutMs = 2000

export function createConnection(socket: WebSocket, peer: string): Connection {
  let handlers: ConnectionHandlers | undefined
  let waiting: Uint8Array[] = []
  let closed: { readonly code: number; readonly reason: string } | undefined
  let wire: Duplex | undefined
  let isCorked = false

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

  // A dialled one tells what it stands on; those of a server are not corked.
  socket.once('upgrade', (response) => {
    wire = response.socket
  })
  socket.binaryType = 'nodebuffer'
  socket.on('message', (data: RawData, isBinary: boolean) => {
    // Text frames are no part of the protocol; as octets they fail as any other malformed frame does.
    void isBinary
    const frame = octets(data)
    if (handlers === undefined) waiting.push(frame)
    else handlers.onFrame(frame)
  })
  socket.on('close', (code: number, reason: Buffer) => {
    closed = { code, reason: reason.toString('utf8') }
    handlers?.onClose(closed.code, closed.reason)
  })
  // 'close' follows every error; without a listener an error would end the process.
  socket.on('error', () => {})

  return {
    get subprotocol() {
      return socket.protocol
    },
    peer,
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    start(given) {
      handlers = given
      const early = waiting
      waiting = []
      for (const frame of early) given.onFrame(frame)
      if (closed !== undefined) given.onClose(closed.code, closed.reason)
    },
    send(frame) {
      if (socket.readyState !== socket.OPEN) return
      cork()
      socket.send(frame, { binary: true }, () => {
        if (socket.bufferedAmount === 0 && closed === undefined) handlers?.onDrain?.()
      })
    },
    pause() {
      socket.pause()
    },
    resume() {
      socket.resume()
    },
    close(code, reason) {
      socket.close(code, reason.slice(0, reasonCharactersMax))
      // A paused or dead peer never answers the close frame.
      const timer = setTimeout(() => socket.terminate(), closeTimeoutMs)
      timer.unref()
      socket.once('close', () => clearTimeout(timer))
    },
  }
}

function octets(data: RawData): Uint8Array {
  const buffer = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data)
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
