/**
 * Routing (design §5): a stanza goes to every device on its recipients' current cards except the one it came from, or into the
 * queue towards its domain. Bodies are neither parsed nor copied here. A stanza is settled when the promise is durable.
 * @module
 */
import { type Address, type DeviceId, type Domain, domainOf, isMessagingError } from '@parley/core'
import { activeDevices, type ReadCard } from '@parley/identity'
import type { MailboxEntry } from '@parley/mailbox'
import {
  type Bounce,
  type BounceCode,
  bounceCodes,
  packEntries,
  packHeader,
  type Settlement,
  type StanzaEntry,
  type StanzaFrame,
} from '@parley/stream'
import { deviceReader, domainReader } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { Federation } from './federation.ts'
import type { Sessions } from './sessions.ts'

export interface Router {
  /**
   * Routes what came on one stream. Stanzas enter the logs in the order of the calls with one `lane`.
   * `federate` is false for what came from another relay: it never leaves for a third.
   */
  route(stanza: StanzaFrame, options: { readonly lane: Lane; readonly federate: boolean }): Promise<Settlement>
}

/** The order of one stream: looking up cards may take different times, entering the logs does not overtake. */
export type Lane = { tail: Promise<unknown> }

/** One recipient: its devices by its current card, and what each of them is to get. */
type Place = { readonly address: Address; readonly version: number; readonly targets: readonly Target[] }
type Target = { readonly device: DeviceId; readonly entry: Uint8Array }

export function createRouter(
  context: RelayContext,
  parts: { readonly sessions: Sessions; readonly federation: Federation },
): Router {
  const { domain, clock, limits, mailbox, directory, blocklist, telemetry } = context
  const { sessions, federation } = parts

  function route(stanza: StanzaFrame, { lane, federate }: { lane: Lane; federate: boolean }): Promise<Settlement> {
    const problem = problemOf(stanza)
    if (problem !== undefined) return Promise.resolve({ bounced: [bounce(stanza, problem)] })
    // Every address is of one domain by the check above.
    const target = domainOf(stanza.header.to[0] as Address)
    if (target === domain) return stanza.header.class === 'ephemeral' ? passLocal(stanza) : storeLocal(stanza, lane)
    if (!federate || !federation.has(target)) return Promise.resolve({ bounced: [bounce(stanza, 'domain-unknown')] })
    return stanza.header.class === 'ephemeral' ? passRemote(stanza, target) : storeRemote(stanza, { target, lane })
  }

  function problemOf({ header }: StanzaFrame): BounceCode | undefined {
    const now = clock.now()
    if (new Set(header.to.map(domainOf)).size !== 1) return 'stanza-malformed'
    if (header.expiry <= now) return 'expired'
    if (blocklist.has(header.from)) return 'forbidden'
    return header.expiry > now + limits.lifetimeMs + limits.clockToleranceMs ? 'expiry-too-late' : undefined
  }

  async function storeLocal(stanza: StanzaFrame, lane: Lane): Promise<Settlement> {
    const { places, bounced } = await inLane(lane, () => plan(stanza))
    const outcome = await appendPlaces(stanza, places)
    return { cards: outcome.cards, bounced: [...bounced, ...outcome.bounced] }
  }

  /** Who is to get what, by the cards of this moment. */
  async function plan(stanza: StanzaFrame): Promise<{ readonly places: readonly Place[]; readonly bounced: readonly Bounce[] }> {
    const { header, entries } = stanza
    const heads = await Promise.all(header.to.map((address) => directory.head(address)))
    const shared = entries.find(({ device }) => device === '*')
    const places: Place[] = []
    const unknown: Address[] = []
    const refusing: Address[] = []
    header.to.forEach((address, i) => {
      const card = heads[i]
      if (card === undefined) unknown.push(address)
      else if (directory.refuses(address, header.from)) refusing.push(address)
      else places.push({ address, version: card.card.version, targets: targetsOf(stanza, { address, card, shared }) })
    })
    const bounced: Bounce[] = []
    if (unknown.length > 0) bounced.push(bounce(stanza, 'recipient-unknown', unknown))
    if (refusing.length > 0) bounced.push(bounce(stanza, 'forbidden', refusing))
    if (places.reduce((sum, { targets }) => sum + targets.length, 0) <= limits.fanOutMax) return { places, bounced }
    telemetry.count('relay.limit.fanOutMax')
    return { places: [], bounced: [bounce(stanza, 'stanza-malformed')] }
  }

  function targetsOf(
    stanza: StanzaFrame,
    to: { readonly address: Address; readonly card: ReadCard; readonly shared: StanzaEntry | undefined },
  ): readonly Target[] {
    const { header, entries } = stanza
    return activeDevices(to.card.card).flatMap(({ id }) => {
      // A stanza to the own account is for the other devices.
      if (to.address === header.from && id === header.device) return []
      const mine = entries.find(({ device }) => device === id) ?? to.shared
      return mine === undefined ? [] : [{ device: id, entry: packEntries([mine]) }]
    })
  }

  async function appendPlaces(stanza: StanzaFrame, places: readonly Place[]): Promise<Required<Settlement>> {
    if (places.length === 0) return { cards: {}, bounced: [] }
    const entries = places.flatMap(({ address, targets }) =>
      targets.map(({ device, entry }) => ({ reader: deviceReader(address, device), entry })),
    )
    const versions = places.map(({ address, version }) => `${address}:${version}`).join(' ')
    try {
      await append(stanza, { entries, under: versions })
    } catch (error) {
      const code = codeOf(error, 'mailbox-full')
      const addresses = places.map(({ address }) => address)
      if (code !== 'mailbox-full' || places.length === 1) return { cards: {}, bounced: [bounce(stanza, code, addresses)] }
      // One full mailbox does not stand in the way of the others' accounts.
      const outcomes = await Promise.all(places.map((place) => appendPlaces(stanza, [place])))
      return {
        cards: Object.assign({}, ...outcomes.map(({ cards }) => cards)),
        bounced: outcomes.flatMap(({ bounced }) => bounced),
      }
    }
    for (const { address, targets } of places) for (const { device } of targets) sessions.get(address, device)?.wake()
    return { cards: Object.fromEntries(places.map(({ address, version }) => [address, version])), bounced: [] }
  }

  async function storeRemote(stanza: StanzaFrame, { target, lane }: { target: Domain; lane: Lane }): Promise<Settlement> {
    await inLane(lane, async () => undefined)
    try {
      const expiry = Math.min(stanza.header.expiry, clock.now() + limits.queueMsMax)
      await append(stanza, {
        entries: [{ reader: domainReader(target), entry: packEntries(stanza.entries) }],
        under: target,
        expiry,
      })
    } catch (error) {
      return { bounced: [bounce(stanza, codeOf(error, 'queue-full'))] }
    }
    federation.wake(target)
    return { cards: federation.versionsOf(stanza.header.to) }
  }

  /** `under` names the cards that chose the readers: what comes again after a device was added is no duplicate for that device. */
  async function append(
    stanza: StanzaFrame,
    what: { readonly entries: readonly MailboxEntry[]; readonly under: string; readonly expiry?: number },
  ): Promise<void> {
    const { header, body } = stanza
    telemetry.count('relay.stanza.stored', what.entries.length)
    const origin = `${header.from}/${header.device} ${what.under}`
    await mailbox.append(what.entries, {
      header: packHeader(header),
      body,
      expiry: what.expiry ?? header.expiry,
      origin,
      id: header.id,
    })
  }

  async function passLocal(stanza: StanzaFrame): Promise<Settlement> {
    const { places } = await plan(stanza)
    const header = packHeader(stanza.header)
    for (const { address, targets } of places) {
      for (const { device, entry } of targets) sessions.get(address, device)?.pass({ header, entry, body: stanza.body })
    }
    return {}
  }

  async function passRemote(stanza: StanzaFrame, target: Domain): Promise<Settlement> {
    federation.pass(target, { header: packHeader(stanza.header), entry: packEntries(stanza.entries), body: stanza.body })
    return {}
  }

  return { route }
}

function inLane<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
  const done = lane.tail.then(work)
  lane.tail = done.catch(() => undefined)
  return done
}

function bounce(stanza: StanzaFrame, code: BounceCode, to?: readonly Address[]): Bounce {
  const { id, to: all } = stanza.header
  const some = to === undefined || to.length === all.length ? {} : { to }
  return { id, ...some, code, retryable: bounceCodes[code].retryable }
}

function codeOf(error: unknown, full: BounceCode): BounceCode {
  return isMessagingError(error) && error.code === 'ERR_MAILBOX_FULL' ? full : 'unavailable'
}
