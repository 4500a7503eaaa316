/**
 * The live view of a relay in a terminal: plain text, drawn anew over what stood there.
 * @module
 */
import { duration, many, octets, pairs, table } from './show.ts'
import type { Status } from './status.ts'

/** Two looks at a relay and what went on between them. */
export type View = { readonly status: Status; readonly perSecond: Readonly<Record<string, number>> }

/** Rates out of the counts of two looks; a relay that was started between them counts from 0. */
export function viewOf(before: Status, status: Status, seconds: number): View {
  const isSame = before.pid === status.pid && before.uptimeS <= status.uptimeS
  const rates = Object.entries(status.counts).map(([name, count]) => {
    const since = isSame ? (before.counts[name] ?? 0) : 0
    return [name, Math.round(((count - since) / Math.max(0.001, seconds)) * 10) / 10] as const
  })
  return { status, perSecond: Object.fromEntries(rates) }
}

/** The whole view as text. */
export function drawTop({ status, perSecond }: View): string {
  const { mailbox, memory, store, loopMs } = status
  const rows = Object.entries(status.counts).map(([name, count]) => [name, `${perSecond[name] ?? 0}/s`, String(count)])
  const queues = status.queues.map(({ domain, count, bytes, state }) => [domain, String(count), octets(bytes), state ?? '-'])
  return [
    `${status.domain}  ${status.notReady.length === 0 ? 'ready' : `NOT READY: ${status.notReady.join(', ')}`}  up ${duration(status.uptimeS)}  pid ${status.pid}  ${status.version}\n\n`,
    pairs([
      [
        'connections',
        `${status.connections} (${status.devices} devices, ${status.peersReady} relays out, ${status.stuck} stuck)`,
      ],
      ['waiting', `${many(mailbox.count, 'stanza')}, ${octets(mailbox.bytes)}`],
      ['store', `${octets(store.bytes)}, ${octets(store.freeBytes)} free`],
      ['memory', `${octets(memory.rss)} (heap ${octets(memory.heap)})`],
      ['event loop', `late by ${loopMs.mean} ms, p99 ${loopMs.p99} ms, at most ${loopMs.max} ms`],
    ]),
    queues.length === 0 ? '' : `\n${table(['towards', 'stanzas', 'size', 'state'], queues)}`,
    rows.length === 0 ? '' : `\n${table(['count', 'rate', 'since start'], rows)}`,
  ].join('')
}

/** Escape codes that put the next text in place of the last. */
export const overdraw = '\u001b[H\u001b[J'
