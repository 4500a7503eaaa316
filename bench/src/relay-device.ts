/**
 * A device as thin as the clients of the other servers: it logs in as every device does, and then writes and reads the frames of its stream
 * itself, one form of each. It keeps to its window, counts what it sends, and acknowledges what it got.
 * @module
 */
import { randomUUID } from 'node:crypto'
import type { Address } from '@parley/core'
import type { C2sClientOptions, C2sEvent } from '@parley/stream'
import type { WebSocket } from 'ws'
import type { Listener } from './relay-service.ts'

export type Device = {
  send(to: Address, body: Uint8Array): void
  /** A frame that came after the login. */
  take(frame: Buffer): void
  /** How far it acknowledged. */
  readonly position: NonNullable<C2sClientOptions['position']>
}

export type DeviceOptions = {
  readonly socket: WebSocket
  readonly own: Pick<C2sClientOptions, 'address' | 'device'>
  readonly welcome: Extract<C2sEvent, { kind: 'ready' }>['welcome']
  readonly listener: Listener
  /** What a recipient's entry takes under a session key. */
  readonly entry: Uint8Array
}

const [lineFeed, letterC, comma] = [0x0a, 0x63, 0x2c]
const lifetimeMs = 86_400_000

export function createDevice({ socket, own, welcome, listener, entry }: DeviceOptions): Device {
  const { epoch } = welcome
  const middles = new Map<Address, string>()
  const waiting: (readonly [to: Address, body: Uint8Array])[] = []
  let sent = 0
  let acknowledged = 0
  let handled = welcome.start
  let isDue = false

  function write(to: Address, body: Uint8Array): void {
    let middle = middles.get(to)
    if (middle === undefined) {
      middle = `","from":"${own.address}","device":"${own.device}","to":["${to}"],"class":"durable","sent":`
      middles.set(to, middle)
    }
    sent++
    const now = Date.now()
    const header = `{"c":${sent},"n":${sent},"entries":[["*",${entry.length}]],"t":"stanza","id":"urn:uuid:${randomUUID()}${middle}${now},"expiry":${now + lifetimeMs}}\n`
    const frame = Buffer.allocUnsafe(header.length + entry.length + body.length)
    frame.write(header, 0, 'latin1')
    frame.set(entry, header.length)
    frame.set(body, header.length + entry.length)
    socket.send(frame)
  }

  // What came in one piece is acknowledged in one piece: an agent commits it so, too.
  function acknowledge(): void {
    isDue = false
    socket.send(Buffer.from(`{"t":"ack","epoch":"${epoch}","h":${handled}}\n`))
  }

  function onStanza(frame: Buffer): void {
    let at = frame.indexOf(comma) + ',"n":'.length
    handled = 0
    for (; frame[at] !== comma; at++) handled = handled * 10 + (frame[at] as number) - 0x30
    listener.message?.(frame.subarray(frame.indexOf(lineFeed) + 1 + entry.length))
    if (isDue) return
    isDue = true
    queueMicrotask(acknowledge)
  }

  function onAck(text: string): void {
    const h = Number.parseInt(text.slice(text.indexOf('"h":') + 4), 10)
    const count = h - acknowledged
    acknowledged = h
    while (sent - acknowledged < welcome.windowStanzas) {
      const next = waiting.shift()
      if (next === undefined) break
      write(...next)
    }
    listener.accepted?.(count)
  }

  return {
    get position() {
      return { epoch, n: handled }
    },
    send(to, body) {
      if (sent - acknowledged < welcome.windowStanzas) write(to, body)
      else waiting.push([to, body])
    },
    take(frame) {
      if (frame[2] === letterC) return void onStanza(frame)
      const text = frame.toString('latin1')
      if (text.startsWith('{"t":"ack"') && !text.includes('"bounced"')) onAck(text)
      else if (text.startsWith('{"t":"ping"')) socket.send(Buffer.from('{"t":"pong"}\n'))
      else console.error(`${own.address} was told: ${text}`)
    },
  }
}
