/**
 * Prepared keys and read cards, made once per row and dropped with it: a message never pays for parsing a key.
 * @module
 */
import { type DeviceId, toDeviceId } from '@parley/core'
import {
  type CardDevice,
  deviceOn,
  type Pin,
  type ReadCard,
  type RemovalReason,
  readCard,
  type Statement,
  statementsInForce,
} from '@parley/identity'
import { importKey, type Jwk, type Key } from '@parley/jose'
import { AgentError } from './errors.ts'
import type { StatementsRow } from './rows.ts'

export interface Keyring {
  /** The prepared form of a key that was checked before it was stored. */
  key(jwk: Jwk): Key
  /** The newest card that was taken for an account. */
  card(pin: Pin): ReadCard
  device(pin: Pin, id: string): { readonly device: CardDevice; readonly status: 'active' | RemovalReason } | undefined
  /** The agreement keys in force of an account's devices; `now` in milliseconds. */
  statements(row: StatementsRow, pin: Pin, now: number): readonly Statement[]
}

export function createKeyring(): Keyring {
  // Keyed by the rows' own objects: what is erased from the state is not kept alive here.
  const keys = new WeakMap<Jwk, Key>()
  const cards = new WeakMap<Pin, ReadCard>()
  const inForce = new WeakMap<StatementsRow['list'], { readonly pin: Pin; readonly list: readonly Statement[] }>()
  const keyring: Keyring = {
    key(jwk) {
      let key = keys.get(jwk)
      if (key === undefined) {
        key = importKey(jwk)
        keys.set(jwk, key)
      }
      return key
    },
    card(pin) {
      let card = cards.get(pin)
      if (card === undefined) {
        const read = readCard(pin.jws)
        if (!read.ok) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'a pinned card cannot be read')
        card = read
        cards.set(pin, card)
      }
      return card
    },
    device(pin, id) {
      const device: DeviceId | undefined = toDeviceId(id)
      return device === undefined ? undefined : deviceOn(keyring.card(pin).card, device)
    },
    statements(row, pin, now) {
      let known = inForce.get(row.list)
      if (known === undefined || known.pin !== pin) {
        known = { pin, list: statementsInForce(row.list, { card: keyring.card(pin), now }) }
        inForce.set(row.list, known)
      }
      // Signatures are checked once; time goes on.
      return known.list.filter(({ expiry }) => expiry * 1000 > now)
    },
  }
  return keyring
}
