/**
 * The agent's stream to its relay: dials, logs in, sends what the outbox holds in order, hands over what comes, asks and
 * answers, and comes back after every failure with growing waits. It decides nothing about messages.
 * @module
 */
import {
  type Clock,
  limits as coreLimits,
  type JsonObject,
  type Random,
  type Connection as Socket,
  type Telemetry,
  type Transport,
} from '@parley/core'
import { type C2sClient, type C2sEvent, type C2sOutput, createC2sClient, type OutgoingStanza, type Welcome } from '@parley/stream'
import { AgentError } from './errors.ts'
import type { AgentLimits } from './limits.ts'
import { createBackoff } from './retry.ts'
import type { ProfileRow } from './rows.ts'
import type { Self } from './self.ts'
import type { State } from './state.ts'

/** What the app may show of the connection. Times are milliseconds of the wall clock. */
export type ConnectionStatus = {
  readonly state: 'connecting' | 'ready' | 'waiting' | 'stopped'
  readonly since: number
  /** When the next try begins, while `waiting`. */
  readonly nextTry?: number
  /** The code that ended the last connection. */
  readonly reason?: string
  /** False when trying again cannot help before somebody acts. */
  readonly retryable: boolean
}

export interface Connection {
  readonly status: ConnectionStatus
  start(): void
  /** A stanza for the relay, if the stream is up; otherwise it is found in the store when it comes up. */
  offer(stanza: OutgoingStanza): void
  /** Everything up to this position is durable here. */
  handled(n: number, epoch: string): void
  /** Asks the relay; rejects when it refuses, is away or takes too long. */
  request(what: string, value: JsonObject): Promise<JsonObject>
  /** Drops the stream and dials anew at once: what was handed over and not committed comes again. */
  restart(reason: string): void
  close(): Promise<void>
}

export type ConnectionParts = {
  readonly self: Self
  readonly state: State
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  readonly limits: AgentLimits
  /** Everything the outbox holds, in order, to be sent on a new stream. */
  outgoing(): Iterable<OutgoingStanza>
  /** Logged in. Nothing is sent before this has ended; `epoch` names the positions of what comes. */
  ready(welcome: Welcome, relayKey: string): Promise<void>
  /** Events of one frame, in order: stanzas, acceptances, bounces. */
  received(events: readonly C2sEvent[], epoch: string): void
  /** The state changed. */
  changed(status: ConnectionStatus): void
}

type Asking = {
  readonly resolve: (value: JsonObject) => void
  readonly reject: (error: unknown) => void
  readonly cancel: () => void
}

/** Why a connection ended, and in how many milliseconds the relay said to come again. */
type Ending = { readonly reason: string; readonly retryable: boolean; readonly wait?: number | undefined }

/** The life of one socket. */
type Life = {
  readonly socket: Socket
  readonly client: C2sClient
  epoch: string
  ready: boolean
  heard: number
  /** When the window last moved, or was empty. */
  moved: number
  cancelWatch: () => void
  readonly asking: Map<string, Asking>
}

export function createConnection(parts: ConnectionParts): Connection {
  const { self, clock, limits } = parts
  const backoff = createBackoff({ random: parts.random, msMin: limits.retryMsMin, msMax: limits.retryMsMax })
  const abort = new AbortController()
  let status: ConnectionStatus = { state: 'waiting', since: clock.now(), retryable: true }
  let life: Life | undefined
  let cancelTimer: (() => void) | undefined
  let whenReady: (() => void)[] = []

  const enter = (next: Omit<ConnectionStatus, 'since'>): void => {
    status = { ...next, since: clock.now() }
    parts.changed(status)
  }

  const dial = async (): Promise<void> => {
    cancelTimer = undefined
    if (abort.signal.aborted) return
    enter({ state: 'connecting', retryable: true, ...(status.reason === undefined ? {} : { reason: status.reason }) })
    try {
      const socket = await parts.transport.dial(self.profile().relayUrl, {
        subprotocols: ['parley.c2s.1'],
        frameBytesMax: coreLimits.frameBytesMax,
        timeoutMs: limits.dialTimeoutMs,
        signal: abort.signal,
      })
      if (abort.signal.aborted) socket.close(1000, 'closing')
      else live(socket)
    } catch {
      if (!abort.signal.aborted) retry({ reason: 'relay-unreachable', retryable: true })
    }
  }

  const live = (socket: Socket): void => {
    const profile = self.profile()
    const card = self.card()
    const { statement } = profile
    const mark = parts.state.get('position', 'relay')
    const client = createC2sClient({
      address: self.address,
      device: self.device,
      signer: self.signer(),
      inc: profile.inc,
      position: mark,
      relayKey: profile.relayKey,
      random: parts.random,
      ...(profile.registered || card === undefined || statement === undefined
        ? {}
        : { register: { card: card.jws, statement: statement.jws, ...invited(profile) } }),
    })
    const mine: Life = {
      socket,
      client,
      epoch: '',
      ready: false,
      heard: clock.monotonic(),
      moved: clock.monotonic(),
      cancelWatch() {},
      asking: new Map(),
    }
    life = mine
    // First: frames that came with the handshake are read at once, and may end this life.
    watch(mine)
    socket.start({
      onFrame(frame) {
        if (life !== mine) return
        mine.heard = clock.monotonic()
        act(mine, client.receive(frame, clock.now()))
      },
      onClose: () => end(mine, { reason: 'connection-lost', retryable: true }),
    })
  }

  const act = (mine: Life, output: C2sOutput): void => {
    for (const frame of output.frames) mine.socket.send(frame)
    const messages: C2sEvent[] = []
    for (const event of output.events) {
      if (event.kind === 'ready') void welcome(mine, event)
      else if (event.kind === 'response') answer(mine, event)
      else if (event.kind === 'fatal') {
        parts.telemetry.count(`agent.stream.${event.code}`)
        mine.socket.close(event.by === 'here' ? event.close : 1000, event.code)
        end(mine, { reason: event.code, retryable: event.retryable, wait: event.wait })
      } else {
        if (event.kind === 'acked') mine.moved = clock.monotonic()
        messages.push(event)
      }
    }
    if (messages.length > 0) parts.received(messages, mine.epoch)
  }

  const welcome = async (mine: Life, event: C2sEvent & { kind: 'ready' }): Promise<void> => {
    mine.epoch = event.welcome.epoch
    try {
      await parts.ready(event.welcome, event.relayKey)
    } catch {
      // The store refused; the next login tries again.
      if (life === mine) {
        mine.socket.close(1000, 'store-failed')
        end(mine, { reason: 'store-failed', retryable: true })
      }
      return
    }
    if (life !== mine) return
    backoff.reset()
    mine.ready = true
    for (const stanza of parts.outgoing()) act(mine, mine.client.send(stanza))
    enter({ state: 'ready', retryable: true })
    const waiting = whenReady
    whenReady = []
    for (const go of waiting) go()
  }

  const answer = (mine: Life, response: C2sEvent & { kind: 'response' }): void => {
    const asking = mine.asking.get(response.id)
    if (asking === undefined) return
    mine.asking.delete(response.id)
    asking.cancel()
    if (response.ok) asking.resolve(response.value)
    else {
      const { code, retryable } = response
      asking.reject(
        new AgentError('ERR_AGENT_REQUEST_REFUSED', `the relay refused a request: ${code}`, { reason: code, retryable }),
      )
    }
  }

  // A peer that vanished without a word shows only by its silence.
  const watch = (mine: Life): void => {
    mine.cancelWatch = clock.at(clock.monotonic() + limits.idleMsMax / 2, () => {
      const now = clock.monotonic()
      const silence = now - mine.heard
      if (mine.client.unsettled.length === 0) mine.moved = now
      // A relay that answers pings and never acknowledges lost a frame with nothing behind it to show the gap.
      if (silence >= limits.idleMsMax || now - mine.moved >= limits.idleMsMax) {
        mine.socket.close(1000, 'idle')
        end(mine, { reason: 'idle', retryable: true })
        return
      }
      if (silence >= limits.idleMsMax / 2 - 1) act(mine, mine.client.ping())
      watch(mine)
    })
  }

  const end = (mine: Life, why: Ending): void => {
    if (life !== mine) return
    life = undefined
    // A timer that is left over keeps the process alive.
    mine.cancelWatch()
    for (const { reject, cancel } of mine.asking.values()) {
      cancel()
      reject(new AgentError('ERR_AGENT_NOT_CONNECTED', 'the connection ended before the answer came', { retryable: true }))
    }
    if (!abort.signal.aborted) retry(why)
  }

  const retry = ({ reason, retryable, wait = 0 }: Ending): void => {
    // A relay that says when to come again is believed for as long as a lost one would be waited for.
    const ms = Math.max(backoff.next(), Math.min(wait, limits.relayWaitMsMax))
    // What another connection of this very device took over is not fought for.
    if (reason === 'superseded' || reason === 'device-cloned' || reason === 'device-removed' || reason === 'account-removed') {
      enter({ state: 'stopped', reason, retryable: false })
      return
    }
    enter({ state: 'waiting', reason, retryable, nextTry: clock.now() + ms })
    cancelTimer = clock.at(clock.monotonic() + ms, () => void dial())
  }

  const ask = (what: string, value: JsonObject): Promise<JsonObject> =>
    new Promise((resolve, reject) => {
      const mine = life
      if (mine === undefined) {
        reject(new AgentError('ERR_AGENT_NOT_CONNECTED', 'there is no connection to the relay', { retryable: true }))
        return
      }
      const { id, ...output } = mine.client.request(what, value)
      const cancel = clock.at(clock.monotonic() + limits.requestTimeoutMs, () => {
        mine.asking.delete(id)
        reject(new AgentError('ERR_AGENT_NOT_CONNECTED', 'the relay did not answer in time', { retryable: true }))
      })
      mine.asking.set(id, { resolve, reject, cancel })
      act(mine, output)
    })

  return {
    get status() {
      return status
    },
    start: () => void dial(),
    offer(stanza) {
      if (life?.ready === true) act(life, life.client.send(stanza))
    },
    handled(n, epoch) {
      if (life?.epoch === epoch) act(life, life.client.handled(n))
    },
    request(what, value) {
      if (life?.ready === true || life?.client.state === 'ready') return ask(what, value)
      if (abort.signal.aborted || status.state === 'stopped') {
        return Promise.reject(
          new AgentError('ERR_AGENT_NOT_CONNECTED', 'there is no connection to the relay', { retryable: true }),
        )
      }
      // The stream may come up within the time that an answer may take.
      return new Promise((resolve, reject) => {
        const cancel = clock.at(clock.monotonic() + limits.requestTimeoutMs, () => {
          whenReady = whenReady.filter((waiting) => waiting !== go)
          reject(new AgentError('ERR_AGENT_NOT_CONNECTED', 'there is no connection to the relay', { retryable: true }))
        })
        const go = (): void => {
          cancel()
          ask(what, value).then(resolve, reject)
        }
        whenReady.push(go)
      })
    },
    restart(reason) {
      if (life === undefined) return
      life.socket.close(1000, reason)
      end(life, { reason, retryable: true })
    },
    async close() {
      abort.abort()
      cancelTimer?.()
      const mine = life
      if (mine !== undefined) {
        mine.socket.close(1000, 'closing')
        end(mine, { reason: 'closing', retryable: true })
      }
      life = undefined
      for (const go of whenReady) go()
      whenReady = []
      enter({ state: 'stopped', reason: 'closed', retryable: false })
    },
  }
}

function invited({ invite }: ProfileRow): { readonly invite?: string } {
  return invite === undefined ? {} : { invite }
}
