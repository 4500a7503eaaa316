/**
 * The devices that are online now: one live session each.
 * @module
 */
import type { Address, DeviceId } from '@parley/core'
import type { MailboxItem } from '@parley/mailbox'
import type { StoredStanza, StreamCode } from '@parley/stream'
import { deviceReader } from './bounces.ts'

/** What the rest of the relay may ask of a session. */
export type LiveSession = {
  readonly inc: string
  /** Something was appended to the device's mailbox; with `n`, at that position. */
  wake(n?: number): void
  /** Delivers what is not stored yet, if this connection has carried everything up to `after` and has room. */
  give(item: MailboxItem, after: number): boolean
  /** Delivers what is never stored; nothing is promised. */
  pass(stored: StoredStanza): void
  end(code: StreamCode, options?: { readonly wait?: number }): void
}

export interface Sessions {
  readonly count: number
  get(address: Address, device: DeviceId): LiveSession | undefined
  /** The session of the device with this log. */
  reading(reader: string): LiveSession | undefined
  /** Enters a session and ends the one that the device had until now. */
  enter(session: LiveSession, of: { readonly address: Address; readonly device: DeviceId }): void
  /** Takes a session out, if it is still the device's. */
  leave(session: LiveSession, of: { readonly address: Address; readonly device: DeviceId }): void
}

export function createSessions(): Sessions {
  const live = new Map<string, LiveSession>()
  return {
    get count() {
      return live.size
    },
    get: (address, device) => live.get(deviceReader(address, device)),
    reading: (reader) => live.get(reader),
    enter(session, { address, device }) {
      const name = deviceReader(address, device)
      const before = live.get(name)
      live.set(name, session)
      before?.end(before.inc === session.inc ? 'superseded' : 'device-cloned')
    },
    leave(session, { address, device }) {
      const name = deviceReader(address, device)
      if (live.get(name) === session) live.delete(name)
    },
  }
}
