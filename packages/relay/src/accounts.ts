/**
 * Accounts as those who run the relay see them, and the end of one: its cards, statements and mailboxes go, its devices are
 * shown out, and its address is held for a while so that nobody else gets its mail.
 * @module
 */
import { type Address, type DeviceId, domainOf } from '@parley/core'
import { deviceOn } from '@parley/identity'
import { readKey } from '@parley/jose'
import { provesAccountRemoval } from '@parley/stream'
import { deviceReader } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { Sessions } from './sessions.ts'

/** A device of an account, as its relay sees it. */
export type AccountDevice = {
  readonly id: DeviceId
  readonly status: 'active' | 'removed'
  readonly online: boolean
  /** Stanzas that wait in its mailbox, and their octets. */
  readonly mailbox: { readonly count: number; readonly bytes: number }
}

/** An account, as its relay sees it. */
export type Account = {
  readonly address: Address
  /** When it was opened; milliseconds since 1970. */
  readonly registered: number | undefined
  /** Of its newest card. */
  readonly version: number
  readonly devices: readonly AccountDevice[]
  /** Addresses and domains it takes nothing from. */
  readonly blocked: readonly string[]
}

/** The accounts of a relay. */
export interface Accounts {
  /** In the order of their addresses, those behind `after`; a hundred unless `limit` says otherwise. */
  list(options?: { readonly after?: Address; readonly limit?: number }): Promise<readonly Address[]>
  /** `undefined` when there is no such account here. */
  get(address: Address): Promise<Account | undefined>
  /**
   * Deletes the account with all its data and ends its connections. Answers whether there was one. Nobody at all gets its address again for
   * `addressHeldMs`.
   */
  remove(address: Address): Promise<boolean>
}

/** Accounts, with what their own devices may ask. */
export type AccountBook = Accounts & {
  /** Removes the account if this was signed by its account key just now. */
  removeProven(address: Address, jws: string): Promise<boolean>
}

export function createAccounts(context: RelayContext, parts: { readonly sessions: Sessions }): AccountBook {
  const { clock, domain, directory, mailbox, telemetry } = context
  const { sessions } = parts

  async function deviceInfo(address: Address, device: DeviceId, active: boolean): Promise<AccountDevice> {
    const { count, bytes } = await mailbox.stats(deviceReader(address, device))
    const online = sessions.get(address, device) !== undefined
    return { id: device, status: active ? 'active' : 'removed', online, mailbox: { count, bytes } }
  }

  async function remove(address: Address): Promise<boolean> {
    const head = await directory.head(address)
    // Its mail goes first: a crash leaves an account that can be removed once more, and not the mail of nobody.
    for (const { id } of head?.card.devices ?? []) await mailbox.drop(deviceReader(address, id))
    const devices = await directory.remove(address)
    if (devices === undefined) return false
    for (const device of devices) {
      sessions.get(address, device)?.end('account-removed')
      await mailbox.drop(deviceReader(address, device))
    }
    telemetry.count('relay.account.removed')
    telemetry.event('relay.account.removed', { account: address })
    return true
  }

  return {
    list: ({ after, limit = 100 } = {}) => directory.list({ ...(after === undefined ? {} : { after }), limit }),
    async get(address) {
      const head = domainOf(address) === domain ? await directory.head(address) : undefined
      if (head === undefined) return undefined
      const { devices, version } = head.card
      const infos = devices.map(({ id }) => deviceInfo(address, id, deviceOn(head.card, id)?.status === 'active'))
      return {
        address,
        registered: await directory.registered(address),
        version,
        devices: await Promise.all(infos),
        blocked: await directory.blocked(address),
      }
    },
    remove,
    async removeProven(address, jws) {
      const head = await directory.head(address)
      const read = head === undefined ? undefined : readKey(head.card.accountKey)
      if (read?.ok !== true || !provesAccountRemoval(jws, { address, accountKey: read.key, now: clock.now() })) return false
      return remove(address)
    },
  }
}
