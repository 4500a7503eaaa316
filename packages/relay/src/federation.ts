/**
 * The other domains (design §5): a peer per static route, and one per domain that is found under its own name where the operator
 * allows it; what they have told of their cards, and bounces for what never arrived.
 * @module
 */
import type { Address, Connection, DeviceId, Domain, JsonObject } from '@parley/core'
import type { MailboxItem } from '@parley/mailbox'
import { type BounceCode, bounceCodes, type CardVersions, type StoredStanza } from '@parley/stream'
import { domainReader, originOf } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { KeysOfDomains } from './domain-keys.ts'
import { createPeer, type Peer, type PeerStatus } from './peer.ts'
import type { Answer } from './requests.ts'
import { tellSender } from './returns.ts'
import type { Route, Way } from './routes.ts'

/** With whom a relay federates. */
export type FederationPolicy = {
  /** Where the operator says a domain's relay is. */
  readonly routes: readonly Route[]
  /** Other domains are found by `https://domain/.well-known/parley`. */
  readonly discovery: boolean
  /** If it names any: these domains and those with a route, and no others. */
  readonly allow: readonly Domain[]
  /** Never these, whatever else is said. */
  readonly deny: readonly Domain[]
}

export interface Federation {
  /** Whether anything may go to this domain. */
  has(domain: Domain): boolean
  /** How this domain's relay is reached, if there is anything to do with it. */
  wayTo(domain: Domain): Way | undefined
  /** There is something in the domain's log. */
  wake(domain: Domain): void
  /** The domain's relay has just shown that it is there. */
  hint(domain: Domain): void
  pass(domain: Domain, stored: StoredStanza): void
  request(domain: Domain, what: string, value: JsonObject): Promise<Answer>
  /** Newest known card versions of remote accounts. */
  versionsOf(addresses: readonly Address[]): CardVersions
  /** Changes whom this relay federates with; connections that stay allowed and as they were live on. */
  setPolicy(policy: FederationPolicy): void
  /** A stanza is about to expire in a log: if it waited for another relay, its sender is told. */
  onExpired(reader: string, item: MailboxItem): Promise<void>
  /** Ends what waits for a domain and tells the senders; answers how many stanzas. */
  giveUp(domain: Domain, code: BounceCode): Promise<number>
  sweep(now: number): void
  readonly peersReady: number
  /** The domains that are known now. */
  readonly domains: readonly Domain[]
  statusOf(domain: Domain): PeerStatus | undefined
  close(): void
}

export type FederationParts = {
  readonly policy: FederationPolicy
  readonly keys: KeysOfDomains
  dial(url: string, options: { readonly guarded: boolean }): Promise<Connection>
  /** A bounce went into a local device's mailbox. */
  onBounce(address: Address, device: DeviceId): void
  track(work: Promise<unknown>): void
}

const versionsMax = 50_000
const giveUpCount = 64

export function createFederation(context: RelayContext, parts: FederationParts): Federation {
  const { limits, mailbox, domain, blocklist, telemetry } = context
  const peers = new Map<Domain, Peer>()
  /** The newest version of each card, as senders are told of it. */
  const versions = new Map<string, CardVersions>()
  let policy = parts.policy
  let routes = new Map<Domain, Route>()
  let isOpen = false

  function onCards(other: Domain, cards: CardVersions): void {
    for (const address in cards) {
      const version = cards[address] as number
      // A relay speaks for its own accounts only. Nearly always it says what it said before.
      if (versions.get(address)?.[address] === version || !address.endsWith(`@${other}`)) continue
      versions.delete(address)
      versions.set(address, { [address]: version })
    }
    for (const oldest of versions.keys()) {
      if (versions.size <= versionsMax) break
      versions.delete(oldest)
    }
  }

  function wayTo(name: Domain): Way | undefined {
    if (name === domain || policy.deny.includes(name) || blocklist.hasDomain(name)) return undefined
    const route = routes.get(name)
    if (route !== undefined) return route
    const isAllowed = policy.allow.length === 0 || policy.allow.includes(name)
    return policy.discovery && isAllowed ? { domain: name } : undefined
  }

  /** The peer of a domain, made when there is something to say to it. */
  function peerOf(name: Domain): Peer | undefined {
    const before = peers.get(name)
    if (before !== undefined) return before
    const way = isOpen ? wayTo(name) : undefined
    if (way === undefined || !makeRoom()) return undefined
    const peer = createPeer(context, {
      ...parts,
      way,
      onCards: (cards) => onCards(name, cards),
      onBounce: ({ from, device }) => parts.onBounce(from, device),
      onUnreachable: () => parts.track(giveUp(name, 'domain-unknown')),
    })
    peers.set(name, peer)
    return peer
  }

  // Domains to which nothing is under way make room for others.
  function makeRoom(): boolean {
    if (peers.size < limits.peersMax) return true
    for (const [name, peer] of peers) {
      if (!peer.isIdle) continue
      peers.delete(name)
      peer.close()
      return true
    }
    telemetry.count('relay.limit.peersMax')
    return false
  }

  function setPolicy(next: FederationPolicy): void {
    isOpen = true
    policy = next
    routes = new Map(next.routes.filter((route) => route.domain !== domain).map((route) => [route.domain, route]))
    for (const [name, peer] of peers) {
      const way = wayTo(name)
      if (way !== undefined && way.url === peer.way.url && way.key === peer.way.key) continue
      peers.delete(name)
      peer.close()
    }
    parts.track(resume())
  }

  /** Something may have waited since before the start, or for a domain that was not allowed. */
  async function resume(): Promise<void> {
    const prefix = domainReader('')
    // Readers of this kind are named after domains.
    for (const reader of await mailbox.readers(prefix)) peerOf(reader.slice(prefix.length) as Domain)?.wake()
  }

  async function bounceBack(item: MailboxItem, code: BounceCode): Promise<void> {
    const origin = originOf(item.header)
    if (origin === undefined) return
    await tellSender(context, origin, { id: origin.id, code, retryable: bounceCodes[code].retryable })
    parts.onBounce(origin.from, origin.device)
  }

  async function giveUp(name: Domain, code: BounceCode): Promise<number> {
    const reader = domainReader(name)
    let count = 0
    for (;;) {
      const items = await mailbox.read(reader, 0, { countMax: giveUpCount, bytesMax: limits.stream.windowBytes })
      const last = items.at(-1)
      if (last === undefined) {
        if (count > 0) telemetry.event('relay.queue.given_up', { peer: name, code, count })
        return count
      }
      for (const item of items) await bounceBack(item, code)
      await mailbox.ack(reader, mailbox.epoch, last.n)
      count += items.length
    }
  }

  return {
    has: (name) => wayTo(name) !== undefined && peerOf(name) !== undefined,
    wayTo,
    wake: (name) => peerOf(name)?.wake(),
    hint: (name) => peers.get(name)?.hint(),
    pass: (name, stored) => peerOf(name)?.pass(stored),
    request: (name, what, value) => peerOf(name)?.request(what, value) ?? Promise.resolve({ ok: false, code: 'domain-unknown' }),
    versionsOf(addresses) {
      const [first] = addresses
      if (first !== undefined && addresses.length === 1) return versions.get(first) ?? {}
      return Object.assign({}, ...addresses.map((address) => versions.get(address)))
    },
    setPolicy,
    async onExpired(reader, item) {
      if (reader.startsWith('domain:')) await bounceBack(item, 'undeliverable')
    },
    giveUp,
    sweep(now) {
      for (const peer of peers.values()) peer.sweep(now)
    },
    get peersReady() {
      return [...peers.values()].filter(({ isReady }) => isReady).length
    },
    get domains() {
      return [...new Set([...routes.keys(), ...peers.keys()])]
    },
    statusOf: (name) => peers.get(name)?.status,
    close() {
      for (const peer of peers.values()) peer.close()
    },
  }
}
