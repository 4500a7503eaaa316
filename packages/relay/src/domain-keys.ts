/**
 * What other domains publish (design §5): the keys of their relay and where it listens, fetched from the route's own host and port
 * or from the domain itself, or pinned by the route. One fetch at a time per domain, few at once in all, bounded in size and time;
 * failures are remembered for a while.
 * @module
 */
import type { Clock, Domain, Telemetry, Transport } from '@parley/core'
import { readDomainKeys } from '@parley/identity'
import { thumbprint } from '@parley/jose'
import type { RelayLimits } from './limits.ts'
import { isPublicAddress } from './network-address.ts'
import { keysUrl, type Way } from './routes.ts'

/** Another domain's relay, as far as its domain vouches for it. */
export type Published = {
  /** Thumbprints of the keys in force. */
  readonly keys: ReadonlySet<string>
  /** Where it listens: `wss://…`, or `ws://…` where a route says so. */
  readonly url: string
}

export interface KeysOfDomains {
  /**
   * What the domain has published, or `undefined` when it cannot be had now. With `fresh` what is remembered does not do. What somebody
   * only claims to be leaves half of the fetches to the domains that people here write to.
   */
  find(way: Way, options?: { readonly fresh?: boolean; readonly claimed?: boolean }): Promise<Published | undefined>
}

type Known = {
  readonly until: number
  readonly fetchedAt: number
  readonly place: string
  readonly published: Promise<Published | undefined>
}

// Two fetches in a row must lie so far apart, whoever asks for fresh ones.
const freshMsMin = 2_000

export function createKeysOfDomains(options: {
  readonly transport: Transport
  readonly clock: Clock
  readonly limits: RelayLimits
  readonly telemetry: Telemetry
}): KeysOfDomains {
  const { transport, clock, limits, telemetry } = options
  const known = new Map<Domain, Known>()
  let fetching = 0

  // Names that strangers made up do not stay.
  function forget(now: number): void {
    if (known.size < limits.peersMax) return
    for (const [name, { until }] of known) if (until <= now) known.delete(name)
  }

  async function fetch(way: Way): Promise<Published | undefined> {
    fetching++
    try {
      const response = await transport.request(keysUrl(way), {
        bytesMax: limits.keysBytesMax,
        timeoutMs: limits.dialTimeoutMs,
        // The operator wrote a route, so it may lead into a private network; a domain's name may not.
        allowAddress: way.url === undefined ? isPublicAddress : () => true,
      })
      const read = response.status === 200 ? readDomainKeys(response.body) : undefined
      if (read?.ok !== true || read.domain !== way.domain) return undefined
      return { keys: new Set(read.keys.map(thumbprint)), url: way.url ?? read.relay ?? `wss://${way.domain}` }
    } catch {
      return undefined
    } finally {
      fetching--
    }
  }

  return {
    find(way, { fresh = false, claimed = false } = {}) {
      if (way.key !== undefined && way.url !== undefined) return Promise.resolve({ keys: new Set([way.key]), url: way.url })
      const now = clock.monotonic()
      const before = known.get(way.domain)
      // A route may lead elsewhere than the domain says, though both publish in one place.
      const place = `${keysUrl(way)} ${way.url ?? ''}`
      const isUsable = before !== undefined && before.place === place && now < before.until
      if (isUsable && !(fresh && now - before.fetchedAt >= freshMsMin)) return before.published
      // Nothing is remembered of it: the domain is not to blame.
      if (fetching >= (claimed ? Math.ceil(limits.keysFetchesMax / 2) : limits.keysFetchesMax)) {
        telemetry.count('relay.limit.keysFetchesMax')
        return Promise.resolve(undefined)
      }
      forget(now)
      const published = fetch(way)
      const entry = { until: now + limits.dialTimeoutMs, fetchedAt: now, place, published }
      known.set(way.domain, entry)
      published.then((found) => {
        if (known.get(way.domain) !== entry) return
        // A route is the operator's word that the domain is there; any name at all may be asked for without one.
        const failure = way.url === undefined ? limits.discoveryFailureMs : limits.keysFailureMs
        const lifetime = found === undefined ? failure : limits.keysLifetimeMs
        known.set(way.domain, { ...entry, until: clock.monotonic() + lifetime })
      })
      return published
    },
  }
}
