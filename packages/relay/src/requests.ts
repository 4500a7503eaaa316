/**
 * What a relay answers (design §5): cards and statements of its accounts to anybody who has proved who they are, of other domains'
 * accounts by asking their relay; publishing only to the account's own devices.
 * @module
 */
import { type Address, type DeviceId, domainOf, type JsonObject, toAddress } from '@parley/core'
import type { RequestCode } from '@parley/stream'
import type { AccountBook } from './accounts.ts'
import { readBlocked } from './blocklist.ts'
import { deviceReader } from './bounces.ts'
import { deviceName, type RelayContext } from './context.ts'
import type { Federation } from './federation.ts'
import { createMeters } from './rate.ts'
import type { Sessions } from './sessions.ts'

export type Answer =
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly code: RequestCode; readonly wait?: number }

export type Asker = { readonly kind: 'device'; readonly address: Address; readonly device: DeviceId } | { readonly kind: 'relay' }

export interface Requests {
  answer(what: string, value: JsonObject, asker: Asker): Promise<Answer>
}

export function createRequests(
  context: RelayContext,
  parts: { readonly sessions: Sessions; readonly federation: Federation; readonly accounts: AccountBook },
): Requests {
  const { domain, clock, limits, mailbox, directory, telemetry } = context
  const { sessions, federation, accounts } = parts
  const asked = createMeters()

  // By device, over all its connections: one that was stolen does not keep the others from taking it off the card.
  function waitFor(asker: Asker): number {
    if (asker.kind !== 'device') return 0
    const rate = { perSecond: limits.requestsPerDevicePerSecond, burst: limits.requestsPerDeviceBurst }
    const wait = asked.take(deviceName(asker.address, asker.device), 1, { rate, now: clock.monotonic() })
    if (wait > 0) telemetry.count('relay.limit.requestsPerDevicePerSecond')
    return wait
  }

  async function read(what: 'cards' | 'statements', value: JsonObject, asker: Asker): Promise<Answer> {
    const address = typeof value['address'] === 'string' ? toAddress(value['address']) : undefined
    const since = value['since'] ?? 0
    if (address === undefined || typeof since !== 'number' || !Number.isSafeInteger(since) || since < 0)
      return refused('request-malformed')
    const target = domainOf(address)
    if (target !== domain) {
      // What another relay asks is never handed on to a third.
      if (asker.kind === 'relay' || !federation.has(target)) return refused('domain-unknown')
      // Nothing else that the device wrote leaves with it.
      return federation.request(target, what, what === 'cards' ? { address, since } : { address })
    }
    const head = await directory.head(address)
    if (head === undefined) return refused('item-not-found')
    if (what === 'statements') return { ok: true, value: { statements: await directory.statements(address), card: head.jws } }
    const { cards, more } = await directory.cards(address, since, limits.answerBytesMax)
    return { ok: true, value: { cards, version: head.card.version, ...(more ? { more } : {}) } }
  }

  async function publishCard(value: JsonObject, { address }: { readonly address: Address }): Promise<Answer> {
    if (typeof value['card'] !== 'string') return refused('request-malformed')
    const published = await directory.publishCard(value['card'], address)
    if (!published.ok) return published
    for (const device of published.removed) {
      sessions.get(address, device)?.end('device-removed')
      await mailbox.drop(deviceReader(address, device))
      telemetry.event('relay.device.removed', { account: address, device })
    }
    return { ok: true, value: { version: published.card.card.version } }
  }

  async function changeBlocks(what: 'block' | 'unblock', value: JsonObject, address: Address): Promise<Answer> {
    const name = readBlocked(value['from'])
    if (name === undefined || name === address || name === domain) return refused('request-malformed')
    if (what === 'unblock') await directory.unblock(address, name)
    else if (!(await directory.block(address, name))) return refused('too-many-blocks')
    return { ok: true, value: {} }
  }

  return {
    async answer(what, value, asker) {
      const wait = waitFor(asker)
      if (wait > 0) return { ok: false, code: 'too-many-requests', wait }
      if (what === 'cards' || what === 'statements') return read(what, value, asker)
      if (asker.kind !== 'device') return refused('request-unknown')
      if (what === 'publish-card') return publishCard(value, asker)
      if (what === 'publish-statement') {
        if (typeof value['statement'] !== 'string') return refused('request-malformed')
        const published = await directory.publishStatement(value['statement'], { ...asker, now: clock.now() })
        return published.ok ? { ok: true, value: { n: published.n } } : published
      }
      if (what === 'status') {
        const { count, bytes } = await mailbox.stats(deviceReader(asker.address, asker.device))
        return { ok: true, value: { time: clock.now(), mailbox: { count, bytes } } }
      }
      if (what === 'block' || what === 'unblock') return changeBlocks(what, value, asker.address)
      if (what === 'blocklist') return { ok: true, value: { blocked: await directory.blocked(asker.address) } }
      if (what === 'remove-account') {
        const { proof } = value
        if (typeof proof !== 'string') return refused('request-malformed')
        return (await accounts.removeProven(asker.address, proof)) ? { ok: true, value: {} } : refused('forbidden')
      }
      return refused('request-unknown')
    },
  }
}

function refused(code: RequestCode): Answer {
  return { ok: false, code }
}
