/**
 * A simulated network of WebSocket connections and HTTP requests on one schedule. A connection keeps its order, as TCP
 * does; what a network does to TCP is delay, stall, break it, or leave one end believing that it lives (half-open).
 * Frame faults (loss, duplication, reordering of single frames) go beyond what TCP allows and model a faulty
 * or lying hop; they are off unless asked for.
 * @module
 */
import { CoreError } from '../errors.ts'
import type { Connection, ConnectionHandlers, Listener, ListenOptions, Transport } from '../ports.ts'
import type { SimRandom } from './random.ts'
import type { Schedule } from './schedule.ts'

export type LinkFaults = {
  readonly delayMsMin: number
  readonly delayMsMax: number
  /** Probabilities per frame. */
  readonly lose: number
  readonly duplicate: number
  readonly reorder: number
  /** The connection breaks at this frame: both ends learn of it. */
  readonly break: number
  /** The connection dies silently: frames vanish, neither end is told until it closes by itself. */
  readonly halfOpen: number
}

export const perfectLink: LinkFaults = { delayMsMin: 1, delayMsMax: 5, lose: 0, duplicate: 0, reorder: 0, break: 0, halfOpen: 0 }

export type FaultKind = 'lost' | 'duplicated' | 'reordered' | 'broken' | 'half-open' | 'partitioned'

/** A frame on its way; `connection` numbers the connections in the order they were made. */
export type LinkFrame = { readonly from: string; readonly to: string; readonly connection: number; readonly bytes: Uint8Array }

export interface SimNetwork {
  /** The transport of one node; `node` names it in partitions and in `onFrame`. */
  transport(node: string): Transport
  faults: LinkFaults
  /** Frames from `from` to `to` vanish while this answers true; dials between them fail. */
  isPartitioned: (from: string, to: string) => boolean
  /** Sees every frame that is handed to the network, before faults: a wire recorder. */
  onFrame: (frame: LinkFrame) => void
  /** Stands between the sockets: what it answers goes on in place of the frame. For hops that lie. */
  intercept: (frame: LinkFrame) => readonly Uint8Array[]
  /** The network address of a node, as `allowAddress` is asked about it. */
  addressOf: (node: string) => string
  /** Ends every connection and listener of a node without a word, as a killed process does. */
  kill(node: string): void
  readonly injected: Readonly<Record<FaultKind, number>>
}

type End = {
  readonly node: string
  readonly number: number
  readonly connection: Connection
  handlers: ConnectionHandlers | undefined
  waiting: Uint8Array[]
  closed: boolean
  paused: boolean
  /** Octets that may still come before `admit`. */
  early: number
  /** Close that came before `start`. */
  pendingClose: { code: number; reason: string } | undefined
  /** Nothing overtakes on one direction of a connection: the time of the last delivery. */
  lastDelivery: number
  buffered: number
  peer: End | undefined
  silent: boolean
}

type Listening = { readonly node: string; readonly options: ListenOptions }

export function createSimNetwork(options: {
  readonly schedule: Schedule
  readonly random: SimRandom
  readonly faults?: LinkFaults
}): SimNetwork {
  const { schedule, random } = options
  const listening = new Map<number, Listening>()
  const ends = new Set<End>()
  const injected: Record<FaultKind, number> = { lost: 0, duplicated: 0, reordered: 0, broken: 0, 'half-open': 0, partitioned: 0 }
  let nextPort = 10_000
  let made = 0

  const delay = (): number => network.faults.delayMsMin + random.int(network.faults.delayMsMax - network.faults.delayMsMin + 1)

  const finish = (end: End, code: number, reason: string): void => {
    if (end.closed) return
    end.closed = true
    ends.delete(end)
    if (end.handlers === undefined) end.pendingClose = { code, reason }
    else end.handlers.onClose(code, reason)
  }

  const deliver = (end: End, frame: Uint8Array): void => {
    if (end.closed || end.early < 0) return
    end.early -= frame.length
    if (end.early < 0) {
      if (end.handlers?.onExcess === undefined) end.connection.close(1009, '')
      else end.handlers.onExcess()
    } else if (end.handlers === undefined || end.paused) end.waiting.push(frame)
    else end.handlers.onFrame(frame)
  }

  const breakBoth = (end: End): void => {
    const { peer } = end
    schedule.at(schedule.time() + delay(), () => finish(end, 1006, ''))
    if (peer !== undefined) schedule.at(schedule.time() + delay(), () => finish(peer, 1006, ''))
  }

  const carry = (from: End, frame: Uint8Array): void => {
    const { peer } = from
    if (peer === undefined || from.closed) return
    const seen: LinkFrame = { from: from.node, to: peer.node, connection: from.number, bytes: frame }
    network.onFrame(seen)
    for (const bytes of network.intercept(seen)) pass(from, peer, bytes)
  }

  const pass = (from: End, peer: End, frame: Uint8Array): void => {
    const { faults } = network
    if (network.isPartitioned(from.node, peer.node)) {
      injected.partitioned++
      return
    }
    if (from.silent) return
    if (random.chance(faults.halfOpen)) {
      injected['half-open']++
      from.silent = true
      peer.silent = true
      return
    }
    if (random.chance(faults.break)) {
      injected.broken++
      breakBoth(from)
      return
    }
    if (random.chance(faults.lose)) {
      injected.lost++
      return
    }
    const copies = random.chance(faults.duplicate) ? 2 : 1
    if (copies === 2) injected.duplicated++
    const overtakes = random.chance(faults.reorder)
    if (overtakes) injected.reordered++
    for (let i = 0; i < copies; i++) {
      const soonest = overtakes ? schedule.time() : from.lastDelivery
      const when = Math.max(schedule.time() + delay(), soonest)
      if (!overtakes) from.lastDelivery = when
      schedule.at(when, () => {
        if (!peer.silent) deliver(peer, frame)
      })
    }
  }

  const createEnd = (node: string, subprotocol: string, { peer: peerName, early }: { peer: string; early: number }): End => {
    const end: End = {
      node,
      number: made,
      handlers: undefined,
      waiting: [],
      closed: false,
      paused: false,
      early,
      pendingClose: undefined,
      lastDelivery: 0,
      buffered: 0,
      peer: undefined,
      silent: false,
      connection: {
        subprotocol,
        peer: peerName,
        get bufferedBytes() {
          return end.buffered
        },
        start(handlers) {
          end.handlers = handlers
          flush(end)
          if (end.pendingClose !== undefined) handlers.onClose(end.pendingClose.code, end.pendingClose.reason)
        },
        send(frame) {
          if (end.closed) return
          const copy = frame.slice()
          end.buffered += copy.length
          schedule.at(schedule.time(), () => {
            end.buffered -= copy.length
            if (end.buffered === 0 && !end.closed) end.handlers?.onDrain?.()
          })
          carry(end, copy)
        },
        pause() {
          end.paused = true
        },
        resume() {
          end.paused = false
          flush(end)
        },
        admit() {
          end.early = Number.POSITIVE_INFINITY
        },
        close(code, reason) {
          const { peer } = end
          if (end.closed) return
          schedule.at(schedule.time(), () => finish(end, code, reason))
          if (peer !== undefined && !end.silent) {
            schedule.at(Math.max(schedule.time() + delay(), end.lastDelivery), () => {
              if (!peer.silent) finish(peer, code, reason)
            })
          }
        },
      },
    }
    ends.add(end)
    return end
  }

  const flush = (end: End): void => {
    while (end.handlers !== undefined && !end.paused && !end.closed) {
      const frame = end.waiting.shift()
      if (frame === undefined) return
      end.handlers.onFrame(frame)
    }
  }

  const sleep = (ms: number): Promise<void> => new Promise((done) => schedule.at(schedule.time() + ms, done))

  const network: SimNetwork = {
    faults: options.faults ?? perfectLink,
    isPartitioned: () => false,
    addressOf: () => '1.0.0.1',
    onFrame: () => {},
    intercept: ({ bytes }) => [bytes],
    injected,
    kill(node) {
      for (const [port, { node: owner }] of listening) if (owner === node) listening.delete(port)
      for (const end of [...ends]) {
        if (end.node !== node) continue
        // The dead process hears nothing; the kernel of its machine resets the peer's side.
        end.closed = true
        ends.delete(end)
        const { peer } = end
        if (peer !== undefined) schedule.at(schedule.time() + delay(), () => finish(peer, 1006, ''))
      }
    },
    transport(node) {
      return {
        async dial(url, { subprotocols, signal, allowAddress }) {
          await sleep(delay())
          signal?.throwIfAborted()
          const port = portOf(url)
          const target = port === undefined ? undefined : listening.get(port)
          const chosen = subprotocols.find((name) => target?.options.subprotocols.includes(name))
          if (
            target === undefined ||
            chosen === undefined ||
            allowAddress?.(network.addressOf(target.node)) === false ||
            network.isPartitioned(node, target.node) ||
            network.isPartitioned(target.node, node)
          ) {
            throw new CoreError('ERR_CORE_DIAL_FAILED', 'the peer cannot be reached', { retryable: true })
          }
          made++
          const mine = createEnd(node, chosen, { peer: target.node, early: Number.POSITIVE_INFINITY })
          const theirs = createEnd(target.node, chosen, {
            peer: node,
            early: target.options.earlyBytesMax ?? Number.POSITIVE_INFINITY,
          })
          mine.peer = theirs
          theirs.peer = mine
          target.options.onConnection(theirs.connection)
          return mine.connection
        },
        async listen(listen) {
          const port = listen.port === 0 ? nextPort++ : listen.port
          if (listening.has(port)) throw new CoreError('ERR_CORE_LISTEN_FAILED', 'the port is in use')
          listening.set(port, { node, options: listen })
          const listener: Listener = {
            port,
            async close() {
              listening.delete(port)
            },
          }
          return listener
        },
        async request(url, { bytesMax, allowAddress }) {
          await sleep(delay())
          const port = portOf(url)
          const target = port === undefined ? undefined : listening.get(port)
          if (
            target?.options.onRequest === undefined ||
            !allowAddress(network.addressOf(target.node)) ||
            network.isPartitioned(node, target.node) ||
            network.isPartitioned(target.node, node)
          ) {
            throw new CoreError('ERR_CORE_REQUEST_FAILED', 'the peer cannot be reached', { retryable: true })
          }
          const path = /^[a-z]+:\/\/[^/]+(\/.*)?$/.exec(url)?.[1] ?? '/'
          const response = await target.options.onRequest({ method: 'GET', path, body: new Uint8Array(), peer: node })
          await sleep(delay())
          if (response.body.length > bytesMax) throw new CoreError('ERR_CORE_REQUEST_FAILED', 'the answer is too large')
          return { status: response.status, body: response.body }
        },
      }
    },
  }
  return network
}

function portOf(url: string): number | undefined {
  const digits = /^[a-z]+:\/\/[^/]*:([0-9]+)(?:\/|$)/.exec(url)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
