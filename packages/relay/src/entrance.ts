/**
 * Who comes in: connections of devices and of other relays within the limits, their sessions from the first frame to the last, and
 * the end of all of them when the relay closes.
 * @module
 */
import type { Connection, Domain } from '@parley/core'
import { s2sProtocol, streamCodes, writeFrame } from '@parley/stream'
import type { Admission } from './admission.ts'
import type { RelayContext } from './context.ts'
import { createDeviceSessions, type DeviceSession } from './device-session.ts'
import type { KeysOfDomains } from './domain-keys.ts'
import type { Federation } from './federation.ts'
import { createPeerSession, type PeerSession } from './peer-session.ts'
import type { Requests } from './requests.ts'
import type { Router } from './router.ts'
import type { Sessions } from './sessions.ts'

export interface Entrance {
  /** Connections of every kind. */
  readonly open: number
  enter(connection: Connection): void
  /** Devices with a stanza on its way to them since before this monotonic time. */
  stuck(before: number): number
  /** Ends who was silent for too long, or does not read what it is owed. */
  sweep(now: number): void
  /** Shows out the relays of domains that may not come any more. */
  review(): void
  /** Takes nobody new and ends everybody; resolves when all have gone. */
  close(): Promise<void>
}

export type EntranceParts = {
  readonly sessions: Sessions
  readonly router: Router
  readonly requests: Requests
  readonly federation: Federation
  readonly keys: KeysOfDomains
  readonly admission: Admission
  /** Keeps the relay open until the work is done. */
  track(work: Promise<unknown>): void
}

type Refusal = { readonly code: 'going-away' | 'overloaded' | 'rate-limited'; readonly wait: number }

export function createEntrance(context: RelayContext, parts: EntranceParts): Entrance {
  const { limits, gate, telemetry } = context
  const { federation } = parts
  const open = new Map<DeviceSession | PeerSession, Connection>()
  const proven = new Map<Domain, PeerSession>()
  const devices = createDeviceSessions(context, { ...parts, onEnd: leave })
  let closing = false
  let onAllEnded = (): void => {}

  function refusalOf(peer: string): Refusal | undefined {
    if (closing) return { code: 'going-away', wait: limits.drainMs }
    if (open.size >= limits.connectionsMax) {
      telemetry.count('relay.limit.connectionsMax')
      return { code: 'overloaded', wait: limits.retryMsMax }
    }
    const entered = gate.enter(peer)
    return entered.ok ? undefined : entered
  }

  function enter(connection: Connection): void {
    const { peer } = connection
    const refusal = refusalOf(peer)
    if (refusal !== undefined) {
      const { code, wait } = refusal
      telemetry.count(`relay.connection.refused.${code}`)
      connection.start({ onFrame() {}, onClose() {} })
      connection.send(writeFrame({ t: 'error', code, retryable: true, wait }))
      connection.close(streamCodes[code].close, code)
      return
    }
    if (connection.subprotocol === s2sProtocol) enterPeer(connection)
    else open.set(devices.enter(connection), connection)
  }

  // A connection may end while its session is being made; it leaves after it has entered.
  async function leave(session: DeviceSession | PeerSession, peer: string): Promise<void> {
    await Promise.resolve()
    open.delete(session)
    gate.leave(peer)
    if (open.size === 0) onAllEnded()
  }

  function enterPeer(connection: Connection): void {
    const session = createPeerSession(context, {
      ...parts,
      connection,
      wayTo: federation.wayTo,
      onProven(mine, name) {
        const before = proven.get(name)
        proven.set(name, mine)
        before?.end('superseded')
        // It is reachable again, so what waits for it need not.
        federation.hint(name)
      },
      onEnd(mine) {
        if (mine.proven !== undefined && proven.get(mine.proven) === mine) proven.delete(mine.proven)
        leave(mine, connection.peer)
      },
    })
    open.set(session, connection)
  }

  return {
    get open() {
      return open.size
    },
    enter,
    stuck: (before) =>
      [...open.keys()].filter((session) => 'delivering' in session && (session.delivering() ?? before) < before).length,
    sweep(now) {
      for (const [session, connection] of open) {
        if (now - session.heard() > limits.idleMs) session.end('idle')
        // Acknowledgements and signs of life are owed whatever waits: for one who asks for them and does not read they would pile up.
        else if (connection.bufferedBytes > 4 * limits.bufferedBytesMax) {
          telemetry.count('relay.limit.bufferedBytesMax')
          session.end('overloaded', { wait: limits.retryMsMax })
        }
      }
    },
    review() {
      for (const [name, session] of proven) if (federation.wayTo(name) === undefined) session.end('domain-unknown')
    },
    close() {
      closing = true
      const allEnded = new Promise<void>((done) => {
        onAllEnded = done
      })
      for (const session of open.keys()) session.end('going-away')
      return open.size === 0 ? Promise.resolve() : allEnded
    },
  }
}
