/**
 * `node bench/dist/envelope.js --json | node bench/dist/page.js`: the tables of docs/performance.md out of a run's data.
 * @module
 */
import { text } from 'node:stream/consumers'
import { type Figures, type Outcome, ratio, sizeName } from './targets.ts'

type Run = {
  readonly machine: { readonly node: string; readonly cpu: string; readonly cores: number }
  readonly figures: readonly Figures[]
  readonly session: Readonly<Record<string, number>>
  readonly targets: readonly Outcome[]
}

// What `envelope --json` wrote.
const run = JSON.parse(await text(process.stdin)) as Run
const lines: string[] = [`Node ${run.machine.node}, ${run.machine.cpu}, ${run.machine.cores} cores.`]

for (const isNoble of [false, true]) {
  const rows = run.figures.filter(({ ms }) => 'bare noble' in ms === isNoble)
  const names = [...new Set(rows.flatMap(({ ms }) => Object.keys(ms)))]
  lines.push('', table(['work', ...names]), rule(names.length))
  for (const figures of rows) lines.push(table([workOf(figures), ...names.map((name) => cell(figures, name))]))
}

lines.push('', table(['a message of a session, 256 B', 'microseconds']), rule(1))
for (const [name, ms] of Object.entries(run.session)) lines.push(table([name, micro(ms)]))

const met = run.targets.filter((target) => target.met).length
lines.push('', `${met} of ${run.targets.length} targets were met in this run.`, '')
lines.push(table(['target', 'asked', 'figure', 'met']), rule(3))
for (const { target, bound, atMost, figure, met: isMet } of run.targets) {
  lines.push(table([target, `at ${atMost ? 'most' : 'least'} ${bound}`, figure.toFixed(2), isMet ? 'yes' : '**no**']))
}
console.log(lines.join('\n'))

function workOf({ operation, payloadBytes, recipients, curve }: Figures): string {
  return `${operation} ${sizeName(payloadBytes)} for ${recipients}, ${curve}`
}

function cell(figures: Figures, name: string): string {
  const ms = figures.ms[name]
  if (ms === undefined) return '-'
  const times = name === 'npm jose' ? undefined : ratio(figures, 'npm jose', name)
  return times === undefined ? micro(ms) : `${micro(ms)} (${times.toFixed(1)})`
}

function micro(ms: number): string {
  return (ms * 1000).toFixed(0)
}

function table(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function rule(columns: number): string {
  return `| --- |${' ---: |'.repeat(columns)}`
}
