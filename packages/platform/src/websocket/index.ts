/**
 * Dialling WebSockets from Node with the `ws` package. No compression (it mixes secrets with what an attacker sends, and
 * ciphertext does not shrink), no Nagle delay.
 * @module
 */
import { CoreError, type Transport } from '@parley/core'
import { WebSocket } from 'ws'
import { guardedLookup, literalAddress } from '../http/lookup.ts'
import { createConnection } from './connection.ts'

export const dialWebSocket: Transport['dial'] = async (url, options) => {
  options.signal?.throwIfAborted()
  const { allowAddress } = options
  const literal = allowAddress === undefined ? undefined : literalAddress(new URL(url))
  if (literal !== undefined && allowAddress?.(literal) === false)
    throw new CoreError('ERR_CORE_DIAL_FAILED', 'the address is not allowed', { retryable: false })
  const socket = new WebSocket(url, [...options.subprotocols], {
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    handshakeTimeout: options.timeoutMs,
    followRedirects: false,
    ...(allowAddress === undefined ? {} : { lookup: guardedLookup((address) => allowAddress(address)) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  // Made before the handshake ends: frames that come with it must not be lost.
  const connection = createConnection(socket, { peer: '' })
  await new Promise<void>((opened, failed) => {
    socket.once('open', opened)
    socket.once('error', (cause) => failed(dialError(cause, options.signal)))
    socket.once('unexpected-response', (_request, response) => {
      response.resume()
      failed(
        new CoreError('ERR_CORE_DIAL_FAILED', `the peer answered ${response.statusCode} to the WebSocket handshake`, {
          retryable: true,
        }),
      )
      socket.terminate()
    })
  })
  return connection
}

function dialError(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason
  return new CoreError('ERR_CORE_DIAL_FAILED', 'the peer cannot be reached', { cause, retryable: true })
}
