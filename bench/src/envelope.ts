/**
 * `pnpm bench:envelope [--json] [--quick]`: the envelope beside npm jose, didcomm-node and two floors. Every contestant's
 * own opening is compared with the payload before anything is measured. `--quick` takes few rounds of the small cases.
 * @module
 */
import { cpus } from 'node:os'
import { bareBinary, bareJson } from './bare.ts'
import { didcommNode } from './didcomm.ts'
import { medians, type Task } from './measure.ts'
import { npmJose } from './npm-jose.ts'
import { parleyBinary, parleyJson } from './parley.ts'
import { primitives } from './primitives.ts'
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

const all: Figures[] = []
for (const curve of curves) {
  for (const payloadBytes of sizes) {
    for (const recipients of counts) {
      all.push(...(await measureCase(curve, { recipients, payloadBytes })))
    }
  }
}
if (asJson) {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
  console.log(JSON.stringify({ machine, rounds, batchMs, figures: all, targets: outcomes(all) }, undefined, 2))
} else {
  printTargets()
}

async function measureCase(
  curve: Curve,
  size: { readonly recipients: number; readonly payloadBytes: number },
): Promise<readonly Figures[]> {
  const work = makeWork(curve, size)
  const tasks: { readonly seal: Task[]; readonly open: Task[] } = { seal: [], open: [] }
  const bytes: { [name: string]: number } = {}
  for (const contestant of contestants) {
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
    if (!asJson) printCase(figures, made.length === 1 && all.length === 0)
  }
  return made
}

function printCase(figures: Figures, first: boolean): void {
  const names = contestants.map(({ name }) => name)
  if (first) {
    console.log(
      `Medians of ${rounds} interleaved rounds of about ${batchMs} ms each, microseconds per message; the ratio to npm jose behind it.\n` +
        `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores, which may be shared with others: compare within a line.\n`,
    )
    console.log(['case'.padEnd(34), ...names.map((name) => name.padStart(17))].join(''))
  }
  const { curve, recipients, payloadBytes, operation } = figures
  const cells = names.map((name) => {
    const ms = figures.ms[name]
    const times = ratio(figures, 'npm jose', name)
    if (ms === undefined || times === undefined) return '-'.padStart(17)
    return `${(ms * 1000).toFixed(0)} ${name === 'npm jose' ? '' : `${times.toFixed(1)}x`.padStart(6)}`.padStart(17)
  })
  console.log([`${operation} ${sizeName(payloadBytes)} for ${recipients}, ${curve}`.padEnd(34), ...cells].join(''))
}

function printTargets(): void {
  console.log('\nTargets')
  for (const { target, bound, atMost, figure, met } of outcomes(all)) {
    const asked = `${atMost ? '<=' : '>='} ${bound}`
    console.log(`${met ? 'met    ' : 'missed '} ${target.padEnd(60)} ${figure.toFixed(2).padStart(8)}   ${asked}`)
  }
}
