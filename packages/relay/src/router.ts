/**
 * Routing (design §5): a stanza goes to every device on its recipients' current cards except the one it came from, or into the
 * queue towards its domain. Bodies are neither parsed nor copied here. A stanza is settled when the promise is durable.
 * @module
 */
import { type Address, type DeviceId, type Domain, domainOf, isMessagingError } from '@parley/core'
import { activeDevices, type ReadCard } from '@parley/identity'
import type { AppendListener, MailboxEntry, MailboxPosition } from '@parley/mailbox'
import {
  type Bounce,
  type BounceCode,
  bounceCodes,
  packEntries,
  packHeader,
  type Settlement,
  type StanzaEntry,
  type StanzaFrame,
  type StanzaHeader,
  unpackHeader,
} from '@parley/stream'
import { deviceReader, domainReader } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { Federation } from './federation.ts'
import type { Sessions } from './sessions.ts'

export interface Router {
  /**
   * Routes what came on one stream. Stanzas enter the logs in the order of the calls with one `lane`.
   * `federate` is false for what came from another relay: it never leaves for a third. With `early`, devices that are there
   * get it before it is stored, and what they acknowledge in time is not stored (design §5). `settled` is called once, perhaps at once.
   */
  route(stanza: StanzaFrame, options: RouteOptions, settled: Settled): void
}

/** Hears how a stanza ended; `undefined` when something failed in here and nothing is known. A promise would cost more than routing does. */
export type Settled = (settlement: Settlement | undefined) => void

export type RouteOptions = { readonly lane: Lane; readonly federate: boolean; readonly early?: boolean }

/** The order of one stream: looking up cards may take different times, entering the logs does not overtake. */
export type Lane = {
  tail: Promise<unknown>
  waiting: number
  /** The last origin of duplicates, because the next is mostly the same. */
  origin: { readonly from: Address; readonly device: DeviceId; readonly under: string; readonly name: string } | undefined
  /** Where the last stanza went: a connection gives the same list of addresses for the next one to them. */
  target: { readonly to: readonly Address[]; readonly domain: Domain; readonly queue: string } | undefined
}

export function createLane(): Lane {
  return { tail: noneBefore, waiting: 0, origin: undefined, target: undefined }
}

const noneBefore: Promise<unknown> = Promise.resolve()

/** An account by its current card. Made once for each card. */
type Recipient = {
  readonly address: Address
  readonly version: number
  /** Names the card among all. */
  readonly name: string
  readonly readers: readonly { readonly device: DeviceId; readonly reader: string }[]
  /** What a sender is told when everything went well. */
  readonly accepted: Required<Settlement>
}
type How = { readonly lane: Lane; readonly early: boolean }
/** One recipient, and what each of its devices is to get. */
type Place = { readonly to: Recipient; readonly entries: readonly MailboxEntry[] }
/** What the mailbox gets of a stanza, beside its body. */
type What = {
  readonly entries: readonly MailboxEntry[]
  readonly packed: Uint8Array
  readonly under: string
  readonly expiry?: number
}
type Plan = { readonly places: readonly Place[]; readonly bounced: readonly Bounce[] }

export function createRouter(
  context: RelayContext,
  parts: { readonly sessions: Sessions; readonly federation: Federation },
): Router {
  const { domain, clock, limits, mailbox, directory, blocklist, telemetry } = context
  const { sessions, federation } = parts

  const recipients = new WeakMap<ReadCard, Recipient>()

  function route(stanza: StanzaFrame, options: RouteOptions, settled: Settled): void {
    const problem = problemOf(stanza)
    if (problem !== undefined) return void settled({ bounced: [bounce(stanza.header, problem)] })
    const { domain: target, queue } = targetOf(stanza.header.to, options.lane)
    const isDurable = stanza.header.class === 'durable'
    if (target === domain) return void (isDurable ? storeLocal(stanza, options, settled) : passLocal(stanza, settled))
    if (!options.federate || !federation.has(target)) return void settled({ bounced: [bounce(stanza.header, 'domain-unknown')] })
    if (isDurable) return void storeRemote(stanza, { target, queue, lane: options.lane }, settled)
    passRemote(stanza, target)
    settled({})
  }

  function problemOf({ header }: StanzaFrame): BounceCode | undefined {
    const now = clock.now()
    if (header.to.length !== 1 && new Set(header.to.map(domainOf)).size !== 1) return 'stanza-malformed'
    if (header.expiry <= now) return 'expired'
    if (blocklist.has(header.from)) return 'forbidden'
    return header.expiry > now + limits.lifetimeMs + limits.clockToleranceMs ? 'expiry-too-late' : undefined
  }

  function storeLocal(stanza: StanzaFrame, { lane, early = false }: RouteOptions, settled: Settled): void {
    const how = { lane, early }
    const one = lane.waiting === 0 ? planOne(stanza) : undefined
    if (one !== undefined) return void appendOne(stanza, { place: one, how }, settled)
    const planned = lane.waiting === 0 ? planNow(stanza) : undefined
    if (planned !== undefined) return void appendPlan(stanza, { plan: planned, how }, settled)
    inLane(lane, async () => appendPlan(stanza, { plan: await planLater(stanza), how }, settled)).catch(() => settled(undefined))
  }

  /** What the devices of the one recipient get, in the usual case: the card is in memory, and nothing speaks against it. */
  function planOne({ header, entries }: StanzaFrame): Place | undefined {
    const [address] = header.to
    const card = address === undefined || header.to.length > 1 ? undefined : directory.headInMemory(address)
    if (address === undefined || card === undefined || directory.refuses(address, header.from)) return undefined
    const to = recipientOf(address, card)
    const made = entriesFor(header, entries, to)
    return made.length > limits.fanOutMax ? undefined : { to, entries: made }
  }

  /** Who is to get what, if all cards are in memory. */
  function planNow(stanza: StanzaFrame): Plan | undefined {
    const heads: ReadCard[] = []
    for (const address of stanza.header.to) {
      const card = directory.headInMemory(address)
      if (card === undefined) return undefined
      heads.push(card)
    }
    return plan(stanza, heads)
  }

  async function planLater(stanza: StanzaFrame): Promise<Plan> {
    return plan(stanza, await Promise.all(stanza.header.to.map((address) => directory.head(address))))
  }

  /** Who is to get what, by the cards of this moment. */
  function plan(stanza: StanzaFrame, heads: readonly (ReadCard | undefined)[]): Plan {
    const { header } = stanza
    const places: Place[] = []
    const unknown: Address[] = []
    const refusing: Address[] = []
    let targets = 0
    header.to.forEach((address, i) => {
      const card = heads[i]
      if (card === undefined) unknown.push(address)
      else if (directory.refuses(address, header.from)) refusing.push(address)
      else {
        const to = recipientOf(address, card)
        const entries = entriesFor(header, stanza.entries, to)
        targets += entries.length
        places.push({ to, entries })
      }
    })
    const bounced: Bounce[] = []
    if (unknown.length > 0) bounced.push(bounce(stanza.header, 'recipient-unknown', unknown))
    if (refusing.length > 0) bounced.push(bounce(stanza.header, 'forbidden', refusing))
    if (targets <= limits.fanOutMax) return { places, bounced }
    telemetry.count('relay.limit.fanOutMax')
    return { places: [], bounced: [bounce(stanza.header, 'stanza-malformed')] }
  }

  function recipientOf(address: Address, card: ReadCard): Recipient {
    const known = recipients.get(card)
    if (known !== undefined) return known
    const { version } = card.card
    const readers = activeDevices(card.card).map(({ id }) => ({ device: id, reader: deviceReader(address, id) }))
    const accepted = { cards: { [address]: version }, bounced: [] }
    const made = { address, version, name: `${address}:${version}`, readers, accepted }
    recipients.set(card, made)
    return made
  }

  function entriesFor(header: StanzaHeader, entries: readonly StanzaEntry[], to: Recipient): readonly MailboxEntry[] {
    const shared = entries.find(isShared)
    const packed = shared === undefined ? undefined : packEntries(entries.length === 1 ? entries : [shared])
    const made: MailboxEntry[] = []
    for (const { device, reader } of to.readers) {
      // A stanza to the own account is for the other devices.
      if (to.address === header.from && device === header.device) continue
      const mine = packed !== undefined && entries.length === 1 ? undefined : entries.find((each) => each.device === device)
      const entry = mine === undefined ? packed : packEntries([mine])
      if (entry !== undefined) made.push({ reader, entry })
    }
    return made
  }

  function appendPlan(stanza: StanzaFrame, { plan, how }: { readonly plan: Plan; readonly how: How }, settled: Settled): void {
    const { places, bounced } = plan
    if (bounced.length === 0) return void appendPlaces(stanza, { places, how }, settled)
    appendPlaces(stanza, { places, how }, (outcome) =>
      settled(outcome === undefined ? undefined : { ...outcome, bounced: [...bounced, ...(outcome.bounced ?? [])] }),
    )
  }

  function appendPlaces(
    stanza: StanzaFrame,
    { places, how }: { readonly places: readonly Place[]; readonly how: How },
    settled: Settled,
  ): void {
    const [first] = places
    if (first !== undefined && places.length === 1) return void appendOne(stanza, { place: first, how }, settled)
    const entries = places.flatMap((place) => place.entries)
    const under = places.map(({ to }) => to.name).join(' ')
    append(
      stanza,
      { entries, packed: stanza.packed ?? packHeader(stanza.header), under, ...how },
      {
        stored(positions) {
          wakeReaders(positions)
          settled({ cards: Object.assign({}, ...places.map(({ to }) => to.accepted.cards)), bounced: [] })
        },
        refused: (error) => refused(stanza, { places, error, how }, settled),
      },
    )
  }

  /** What waits for the acknowledgement keeps no more of the stanza than its octets: thousands do. */
  function appendOne(stanza: StanzaFrame, { place, how }: { readonly place: Place; readonly how: How }, settled: Settled): void {
    const { to, entries } = place
    const { packed = packHeader(stanza.header) } = stanza
    append(
      stanza,
      { entries, packed, under: to.name, lane: how.lane, early: how.early },
      {
        stored(positions) {
          wakeReaders(positions)
          settled(to.accepted)
        },
        refused: (error) =>
          settled({ cards: {}, bounced: [bounce(headerIn(packed), codeOf(error, 'mailbox-full'), [to.address])] }),
      },
    )
  }

  function wakeReaders(positions: readonly MailboxPosition[]): void {
    for (const { reader, n } of positions) sessions.reading(reader)?.wake(n)
  }

  function refused(
    stanza: StanzaFrame,
    { places, error, how }: { readonly places: readonly Place[]; readonly error: unknown; readonly how: How },
    settled: Settled,
  ): void {
    const code = codeOf(error, 'mailbox-full')
    if (code !== 'mailbox-full') {
      const addresses = places.map(({ to }) => to.address)
      return void settled({ cards: {}, bounced: [bounce(stanza.header, code, addresses)] })
    }
    // One full mailbox does not stand in the way of the others' accounts.
    const outcomes: Settlement[] = []
    for (const place of places)
      appendOne(stanza, { place, how }, (outcome) => {
        outcomes.push(outcome ?? {})
        if (outcomes.length < places.length) return
        settled({
          cards: Object.assign({}, ...outcomes.map(({ cards }) => cards)),
          bounced: outcomes.flatMap(({ bounced = [] }) => bounced),
        })
      })
  }

  function storeRemote(
    stanza: StanzaFrame,
    way: { readonly target: Domain; readonly queue: string; readonly lane: Lane },
    settled: Settled,
  ): void {
    if (way.lane.waiting === 0) appendRemote(stanza, way, settled)
    else inLane(way.lane, async () => appendRemote(stanza, way, settled)).catch(() => settled(undefined))
  }

  function appendRemote(
    stanza: StanzaFrame,
    { target, queue, lane }: { readonly target: Domain; readonly queue: string; readonly lane: Lane },
    settled: Settled,
  ): void {
    const { header, packed = packHeader(header) } = stanza
    const { to } = header
    const entries = [{ reader: queue, entry: packEntries(stanza.entries) }]
    const expiry = Math.min(header.expiry, clock.now() + limits.queueMsMax)
    append(
      stanza,
      { entries, packed, under: target, lane, early: false, expiry },
      {
        stored() {
          federation.wake(target)
          settled({ cards: federation.versionsOf(to) })
        },
        refused: (error) => settled({ bounced: [bounce(headerIn(packed), codeOf(error, 'queue-full'))] }),
      },
    )
  }

  /** `under` names the cards that chose the readers: what comes again after a device was added is no duplicate for that device. */
  function append(stanza: StanzaFrame, what: What & How, listener: AppendListener): void {
    const { id, from, device, expiry } = stanza.header
    const { entries, packed, under, lane, early } = what
    telemetry.count('relay.stanza.stored', entries.length)
    const last = lane.origin
    const isSame = last?.from === from && last.device === device && last.under === under
    const origin = isSame ? last.name : `${from}/${device} ${under}`
    if (!isSame) lane.origin = { from, device, under, name: origin }
    const content = { header: packed, body: stanza.body, expiry: what.expiry ?? expiry, origin, id, isEarly: early }
    mailbox.put(entries, content, listener)
  }

  function passLocal(stanza: StanzaFrame, settled: Settled): void {
    const passed = planLater(stanza).then(({ places }) => {
      const header = packHeader(stanza.header)
      for (const { entries } of places)
        for (const { reader, entry } of entries) sessions.reading(reader)?.pass({ header, entry, body: stanza.body })
      settled({})
    })
    passed.catch(() => settled(undefined))
  }

  function passRemote(stanza: StanzaFrame, target: Domain): void {
    federation.pass(target, { header: packHeader(stanza.header), entry: packEntries(stanza.entries), body: stanza.body })
  }

  return { route }
}

function targetOf(to: readonly Address[], lane: Lane): { readonly domain: Domain; readonly queue: string } {
  if (lane.target?.to === to) return lane.target
  // All of them are of one domain.
  const domain = domainOf(to[0] as Address)
  lane.target = { to, domain, queue: domainReader(domain) }
  return lane.target
}

function isShared({ device }: StanzaEntry): boolean {
  return device === '*'
}

function inLane<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
  lane.waiting++
  const done = lane.tail.then(work).finally(() => lane.waiting--)
  lane.tail = done.catch(() => undefined)
  return done
}

function bounce({ id, to: all }: Pick<StanzaHeader, 'id' | 'to'>, code: BounceCode, to?: readonly Address[]): Bounce {
  const some = to === undefined || to.length === all.length ? {} : { to }
  return { id, ...some, code, retryable: bounceCodes[code].retryable }
}

/** What a bounce needs of a header that was packed here. */
function headerIn(packed: Uint8Array): Pick<StanzaHeader, 'id' | 'to'> {
  return unpackHeader(packed) as Pick<StanzaHeader, 'id' | 'to'>
}

function codeOf(error: unknown, full: BounceCode): BounceCode {
  return isMessagingError(error) && error.code === 'ERR_MAILBOX_FULL' ? full : 'unavailable'
}
