/**
 * The published keys of other domains (design §5): fetched from the route's own host and port, or pinned by it. One fetch at a
 * time per domain, bounded in size and time, and failures are remembered for a while.
 * @module
 */
import type { Clock, Domain, Transport } from '@parley/core'
import { readDomainKeys } from '@parley/identity'
import { thumbprint } from '@parley/jose'
import type { RelayLimits } from './limits.ts'
import { keysUrl, type Route } from './routes.ts'

export interface KeysOfDomains {
  /** Thumbprints of the keys in force, or `undefined` when they cannot be had now. With `fresh` what is remembered does not do. */
  find(route: Route, options?: { readonly fresh?: boolean }): Promise<ReadonlySet<string> | undefined>
}

type Known = {
  readonly until: number
  readonly fetchedAt: number
  readonly url: string
  readonly keys: Promise<ReadonlySet<string> | undefined>
}

// Two fetches in a row must lie so far apart, whoever asks for fresh ones.
const freshMsMin = 2_000

export function createKeysOfDomains(options: {
  readonly transport: Transport
  readonly clock: Clock
  readonly limits: RelayLimits
}): KeysOfDomains {
  const { transport, clock, limits } = options
  const known = new Map<Domain, Known>()

  async function fetch(route: Route): Promise<ReadonlySet<string> | undefined> {
    try {
      const response = await transport.request(keysUrl(route), {
        bytesMax: limits.keysBytesMax,
        timeoutMs: limits.dialTimeoutMs,
        // The operator wrote this route, so it may lead into a private network.
        allowAddress: () => true,
      })
      const read = response.status === 200 ? readDomainKeys(response.body) : undefined
      if (read?.ok !== true || read.domain !== route.domain) return undefined
      return new Set(read.keys.map(thumbprint))
    } catch {
      return undefined
    }
  }

  return {
    find(route, { fresh = false } = {}) {
      if (route.key !== undefined) return Promise.resolve(new Set([route.key]))
      const now = clock.monotonic()
      const before = known.get(route.domain)
      const isUsable = before !== undefined && before.url === route.url && now < before.until
      if (isUsable && !(fresh && now - before.fetchedAt >= freshMsMin)) return before.keys
      const keys = fetch(route)
      const entry = { until: now + limits.dialTimeoutMs, fetchedAt: now, url: route.url, keys }
      known.set(route.domain, entry)
      keys.then((found) => {
        if (known.get(route.domain) !== entry) return
        const lifetime = found === undefined ? limits.keysFailureMs : limits.keysLifetimeMs
        known.set(route.domain, { ...entry, until: clock.monotonic() + lifetime })
      })
      return keys
    },
  }
}
