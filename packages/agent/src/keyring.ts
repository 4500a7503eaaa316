/**
 * Prepared keys and read cards, made once per row and dropped with it: a message never pays for parsing a key.
 * @module
 */
import { type DeviceId, toDeviceId } from '@parley/core'
import {
  activeDevices,
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
import { type Audience, type AudienceDevice, type AudienceMember, prepareAudience } from '@parley/session'
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
  /** Whom messages to an account go to: its devices and the other ones of the own account. */
  audience(of: AudienceOf): Audience
}

export type AudienceOf = {
  readonly pin: Pin
  readonly theirs: StatementsRow
  readonly own: Pin
  readonly ours: StatementsRow | undefined
  /** This device, which needs no key from itself. */
  readonly device: DeviceId
  readonly now: number
}

export function createKeyring(): Keyring {
  // Keyed by the rows' own objects: what is erased from the state is not kept alive here.
  const keys = new WeakMap<Jwk, Key>()
  const cards = new WeakMap<Pin, ReadCard>()
  const inForce = new WeakMap<StatementsRow['list'], { readonly pin: Pin; readonly list: readonly Statement[] }>()
  const audiences = new WeakMap<Pin, { readonly of: AudienceOf; readonly until: number; readonly audience: Audience }>()

  const devicesOf = (
    pin: Pin,
    { list, now }: { readonly list: StatementsRow; readonly now: number },
  ): { readonly devices: readonly AudienceDevice[]; readonly until: number } => {
    const statements = new Map(keyring.statements(list, pin, now).map((statement) => [statement.device, statement]))
    const devices = activeDevices(keyring.card(pin).card).map(({ id }) => ({
      address: pin.address,
      id,
      agreement: statements.get(id)?.agreementKey,
    }))
    return { devices, until: Math.min(...[...statements.values()].map(({ expiry }) => expiry * 1000)) }
  }

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
    audience(of) {
      const { pin, theirs, own, ours, device, now } = of
      const known = audiences.get(pin)
      const isSame =
        known?.of.own === own && known.of.theirs.list === theirs.list && known.of.ours?.list === ours?.list && now < known.until
      if (known !== undefined && isSame && now >= known.of.now) return known.audience
      const isNote = pin.address === own.address
      const other = isNote ? nobody : devicesOf(pin, { list: theirs, now })
      const mine = ours === undefined ? nobody : devicesOf(own, { list: ours, now })
      const member = ({ address, account, version }: Pin): AudienceMember => ({ address, account, version })
      const audience = prepareAudience({
        members: isNote ? [member(own)] : [member(pin), member(own)],
        devices: [...other.devices, ...mine.devices.filter(({ id }) => id !== device)],
      })
      audiences.set(pin, { of, until: Math.min(other.until, mine.until), audience })
      return audience
    },
  }
  return keyring
}

const nobody = { devices: [], until: Number.POSITIVE_INFINITY }
