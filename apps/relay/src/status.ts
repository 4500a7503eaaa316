/**
 * How a running relay is: for `status` and `top`, for `/readyz`, and the values that Prometheus scrapes.
 * @module
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Queue, Relay, RelayLimits, RelayStats } from '@parley/relay'
import type { Metrics, Reading } from './metrics.ts'
import type { GuardedStore } from './store/guarded-store.ts'

export type Status = {
  readonly domain: string
  readonly version: string
  readonly key: string
  readonly pid: number
  readonly port: number
  readonly uptimeS: number
  /** Empty when it takes everything. */
  readonly notReady: readonly string[]
  readonly connections: number
  readonly devices: number
  readonly peersReady: number
  /** Devices that have left a stanza unacknowledged for long. */
  readonly stuck: number
  readonly mailbox: { readonly count: number; readonly bytes: number }
  /** What waits for other domains, the longest first. */
  readonly queues: readonly Queue[]
  /** Milliseconds that the event loop was late since the last question. */
  readonly loopMs: { readonly mean: number; readonly p99: number; readonly max: number }
  readonly memory: { readonly rss: number; readonly heap: number }
  readonly store: { readonly bytes: number; readonly freeBytes: number }
  /** Milliseconds since 1970. */
  readonly certificateExpiry?: number
  /** Since the start, by the relay's own names. */
  readonly counts: Readonly<Record<string, number>>
}

export type StatusReader = {
  readonly readiness: () => readonly string[]
  readonly readings: () => Promise<readonly Reading[]>
  read(): Promise<Status>
  /** The relay is there. */
  start(relay: Relay): void
  /** It is ending. */
  drain(): void
  setCertificate(expiry: number): void
  /** The limits in force from now on. */
  setLimits(limits: RelayLimits): void
}

// Sums over all mailboxes read the store: a scrape and a live view share them.
const statsAgeMsMax = 2000
// Other domains are as many as people write to; the longest queues are the ones to look at.
const queuesMax = 50

type Sums = RelayStats & { readonly queues: readonly Queue[] }

export function createStatus(parts: {
  readonly store: GuardedStore
  readonly metrics: Metrics
  readonly version: string
  storeBytes(): Promise<number>
}): StatusReader {
  const { store, metrics, version } = parts
  const started = Date.now()
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  let relay: Relay | undefined
  let draining = false
  let certificateExpiry: number | undefined
  let limits: readonly Reading[] = []
  let stats: { readonly at: number; readonly read: Promise<Sums> } | undefined

  function readiness(): readonly string[] {
    const { problem } = store.state()
    return [
      ...(relay === undefined ? ['starting'] : []),
      ...(draining ? ['draining'] : []),
      ...(problem === undefined ? [] : [problem]),
    ]
  }

  async function sums(of: Relay): Promise<Sums> {
    const queues = (await of.queues.list()).filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)
    return { ...(await of.stats()), queues: queues.slice(0, queuesMax) }
  }

  function freshStats(of: Relay): Promise<Sums> {
    if (stats === undefined || performance.now() - stats.at > statsAgeMsMax) stats = { at: performance.now(), read: sums(of) }
    return stats.read
  }

  function running(): Relay {
    if (relay === undefined) throw new Error('the relay is starting')
    return relay
  }

  return {
    readiness,
    async read() {
      const of = running()
      const { connections, devices, peersReady, stuck, mailbox, queues } = await freshStats(of)
      const bytes = await parts.storeBytes()
      const loopMs = { mean: delay.mean / 1e6 - 10, p99: delay.percentile(99) / 1e6 - 10, max: delay.max / 1e6 - 10 }
      delay.reset()
      const { rss, heapUsed } = process.memoryUsage()
      return {
        domain: of.domain,
        version,
        key: of.key,
        pid: process.pid,
        port: of.port,
        uptimeS: Math.floor((Date.now() - started) / 1000),
        notReady: readiness(),
        connections,
        devices,
        peersReady,
        stuck,
        mailbox,
        queues,
        loopMs: { mean: late(loopMs.mean), p99: late(loopMs.p99), max: late(loopMs.max) },
        memory: { rss, heap: heapUsed },
        store: { bytes, freeBytes: store.state().freeBytes },
        ...(certificateExpiry === undefined ? {} : { certificateExpiry }),
        counts: metrics.totals(),
      }
    },
    async readings() {
      const { connections, devices, peersReady, stuck, mailbox, queues } = await freshStats(running())
      const bytes = await parts.storeBytes()
      return [
        ...queues.flatMap(({ domain, count, bytes: queued, oldest }): Reading[] => [
          { name: 'parley_relay_queue_stanzas', value: count, labels: { domain } },
          { name: 'parley_relay_queue_bytes', value: queued, labels: { domain } },
          {
            name: 'parley_relay_queue_age_seconds',
            value: oldest === undefined ? 0 : (Date.now() - oldest) / 1000,
            labels: { domain },
          },
        ]),
        { name: 'parley_relay_connections', value: connections },
        { name: 'parley_relay_devices', value: devices },
        { name: 'parley_relay_peers_ready', value: peersReady },
        { name: 'parley_relay_stuck_deliveries', value: stuck },
        { name: 'parley_relay_mailbox_stanzas', value: mailbox.count },
        { name: 'parley_relay_mailbox_bytes', value: mailbox.bytes },
        ...limits,
        { name: 'parley_relay_ready', value: readiness().length === 0 ? 1 : 0 },
        { name: 'parley_relay_disk_free_bytes', value: store.state().freeBytes },
        { name: 'parley_relay_store_bytes', value: bytes },
        { name: 'parley_relay_start_time_seconds', value: started / 1000 },
        ...(certificateExpiry === undefined
          ? []
          : [{ name: 'parley_relay_tls_certificate_expiry_seconds' as const, value: certificateExpiry / 1000 }]),
      ]
    },
    start(given) {
      relay = given
    },
    drain() {
      draining = true
    },
    setLimits(next) {
      limits = flatten(next).map(([limit, value]) => ({ name: 'parley_relay_limit_setting', value, labels: { limit } }))
    },
    setCertificate(expiry) {
      certificateExpiry = expiry
    },
  }
}

function flatten(limits: object, prefix = ''): readonly (readonly [name: string, value: number])[] {
  return Object.entries(limits).flatMap(([name, value]) =>
    typeof value === 'number' ? [[`${prefix}${name}`, value] as const] : flatten(value as object, `${prefix}${name}.`),
  )
}

// The histogram counts the resolution in, and has no mean before the first tick.
function late(ms: number): number {
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms * 100) / 100) : 0
}
