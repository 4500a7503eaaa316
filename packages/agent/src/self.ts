/**
 * This device and its account as the other parts need them: names, keys and the newest own card.
 * @module
 */
import type { Address, DeviceId } from '@parley/core'
import { activeDevices, type Pin, type ReadCard } from '@parley/identity'
import type { Key } from '@parley/jose'
import { AgentError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import type { ProfileRow } from './rows.ts'
import type { State } from './state.ts'

export interface Self {
  readonly address: Address
  readonly device: DeviceId
  profile(): ProfileRow
  signer(): Key
  /** `undefined` on a device that no card names yet. */
  pin(): Pin | undefined
  card(): ReadCard | undefined
  /** Thumbprint of the account key. */
  account(): string | undefined
  /** The other devices of the account that are not removed. */
  others(): readonly DeviceId[]
  /** This device holds the account key. */
  isAdmin(): boolean
}

export function createSelf(state: State, keyring: Keyring): Self {
  const profile = (): ProfileRow => {
    const row = state.get('self', 'profile')
    if (row === undefined) throw new AgentError('ERR_AGENT_PROFILE_ABSENT', 'the store holds no profile')
    return row
  }
  const { address, device } = profile()
  // Worked out once for each card: every message asks.
  let known: { readonly card: ReadCard | undefined; readonly others: readonly DeviceId[] } = { card: undefined, others: [] }
  const self: Self = {
    address,
    device,
    profile,
    signer() {
      const row = state.get('key', 'signing')
      if (row === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the signing key is missing')
      return keyring.key(row.jwk)
    },
    pin: () => state.get('pin', address),
    card() {
      const pin = self.pin()
      return pin === undefined ? undefined : keyring.card(pin)
    },
    account: () => self.pin()?.account,
    others() {
      const card = self.card()
      if (known.card !== card) {
        const active = card === undefined ? [] : activeDevices(card.card)
        known = { card, others: active.flatMap(({ id }) => (id === device ? [] : [id])) }
      }
      return known.others
    },
    isAdmin: () => state.get('key', 'account') !== undefined,
  }
  return self
}
