/**
 * The devices that are online now: one live session each.
 * @module
 */
import type { Address, DeviceId } from '@parley/core'
import type { StoredStanza, StreamCode } from '@parley/stream'
import { deviceName } from './context.ts'

/** What the rest of the relay may ask of a session. */
export type LiveSession = {
  readonly inc: string
  /** Something was appended to the device's mailbox. */
  wake(): void
  /** Delivers what is never stored; nothing is promised. */
  pass(stored: StoredStanza): void
  end(code: StreamCode): void
}

export interface Sessions {
  readonly count: number
  get(address: Address, device: DeviceId): LiveSession | undefined
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
    get: (address, device) => live.get(deviceName(address, device)),
    enter(session, { address, device }) {
      const name = deviceName(address, device)
      const before = live.get(name)
      live.set(name, session)
      before?.end(before.inc === session.inc ? 'superseded' : 'device-cloned')
    },
    leave(session, { address, device }) {
      const name = deviceName(address, device)
      if (live.get(name) === session) live.delete(name)
    },
  }
}
