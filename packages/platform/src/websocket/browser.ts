/**
 * Dialling WebSockets with the browser's own WebSocket. A browser neither bounds frames nor stops reading; the relay's
 * window does both.
 * @module
 */
import { type Connection, type ConnectionHandlers, CoreError, type DialOptions, type Transport } from '@parley/core'

// The part of the DOM's WebSocket that is used here; packages are compiled without the DOM library.
type BrowserSocket = {
  binaryType: string
  readonly protocol: string
  readonly bufferedAmount: number
  readonly readyState: number
  send(data: Uint8Array): void
  close(code?: number, reason?: string): void
  addEventListener(
    type: string,
    listener: (event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }) => void,
  ): void
}
type BrowserSocketConstructor = new (url: string, subprotocols: string[]) => BrowserSocket

export const dialWebSocket: Transport['dial'] = async (url: string, options: DialOptions): Promise<Connection> => {
  options.signal?.throwIfAborted()
  const { WebSocket } = globalThis as unknown as { readonly WebSocket: BrowserSocketConstructor }
  const socket = new WebSocket(url, [...options.subprotocols])
  socket.binaryType = 'arraybuffer'
  const connection = createConnection(socket, options.frameBytesMax)
  await new Promise<void>((opened, failed) => {
    const fail = (): void => {
      clearTimeout(timer)
      socket.close()
      failed(options.signal?.reason ?? new CoreError('ERR_CORE_DIAL_FAILED', 'the peer cannot be reached', { retryable: true }))
    }
    const timer = setTimeout(fail, options.timeoutMs)
    options.signal?.addEventListener('abort', fail, { once: true })
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', fail)
      opened()
    })
    socket.addEventListener('close', fail)
  })
  return connection
}

function createConnection(socket: BrowserSocket, frameBytesMax: number): Connection {
  let handlers: ConnectionHandlers | undefined
  let waiting: Uint8Array[] = []
  let closed: { readonly code: number; readonly reason: string } | undefined
  socket.addEventListener('message', ({ data }) => {
    const frame = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array()
    if (frame.length > frameBytesMax) socket.close(4000, 'frame-too-large')
    else if (handlers === undefined) waiting.push(frame)
    else handlers.onFrame(frame)
  })
  socket.addEventListener('close', ({ code = 1006, reason = '' }) => {
    if (closed !== undefined) return
    closed = { code, reason }
    handlers?.onClose(code, reason)
  })
  return {
    get subprotocol() {
      return socket.protocol
    },
    peer: '',
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
      if (socket.readyState === 1) socket.send(frame)
    },
    pause() {},
    resume() {},
    admit() {},
    close: (code, reason) => socket.close(code, reason),
  }
}
