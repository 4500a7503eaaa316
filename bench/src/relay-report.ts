/**
 * The tables of a run, each target beside its figure.
 * @module
 */
import type { Absent, Memory, Online, Percentiles } from './relay-work.ts'
import { growth } from './relay-work.ts'

export type Figures = {
  readonly name: string
  readonly online?: Online
  readonly latency?: Readonly<Record<string, Percentiles>>
  readonly absent?: Absent
  readonly idleBytes?: number
  readonly logins?: Percentiles
  readonly memory?: readonly Memory[]
  /** Copies that were never written because they were acknowledged in time, and all. */
  readonly skipped?: { readonly copies: number; readonly all: number }
}
export type Federation = { readonly perSecond: number; readonly cpuMicros: number; readonly otherCpuMicros: number }

export type Run = { readonly figures: readonly Figures[]; readonly federation?: Federation; readonly notes: readonly string[] }

export type Target = {
  readonly target: string
  readonly bound: number
  readonly atMost: boolean
  readonly figure: number
  readonly met: boolean
}

/** The targets of this run, those whose parts were measured. */
export function targets({ figures, federation }: Run): readonly Target[] {
  const named = (name: string): Figures | undefined => figures.find((one) => one.name === name)
  const [relay, floor, forwarder] = [named('parley-relay'), named('bare ws + LevelDB'), named('bare ws forwarder')]
  const ejabberd = named('ejabberd')
  const made: Target[] = []
  const add = (target: string, bound: number, figure: number | undefined, atMost: boolean): void => {
    if (figure === undefined || Number.isNaN(figure)) return
    made.push({ target, bound, atMost, figure, met: atMost ? figure <= bound : figure >= bound })
  }
  const ratio = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? undefined : a / b
  const p99 = (of: Figures | undefined): number | undefined => of?.latency?.['5000']?.p99
  add('online, of the bare forwarder', 0.55, ratio(relay?.online?.perSecond, forwarder?.online?.perSecond), false)
  add('online, microseconds of processor time a message', 26, relay?.online?.cpuMicros, true)
  add('stored, of bare ws + LevelDB', 0.9, ratio(relay?.absent?.storedPerSecond, floor?.absent?.storedPerSecond), false)
  add('drained, of bare ws + LevelDB', 0.9, ratio(relay?.absent?.drainedPerSecond, floor?.absent?.drainedPerSecond), false)
  add('online, times ejabberd over WebSocket', 2.5, ratio(relay?.online?.perSecond, ejabberd?.online?.perSecond), false)
  add('stored, times ejabberd', 3, ratio(relay?.absent?.storedPerSecond, ejabberd?.absent?.storedPerSecond), false)
  add('drained, times ejabberd', 1.7, ratio(relay?.absent?.drainedPerSecond, ejabberd?.absent?.drainedPerSecond), false)
  add('p99 at 5,000 a second, of the bare forwarder', 2, ratio(p99(relay), p99(forwarder)), true)
  if (relay?.idleBytes !== undefined && forwarder?.idleBytes !== undefined)
    add('octets of an idle connection, more than the bare forwarder', 3072, relay.idleBytes - forwarder.idleBytes, true)
  add('p99 of a login while 2,000 messages a second flow, ms', 250, relay?.logins?.p99, true)
  add('the sending relay of two, of the single one', 1.45, ratio(federation?.cpuMicros, relay?.online?.cpuMicros), true)
  add('the receiving relay of two, of the single one', 1.45, ratio(federation?.otherCpuMicros, relay?.online?.cpuMicros), true)
  if (relay?.memory !== undefined && relay.memory.length >= 3)
    add('memory, last third of the mixed run to the second', 1.1, growth(relay.memory), true)
  return made
}

/** Prints it as tables. */
export function print(run: Run): void {
  const { figures, federation, notes } = run
  const pair = (of: Percentiles | undefined): string | undefined => (of === undefined ? undefined : `${of.p50} / ${of.p99}`)
  const rows: readonly [string, (one: Figures) => number | string | undefined][] = [
    ['online, messages a second', (one) => one.online?.perSecond],
    ['  server, microseconds a message', (one) => one.online?.cpuMicros],
    [
      '  copies not written, per cent',
      ({ skipped }) => (skipped === undefined ? undefined : Math.round((100 * skipped.copies) / skipped.all)),
    ],
    ['at 500/s, p50 / p99 ms', (one) => pair(one.latency?.['500'])],
    ['at 5000/s, p50 / p99 ms', (one) => pair(one.latency?.['5000'])],
    ['stored, messages a second', (one) => one.absent?.storedPerSecond],
    ['  server, microseconds a message', (one) => one.absent?.storedCpuMicros],
    ['drained, messages a second', (one) => one.absent?.drainedPerSecond],
    ['  server, microseconds a message', (one) => one.absent?.drainedCpuMicros],
    ['idle connection, octets', (one) => one.idleBytes],
    ['login in a storm, p50 / p99 ms', (one) => pair(one.logins)],
  ]
  const width = Math.max(20, ...figures.map(({ name }) => name.length + 2))
  console.log([''.padEnd(36), ...figures.map(({ name }) => name.padStart(width))].join(''))
  for (const [name, of] of rows)
    console.log([name.padEnd(36), ...figures.map((one) => String(of(one) ?? '-').padStart(width))].join(''))
  if (federation !== undefined)
    console.log(
      `\nTwo relays: ${federation.perSecond} messages a second, ${federation.cpuMicros} microseconds at the sending one, which stores all, ${federation.otherCpuMicros} at the receiving one.`,
    )
  for (const { name, memory } of figures)
    if (memory !== undefined)
      console.log(
        `\nMemory of ${name} in the mixed run: ${memory.map(({ second, megabytes }) => `${second} s ${megabytes} MB`).join(', ')}`,
      )
  if (notes.length > 0) console.log(`\n${notes.join('\n')}`)
  console.log('\nTargets')
  for (const { target, bound, atMost, figure, met } of targets(run)) {
    const line = [
      met ? 'met  ' : 'short',
      target.padEnd(62),
      figure.toFixed(2).padStart(10),
      `  ${atMost ? '<=' : '>='} ${bound}`,
    ]
    console.log(line.join(' '))
  }
}
