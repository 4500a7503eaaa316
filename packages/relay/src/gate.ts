/**
 * The gate: what one network address may do before anybody knows who is there, and how much one account may send with all its
 * devices together. Addresses of one IPv6 /64 count as one: that is what a single customer is given (RFC 6177).
 * @module
 */
import type { Address, Clock, Telemetry } from '@parley/core'
import type { RelayLimits } from './limits.ts'
import { networkOf } from './network-address.ts'
import { createMeters } from './rate.ts'

export interface Gate {
  /** A connection came in: `ok`, or why it must go and, where it helps, in how many milliseconds to come again. */
  enter(
    peer: string,
  ): { readonly ok: true } | { readonly ok: false; readonly code: 'overloaded' | 'rate-limited'; readonly wait: number }
  /** A connection that was let in has ended. */
  leave(peer: string): void
  /** 0, or in how many milliseconds this address may open another account. */
  registration(peer: string): number
  /** A login was refused. */
  failed(peer: string): void
  /** 0, or for how many milliseconds no login from this address is looked at. */
  login(peer: string): number
  /** 0, or in how many milliseconds this account may send a stanza of so many octets. */
  stanza(account: Address, bytes: number): number
  /** 0, or in how many milliseconds this address may ask by HTTP again. */
  request(peer: string): number
}

const minute = 60
const hour = 3_600

export function createGate(options: {
  readonly clock: Clock
  readonly limits: RelayLimits
  readonly telemetry: Telemetry
}): Gate {
  const { clock, limits, telemetry } = options
  const connections = new Map<string, number>()
  const arrivals = createMeters()
  const registrations = createMeters()
  const failures = createMeters()
  const stanzas = createMeters()
  const octets = createMeters()
  const requests = createMeters()
  // Filled in anew for each stanza: limits may change.
  const sizes = { rate: { perSecond: 0, burst: 0 }, now: 0 }
  const counts = { rate: { perSecond: 0, burst: 0 }, now: 0 }

  function refused(limit: string, wait: number): number {
    if (wait > 0) telemetry.count(`relay.limit.${limit}`)
    return wait
  }

  return {
    enter(peer) {
      const name = networkOf(peer)
      const open = connections.get(name) ?? 0
      if (open >= limits.connectionsPerPeerMax) {
        telemetry.count('relay.limit.connectionsPerPeerMax')
        return { ok: false, code: 'overloaded', wait: limits.retryMsMax }
      }
      const rate = { perSecond: limits.connectionsPerPeerPerMinute / minute, burst: limits.connectionsPerPeerPerMinute }
      const wait = refused('connectionsPerPeerPerMinute', arrivals.take(name, 1, { rate, now: clock.monotonic() }))
      if (wait > 0) return { ok: false, code: 'rate-limited', wait }
      connections.set(name, open + 1)
      return { ok: true }
    },
    leave(peer) {
      const name = networkOf(peer)
      const left = (connections.get(name) ?? 1) - 1
      if (left > 0) connections.set(name, left)
      else connections.delete(name)
    },
    registration(peer) {
      const rate = { perSecond: limits.registrationsPerPeerPerHour / hour, burst: limits.registrationsPerPeerPerHour }
      return refused('registrationsPerPeerPerHour', registrations.take(networkOf(peer), 1, { rate, now: clock.monotonic() }))
    },
    failed(peer) {
      const rate = { perSecond: limits.loginFailuresPerPeerPerMinute / minute, burst: limits.loginFailuresPerPeerPerMinute }
      failures.take(networkOf(peer), 1, { rate, now: clock.monotonic() })
    },
    login(peer) {
      const rate = { perSecond: limits.loginFailuresPerPeerPerMinute / minute, burst: limits.loginFailuresPerPeerPerMinute }
      // Nothing is taken: only failures count, and this one has not failed yet.
      const now = clock.monotonic()
      return refused('loginFailuresPerPeerPerMinute', failures.wait(networkOf(peer), 1, { rate, now }))
    },
    stanza(account, bytes) {
      const now = clock.monotonic()
      sizes.rate.perSecond = limits.bytesPerAccountPerSecond
      sizes.rate.burst = Math.max(limits.bytesPerAccountBurst, limits.stream.frameBytesMax)
      sizes.now = now
      const wait = octets.wait(account, bytes, sizes)
      if (wait > 0) return refused('bytesPerAccountPerSecond', wait)
      counts.rate.perSecond = limits.stanzasPerAccountPerSecond
      counts.rate.burst = limits.stanzasPerAccountBurst
      counts.now = now
      const later = refused('stanzasPerAccountPerSecond', stanzas.take(account, 1, counts))
      if (later === 0) octets.take(account, bytes, sizes)
      return later
    },
    request(peer) {
      const rate = { perSecond: limits.requestsPerPeerPerSecond, burst: 2 * limits.requestsPerPeerPerSecond }
      return refused('requestsPerPeerPerSecond', requests.take(networkOf(peer), 1, { rate, now: clock.monotonic() }))
    },
  }
}
