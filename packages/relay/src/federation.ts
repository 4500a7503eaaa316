/**
 * The other domains (design §5): a peer per static route, what they have told of their cards, and bounces for what never arrived.
 * @module
 */
import type { Address, Connection, DeviceId, Domain, JsonObject } from '@parley/core'
import type { MailboxItem } from '@parley/mailbox'
import { bounceCodes, type CardVersions, type StoredStanza } from '@parley/stream'
import { deviceReader, domainReader, originOf, storeBounce } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { KeysOfDomains } from './domain-keys.ts'
import { createPeer, type Peer } from './peer.ts'
import type { Answer } from './requests.ts'
import type { Route } from './routes.ts'

export interface Federation {
  has(domain: Domain): boolean
  routeTo(domain: Domain): Route | undefined
  /** There is something in the domain's log. */
  wake(domain: Domain): void
  /** The domain's relay has just shown that it is there. */
  hint(domain: Domain): void
  pass(domain: Domain, stored: StoredStanza): void
  request(domain: Domain, what: string, value: JsonObject): Promise<Answer>
  /** Newest known card versions of remote accounts. */
  versionsOf(addresses: readonly Address[]): CardVersions
  /** Replaces the routes; connections of routes that stay as they were live on. */
  setRoutes(routes: readonly Route[]): void
  /** A stanza is about to expire in a log: if it waited for another relay, its sender is told. */
  onExpired(reader: string, item: MailboxItem): Promise<void>
  sweep(now: number): void
  readonly peersReady: number
  close(): void
}

export type FederationParts = {
  readonly keys: KeysOfDomains
  dial(url: string): Promise<Connection>
  /** A bounce went into a local device's mailbox. */
  onBounce(address: Address, device: DeviceId): void
  track(work: Promise<unknown>): void
}

const versionsMax = 50_000

export function createFederation(context: RelayContext, parts: FederationParts): Federation {
  const { clock, limits, mailbox, domain } = context
  const peers = new Map<Domain, Peer>()
  const versions = new Map<string, number>()

  function onCards(other: Domain, cards: CardVersions): void {
    for (const [address, version] of Object.entries(cards)) {
      // A relay speaks for its own accounts only.
      if (!address.endsWith(`@${other}`)) continue
      versions.delete(address)
      versions.set(address, version)
    }
    for (const oldest of versions.keys()) {
      if (versions.size <= versionsMax) break
      versions.delete(oldest)
    }
  }

  function setRoutes(routes: readonly Route[]): void {
    const wanted = new Map(routes.filter((route) => route.domain !== domain).map((route) => [route.domain, route]))
    for (const [name, peer] of peers) {
      const route = wanted.get(name)
      if (route !== undefined && route.url === peer.route.url && route.key === peer.route.key) continue
      peers.delete(name)
      peer.close()
    }
    for (const [name, route] of wanted) {
      if (peers.has(name)) continue
      const peer = createPeer(context, {
        ...parts,
        route,
        onCards: (cards) => onCards(name, cards),
        onBounce: ({ from, device }) => parts.onBounce(from, device),
      })
      peers.set(name, peer)
      // Something may have waited there since before the start.
      parts.track(mailbox.stats(domainReader(name)).then(({ count }) => (count > 0 ? peer.wake() : undefined)))
    }
  }

  return {
    has: (name) => peers.has(name),
    routeTo: (name) => peers.get(name)?.route,
    wake: (name) => peers.get(name)?.wake(),
    hint: (name) => peers.get(name)?.hint(),
    pass: (name, stored) => peers.get(name)?.pass(stored),
    request: (name, what, value) =>
      peers.get(name)?.request(what, value) ?? Promise.resolve({ ok: false, code: 'domain-unknown' }),
    versionsOf: (addresses) =>
      Object.fromEntries(addresses.flatMap((address) => (versions.has(address) ? [[address, versions.get(address) ?? 0]] : []))),
    setRoutes,
    async onExpired(reader, item) {
      if (!reader.startsWith('domain:')) return
      const origin = originOf(item.header)
      if (origin === undefined) return
      const bounce = { id: origin.id, code: 'undeliverable', retryable: bounceCodes.undeliverable.retryable }
      await storeBounce(mailbox, {
        reader: deviceReader(origin.from, origin.device),
        bounce,
        expiry: clock.now() + limits.lifetimeMs,
      })
      parts.onBounce(origin.from, origin.device)
    },
    sweep(now) {
      for (const peer of peers.values()) peer.sweep(now)
    },
    get peersReady() {
      return [...peers.values()].filter(({ isReady }) => isReady).length
    },
    close() {
      for (const peer of peers.values()) peer.close()
    },
  }
}
