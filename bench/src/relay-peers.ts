/**
 * Servers that operators run today, on the same work through thin clients, where they are installed: Prosody and ejabberd (XMPP over
 * WebSocket), mosquitto (MQTT 3.1.1 with QoS 1 over TCP) and nats-server (core, which stores nothing). Each has its own protocol's
 * acknowledgements and no end-to-end anything.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { type Client, dialPort, freePort, type Listener, type Service, startServer } from './relay-service.ts'
import { startEjabberd, startProsody } from './relay-xmpp.ts'

export type Peer = { readonly name: string; readonly stores: boolean; start(folder: string): Promise<Service> }

/** Peers that are installed, and why the others are not measured. */
export function findPeers(): { readonly found: readonly Peer[]; readonly skipped: readonly string[] } {
  const known: readonly (Peer & { readonly needs: readonly string[] })[] = [
    { name: 'prosody', needs: ['prosody'], stores: true, start: startProsody },
    { name: 'ejabberd', needs: ['ejabberdctl', 'erl'], stores: true, start: startEjabberd },
    { name: 'mosquitto', needs: ['mosquitto'], stores: true, start: startMosquitto },
    { name: 'nats-server', needs: ['nats-server'], stores: false, start: startNats },
  ]
  const isInstalled = (program: string): boolean => spawnSync('which', [program]).status === 0
  const lacks = (peer: { readonly needs: readonly string[] }): boolean => !peer.needs.every(isInstalled)
  return {
    found: known.filter((peer) => !lacks(peer)),
    skipped: known.filter(lacks).map(({ name, needs }) => `${name}: ${needs.join(' and ')} not installed`),
  }
}

async function startMosquitto(folder: string): Promise<Service> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const config = join(folder, 'mosquitto.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'max_queued_messages 0',
    'max_inflight_messages 64',
    'persistence true',
    `persistence_location ${folder}/`,
    'set_tcp_nodelay true',
    'user root',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const server = await startServer(['mosquitto', '-c', config], { ready: /running/, port })
  return { ...server, name: 'mosquitto', stores: true, connect: (id, listener) => connectMqtt(port, id, listener) }
}

const [connack, publish, puback, suback] = [2, 3, 4, 9]

function mqtt(first: number, ...parts: readonly Buffer[]): Buffer {
  const rest = Buffer.concat(parts)
  const length: number[] = []
  for (let left = rest.length; ; ) {
    const low = left % 128
    left = Math.floor(left / 128)
    length.push(left > 0 ? low | 128 : low)
    if (left === 0) break
  }
  return Buffer.concat([Buffer.from([first, ...length]), rest])
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255])
}

function text(value: string): Buffer {
  return Buffer.concat([u16(value.length), Buffer.from(value)])
}

function connectMqtt(port: number, id: number, listener: Listener): Promise<Client> {
  const socket = dialPort(port)
  const closed = new Promise<void>((done) => socket.once('close', () => done()))
  let packet = 0
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    const client: Client = {
      send(to, body) {
        packet = (packet % 65_535) + 1
        socket.write(mqtt(0x32, text(`u/${to}`), u16(packet), Buffer.from(body.buffer, body.byteOffset, body.length)))
      },
      async close() {
        socket.end(mqtt(0xe0))
        await closed
      },
    }
    onPackets(socket, (first, rest) => {
      const kind = first >> 4
      if (kind === connack) socket.write(mqtt(0x82, u16(1), text(`u/${id}`), Buffer.from([1])))
      else if (kind === suback) resolve(client)
      else if (kind === puback) listener.accepted?.(1)
      else if (kind === publish) {
        const at = 2 + rest.readUInt16BE(0)
        socket.write(mqtt(0x40, rest.subarray(at, at + 2)))
        listener.message?.(rest.subarray(at + 2))
      }
    })
    // MQTT 3.1.1, a session that stays.
    socket.write(mqtt(0x10, text('MQTT'), Buffer.from([4, 0]), u16(0), text(`c${id}`)))
  })
}

function onPackets(socket: Socket, on: (first: number, rest: Buffer) => void): void {
  let waiting: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk])
    let start = 0
    for (;;) {
      let at = start + 1
      let length = 0
      for (let scale = 1; ; scale *= 128) {
        const octet = waiting[at++]
        if (octet === undefined) {
          length = Number.POSITIVE_INFINITY
          break
        }
        length += (octet & 127) * scale
        if (octet < 128) break
      }
      if (at + length > waiting.length) break
      on(waiting[start] ?? 0, waiting.subarray(at, at + length))
      start = at + length
    }
    waiting = waiting.subarray(start)
  })
}

async function startNats(folder: string): Promise<Service> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const server = await startServer(['nats-server', '-a', '127.0.0.1', '-p', String(port)], { ready: /Server is ready/, port })
  return { ...server, name: 'nats-server, core', stores: false, connect: (id, listener) => connectNats(port, id, listener) }
}

const lineEnd = Buffer.from('\r\n')

function connectNats(port: number, id: number, listener: Listener): Promise<Client> {
  const socket = dialPort(port)
  const closed = new Promise<void>((done) => socket.once('close', () => done()))
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    const client: Client = {
      send(to, body) {
        const octets = Buffer.from(body.buffer, body.byteOffset, body.length)
        socket.write(Buffer.concat([Buffer.from(`PUB u.${to} ${body.length}\r\n`), octets, lineEnd]))
      },
      async close() {
        socket.end()
        await closed
      },
    }
    let waiting: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk])
      for (;;) {
        const end = waiting.indexOf(lineEnd)
        if (end < 0) return
        const line = waiting.toString('latin1', 0, end)
        if (line.startsWith('MSG')) {
          const length = Number(line.slice(line.lastIndexOf(' ') + 1))
          if (waiting.length < end + 4 + length) return
          const body = waiting.subarray(end + 2, end + 2 + length)
          waiting = waiting.subarray(end + 4 + length)
          listener.message?.(body)
          continue
        }
        waiting = waiting.subarray(end + 2)
        if (line.startsWith('INFO')) socket.write(`CONNECT {"verbose":false}\r\nSUB u.${id} 1\r\nPING\r\n`)
        else if (line === 'PING') socket.write('PONG\r\n')
        else if (line === 'PONG') resolve(client)
      }
    })
  })
}
