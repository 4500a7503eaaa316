/**
 * What can be counted and measured, for Prometheus. A count `relay.device.login` is `parley_relay_device_login_total`; where the last
 * part of a name says why, it is a label. A measure is a histogram. Values at a moment are read when somebody asks.
 * @module
 */
import type { Telemetry } from '@parley/core'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { createHistogram } from './histogram.ts'

export type Metrics = {
  readonly telemetry: Pick<Telemetry, 'count' | 'measure'>
  /** Every count since the start, by the name the relay gives it. */
  totals(): Readonly<Record<string, number>>
  /** Shows these values from now on; asked for when somebody scrapes. */
  observe(read: () => Promise<readonly Reading[]>): void
  /** The page for Prometheus. */
  page(): Promise<{ readonly type: string; readonly text: string }>
}

export type Reading = {
  readonly name: keyof typeof gauges
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** Counts whose names end in a label, which may have parts itself: `relay.limit.mailbox.countMax`. */
const families = {
  'relay.connection.refused': 'code',
  'relay.device.ended': 'code',
  'relay.peer.ended': 'code',
  'relay.peer_session.ended': 'code',
  'relay.limit': 'limit',
} as const

/** Shown with 0 before they first happen, so that a rate can be taken of them. */
const known: Readonly<Record<string, string>> = {
  'mailbox.duplicate': 'Stanzas that came again and were not stored twice.',
  'mailbox.skipped': 'Stanzas that devices acknowledged before they were written, and so never were.',
  'mailbox.turn_failed': 'Batches that the store did not take.',
  'relay.device.login': 'Devices let in.',
  'relay.device.stanza': 'Stanzas from devices.',
  'relay.device.failed': 'Connections of devices ended by a failure in here.',
  'relay.stanza.stored': 'Entries stored in mailboxes and queues.',
  'relay.ephemeral.dropped': 'Ephemeral stanzas that nobody took: a device or another relay was too slow, or not connected.',
  'relay.peer.ready': 'Connections to other relays that stood.',
  'relay.peer.dial_failed': 'Attempts to reach another relay that failed.',
  'relay.peer.no_keys': 'Attempts that failed because the other domain’s keys could not be had.',
  'relay.peer_session.ready': 'Connections from other relays that stood.',
  'relay.peer_session.stanza': 'Stanzas from other relays.',
  'relay.failed': 'Work that failed in here.',
  'store.batch_failed': 'Batches that the database refused.',
  'store.refused_full': 'Batches refused because the disk has no room.',
}

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const knownMeasures: Readonly<Record<string, string>> = {
  'mailbox.appends_per_turn': 'Stanzas stored with one sync.',
  'store.batch_ms': 'From handing a batch to the database until it is written, synced where that is asked.',
  'relay.stanza.accept_ms': 'From the arrival of a device’s stanza to the moment it is durable and may be acknowledged.',
  'relay.stanza.deliver_ms': 'From sending a stanza to a device to its acknowledgement.',
}

const gauges = {
  parley_relay_connections: 'Open connections of every kind.',
  parley_relay_devices: 'Devices that are connected.',
  parley_relay_peers_ready: 'Other relays that this one is connected to.',
  parley_relay_mailbox_stanzas: 'Stanzas in mailboxes and queues.',
  parley_relay_mailbox_bytes: 'Octets in mailboxes and queues.',
  parley_relay_stuck_deliveries: 'Connected devices that have left a stanza unacknowledged for long.',
  parley_relay_queue_stanzas: 'Stanzas waiting for another domain.',
  parley_relay_queue_bytes: 'Octets waiting for another domain.',
  parley_relay_queue_age_seconds: 'Age of the oldest stanza waiting for another domain.',
  parley_relay_limit_setting: 'The limits that are in force, by their names.',
  parley_relay_ready: '1 when /readyz says so.',
  parley_relay_disk_free_bytes: 'Room on the disk of the data folder.',
  parley_relay_store_bytes: 'Size of the store.',
  parley_relay_tls_certificate_expiry_seconds: 'When the certificate ends, in seconds since 1970.',
  parley_relay_start_time_seconds: 'When the relay was started, in seconds since 1970.',
} as const

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const counters = new Map<string, (by: number) => void>()
  const measures = new Map<string, (value: number) => void>()
  // Counted here, and told to the counters when somebody reads them: that costs more than counting.
  const sums = new Map<string, { all: number; told: number }>()
  const family = Object.fromEntries(
    Object.entries(families).map(([prefix, label]) => {
      const counter = new Counter({
        name: counterName(prefix),
        help: `${prefix}, by ${label}`,
        labelNames: [label],
        registers: [registry],
      })
      return [prefix, (last: string) => counter.labels(last)]
    }),
  )
  const values = new Map(
    Object.entries(gauges).map(([name, help]) => {
      const labelNames = name.includes('_queue_') ? ['domain'] : name.endsWith('_limit_setting') ? ['limit'] : []
      return [name, new Gauge({ name, help, labelNames, registers: [registry] })]
    }),
  )
  let read = async (): Promise<readonly Reading[]> => []
  for (const name of Object.keys(known)) counters.set(name, makeCounter(name))
  for (const name of Object.keys(knownMeasures)) measures.set(name, makeMeasure(name))

  function makeCounter(name: string): (by: number) => void {
    const prefix = Object.keys(families).find((each) => name.startsWith(`${each}.`))
    const labelled = prefix === undefined ? undefined : family[prefix]?.(name.slice(prefix.length + 1))
    const counter = labelled ?? new Counter({ name: counterName(name), help: known[name] ?? name, registers: [registry] })
    return (by) => counter.inc(by)
  }

  function makeMeasure(name: string): (value: number) => void {
    const isTime = name.endsWith('_ms')
    const observe = createHistogram({
      name: isTime ? `${metricName(name).slice(0, -3)}_seconds` : metricName(name),
      help: knownMeasures[name] ?? name,
      buckets: isTime ? seconds : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      registry,
    })
    return isTime ? (value) => observe(value / 1000) : observe
  }

  function tell(): void {
    for (const [name, sum] of sums) {
      const counter = counters.get(name) ?? makeCounter(name)
      counters.set(name, counter)
      counter(sum.all - sum.told)
      sum.told = sum.all
    }
  }

  return {
    telemetry: {
      count(name, by = 1) {
        const sum = sums.get(name)
        if (sum === undefined) sums.set(name, { all: by, told: 0 })
        else sum.all += by
      },
      measure(name, value) {
        let measure = measures.get(name)
        if (measure === undefined) {
          measure = makeMeasure(name)
          measures.set(name, measure)
        }
        measure(value)
      },
    },
    totals: () =>
      Object.fromEntries([...sums].map(([name, { all }]) => [name, all] as const).sort(([a], [b]) => (a < b ? -1 : 1))),
    observe(fn) {
      read = fn
    },
    async page() {
      tell()
      for (const gauge of values.values()) gauge.reset()
      for (const { name, value, labels = {} } of await read()) values.get(name)?.set(labels, value)
      return { type: registry.contentType, text: await registry.metrics() }
    },
  }
}

// `relay.device.login` and `mailbox.duplicate` are both the relay's.
function metricName(name: string): string {
  return `parley_relay_${name
    .replace(/^relay\./, '')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()}`
}

function counterName(name: string): string {
  return `${metricName(name)}_total`
}
