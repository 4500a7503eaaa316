/**
 * `pnpm bench:envelope [--json] [--quick]`: the envelope beside npm jose, didcomm-node and two floors. Every contestant's
 * own opening is compared with the payload before anything is measured. `--quick` takes few rounds of the small cases.
 * @module
 */
import { cpus } from 'node:os'
import { bareBinary, bareJson } from './bare.ts'
import { bareNoble } from './bare-noble.ts'
import { didcommNode } from './didcomm.ts'
import { medians, type Task } from './measure.ts'
import { npmJose } from './npm-jose.ts'
import { parleyBinary, parleyJson, parleyNoble } from './parley.ts'
import { primitives } from './primitives.ts'
import { sessionTasks } from './session.ts'
import { type Figures, outcomes, ratio, sizeName } from './targets.ts'
import { type Contestant, type Curve, makeWork } from './work.ts'

const asJson = process.argv.includes('--json')
const quick = process.argv.includes('--quick')
const rounds = quick ? 3 : 15
const batchMs = quick ? 5 : 20
const warmUpMs = quick ? 20 : 400
const counts = quick ? [1, 10] : [1, 10, 100, 1000]
const sizes = quick ? [256] : [256, 256 * 1024]
const curves: readonly Curve[] = ['X25519', 'P-256']
const contestants: readonly Contestant[] = [parleyJson, parleyBinary, npmJose, didcommNode, bareJson, bareBinary, primitives]
// Of pure JavaScript: a floor of its own, a few cases of one curve.
const nobleContestants: readonly Contestant[] = [parleyNoble, bareNoble]

const all: Figures[] = []
let last: Contestant | undefined
if (!asJson) {
  console.log(
    `Medians of ${rounds} interleaved rounds of about ${batchMs} ms each, microseconds per message; the ratio to npm jose behind it.\n` +
      `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores, which may be shared with others: compare within a line.`,
  )
  if (quick) console.log('Quick: too few rounds, and too little warming up, for figures to quote.')
}
for (const curve of curves) {
  for (const payloadBytes of sizes) {
    for (const recipients of counts) {
      all.push(...(await measureCase(contestants, { curve, recipients, payloadBytes })))
    }
  }
}
for (const payloadBytes of sizes) {
  for (const recipients of [1, 10])
    all.push(...(await measureCase(nobleContestants, { curve: 'X25519', recipients, payloadBytes })))
}
const session = await medians(await sessionTasks(), { rounds, batchMs, warmUpMs })
if (asJson) {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
  console.log(
    JSON.stringify(
      { machine, rounds, batchMs, figures: all, session: Object.fromEntries(session), targets: outcomes(all, session) },
      undefined,
      2,
    ),
  )
} else {
  printTargets()
}

async function measureCase(
  running: readonly Contestant[],
  { curve, ...size }: { readonly curve: Curve; readonly recipients: number; readonly payloadBytes: number },
): Promise<readonly Figures[]> {
  const work = makeWork(curve, size)
  const tasks: { readonly seal: Task[]; readonly open: Task[] } = { seal: [], open: [] }
  const bytes: { [name: string]: number } = {}
  for (const contestant of running) {
    // Minutes of a thousand keys parsed anew each time would tell nothing that a hundred do not.
    if (contestant === didcommNode && size.recipients > 100) continue
    const prepared = await contestant.prepare(work)
    if (prepared === undefined) continue
    const { name } = contestant
    const opened = await prepared.open()
    if (Buffer.compare(opened, work.payload) !== 0) throw new Error(`${name} does not open what it sealed`)
    if (prepared.bytes !== undefined) bytes[name] = prepared.bytes
    tasks.seal.push({ name, run: prepared.seal })
    tasks.open.push({ name, run: prepared.open })
  }
  const made: Figures[] = []
  for (const operation of ['seal', 'open'] as const) {
    const ms = Object.fromEntries(await medians(tasks[operation], { rounds, batchMs, warmUpMs }))
    const figures: Figures = { curve, ...size, operation, ms, bytes }
    made.push(figures)
    if (!asJson) printCase(figures, { names: running.map(({ name }) => name), first: made.length === 1 && running[0] !== last })
    last = running[0]
  }
  return made
}

function printCase(figures: Figures, { names, first }: { readonly names: readonly string[]; readonly first: boolean }): void {
  if (first) console.log(['\ncase'.padEnd(35), ...names.map((name) => name.padStart(17))].join(''))
  const { curve, recipients, payloadBytes, operation } = figures
  const cells = names.map((name) => {
    const ms = figures.ms[name]
    if (ms === undefined) return '-'.padStart(17)
    const times = name === 'npm jose' ? undefined : ratio(figures, 'npm jose', name)
    return `${(ms * 1000).toFixed(0)} ${times === undefined ? '' : `${times.toFixed(1)}x`.padStart(6)}`.padStart(17)
  })
  console.log([`${operation} ${sizeName(payloadBytes)} for ${recipients}, ${curve}`.padEnd(34), ...cells].join(''))
}

function printTargets(): void {
  console.log('\nA message of a session, 256 B, microseconds')
  for (const [name, ms] of session) console.log(`${name.padEnd(34)}${(ms * 1000).toFixed(0).padStart(17)}`)
  console.log('\nTargets')
  for (const { target, bound, atMost, figure, met } of outcomes(all, session)) {
    const asked = `${atMost ? '<=' : '>='} ${bound}`
    console.log(`${met ? 'met    ' : 'missed '} ${target.padEnd(60)} ${figure.toFixed(2).padStart(8)}   ${asked}`)
  }
}
