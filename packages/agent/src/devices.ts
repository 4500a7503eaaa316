/**
 * The devices of the own account: listing them, letting one in, putting one away, and publishing what that takes.
 * @module
 */
import type { Clock, DeviceId, JsonObject } from '@parley/core'
import type { Card, RemovalReason } from '@parley/identity'
import type { Commit } from './commit.ts'
import type { Directory } from './directory.ts'
import { AgentError } from './errors.ts'
import { deviceLine, readDeviceLine, signNextCard, withDevice, withoutDevice } from './profile.ts'
import { abortable } from './retry.ts'
import type { Self } from './self.ts'
import type { State } from './state.ts'

/** A device of the own account. `added` is NumericDate, seconds. */
export type Device = {
  readonly id: DeviceId
  readonly added: number
  readonly admin: boolean
  readonly self: boolean
  readonly removed?: RemovalReason
}

/** The calls of an agent that are about its own devices. */
export interface Devices {
  /** The devices of the own card, removed ones too. */
  devices(): readonly Device[]
  /** The line that an admin device approves. */
  readonly deviceLine: string
  /** Lets in the device of this line; admin devices only. Compare the line with what the device shows. */
  approveDevice(line: string, options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Takes a device off the card for good; see `RemovalReason`. An abort ends the wait, not what the relay has taken. */
  removeDevice(id: string, reason: RemovalReason, options?: { readonly signal?: AbortSignal }): Promise<void>
}

export type DevicesParts = {
  readonly self: Self
  readonly state: State
  readonly commit: Commit
  readonly clock: Clock
  readonly directory: Directory
  request(what: string, value: JsonObject): Promise<JsonObject>
}

export function createDevices(parts: DevicesParts): { readonly devices: Devices; publishStatement(): void } {
  const { self, state, commit, clock, directory } = parts
  let publishing = false

  // What the relay did not take is offered again when the next connection is up, or when time brings it.
  function publishStatement(): void {
    const { statement } = self.profile()
    if (publishing || statement === undefined || statement.published) return
    publishing = true
    parts
      .request('publish-statement', { statement: statement.jws })
      .then(() =>
        commit((tx) => {
          const profile = self.profile()
          if (profile.statement?.n === statement.n)
            tx.put('self', 'profile', { ...profile, statement: { ...statement, published: true } })
        }),
      )
      .catch(() => {})
      .finally(() => {
        publishing = false
      })
  }

  async function publishCard(change: (card: Card) => Card['devices']): Promise<void> {
    if (!self.isAdmin()) throw new AgentError('ERR_AGENT_NOT_ADMIN', 'this device does not hold the account key')
    await directory.fetch(self.address)
    const head = self.card()
    if (head === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the own card is missing')
    const devices = change(head.card)
    if (devices === head.card.devices) return
    const next = signNextCard({ get: (table, key) => state.get(table, key), now: clock.now() }, head, devices)
    await parts.request('publish-card', { card: next.jws })
    await directory.fetch(self.address)
  }

  const devices: Devices = {
    devices() {
      const card = self.card()
      return (card?.card.devices ?? []).map(({ id, added, admin, reason }) => ({
        id,
        added,
        admin: admin === true,
        self: id === self.device,
        ...(reason === undefined ? {} : { removed: reason }),
      }))
    },
    get deviceLine() {
      return deviceLine(self.profile())
    },
    async approveDevice(line, { signal } = {}) {
      const device = readDeviceLine(line)
      if (device.address !== self.address)
        throw new AgentError('ERR_AGENT_DEVICE_LINE_MALFORMED', 'the line is of another account')
      const { id, signingKey } = device
      await abortable(
        publishCard((card) => withDevice(card, { id, signingKey }, clock.now())),
        signal,
      )
    },
    async removeDevice(id, reason, { signal } = {}) {
      // An id that is on no card changes nothing.
      await abortable(
        publishCard((card) => withoutDevice(card, id as DeviceId, { reason, now: clock.now() })),
        signal,
      )
    },
  }
  return { devices, publishStatement }
}
