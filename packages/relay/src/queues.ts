/**
 * What waits for other domains, as those who run the relay see it.
 * @module
 */
import type { Domain } from '@parley/core'
import { unpackHeader } from '@parley/stream'
import { domainReader } from './bounces.ts'
import type { RelayContext } from './context.ts'
import type { Federation } from './federation.ts'
import type { PeerStatus } from './peer.ts'

/** The queue towards one other domain. Times are milliseconds since 1970. */
export type Queue = Partial<PeerStatus> & {
  readonly domain: Domain
  /** Stanzas that wait. */
  readonly count: number
  /** Their octets. */
  readonly bytes: number
  /** When the first of them was sent, as its sender says. */
  readonly oldest?: number
}

/** The queues towards other domains. */
export interface Queues {
  /** Those with something in them, and those of domains with a route. */
  list(): Promise<readonly Queue[]>
  /** Tries again now; answers whether there is such a domain. */
  retry(domain: Domain): boolean
  /** Gives up what waits, and tells the senders; answers how many stanzas that were. */
  drop(domain: Domain): Promise<number>
}

export function createQueues(context: RelayContext, parts: { readonly federation: Federation }): Queues {
  const { mailbox } = context
  const { federation } = parts

  async function queueOf(domain: Domain): Promise<Queue> {
    const reader = domainReader(domain)
    const { count, bytes } = await mailbox.stats(reader)
    const [first] = await mailbox.read(reader, 0, { countMax: 1, bytesMax: 1 })
    const sent = first === undefined ? undefined : unpackHeader(first.header)['sent']
    return { domain, count, bytes, ...(typeof sent === 'number' ? { oldest: sent } : {}), ...federation.statusOf(domain) }
  }

  return {
    async list() {
      const waiting = await mailbox.readers(domainReader(''))
      // Readers of this kind are named after domains.
      const names = new Set([...federation.domains, ...waiting.map((reader) => reader.slice(domainReader('').length) as Domain)])
      return Promise.all([...names].sort().map(queueOf))
    },
    retry(domain) {
      const known = federation.statusOf(domain) !== undefined || federation.has(domain)
      federation.hint(domain)
      federation.wake(domain)
      return known
    },
    drop: (domain) => federation.giveUp(domain, 'undeliverable'),
  }
}
