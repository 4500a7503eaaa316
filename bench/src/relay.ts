/**
 * `pnpm bench:relay [--json] [--quick]`: the relay beside its floors, on the same work in one run: messages of 1 KiB between
 * clients that are there, at saturation and at fixed rates; messages for the absent, stored and then drained; connections
 * that do nothing. The server has one core, the clients share another. Loopback only.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { startFloor } from './relay-floor.ts'
import { startParley } from './relay-parley.ts'
import type { Client, Service } from './relay-service.ts'

const asJson = process.argv.includes('--json')
const quick = process.argv.includes('--quick')
const clients = quick ? 50 : 200
const seconds = quick ? 2 : 8
const stored = quick ? 4000 : 20_000
const idle = quick ? 500 : 4000
const rates = [500, 5000]
/** Messages of one client that nobody has received yet, at saturation. */
const inFlight = 16
// 1 KiB with what each protocol puts around it being its own affair.
const bodyBytes = 1024

type Figures = {
  readonly name: string
  readonly onlinePerSecond: number
  readonly onlineCpuMicros: number
  readonly latency: Readonly<Record<string, { readonly p50: number; readonly p99: number }>>
  readonly storedPerSecond?: number
  readonly storedCpuMicros?: number
  readonly drainedPerSecond?: number
  readonly idleBytes: number
}

const folder = mkdtempSync(join(tmpdir(), 'parley bench '))
const all: Figures[] = []
try {
  for (const start of [
    () => startParley(join(folder, 'relay')),
    () => startFloor(join(folder, 'floor')),
    () => startFloor(undefined),
  ]) {
    const service = await start()
    try {
      all.push(await measure(service))
    } finally {
      await service.stop()
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
if (asJson) {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
  console.log(JSON.stringify({ machine, figures: all, targets: targets() }, undefined, 2))
} else print()

async function measure(service: Service): Promise<Figures> {
  const online = await saturated(service)
  const latency: { [rate: string]: { p50: number; p99: number } } = {}
  for (const rate of rates) latency[rate] = await atRate(service, rate)
  const kept = service.stores ? await absent(service) : undefined
  return { name: service.name, ...online, latency, ...kept, idleBytes: await idling(service) }
}

type Pool = {
  readonly members: readonly Client[]
  readonly received: number[]
  onReceived: (from: number) => void
  count: number
}

/** Clients who write to the one half a circle away; each body begins with when it was sent and by whom. */
async function pool(service: Service): Promise<Pool> {
  const members: Client[] = []
  const made: Pool = { members, received: [], onReceived() {}, count: 0 }
  for (let id = 0; id < clients; id++) {
    const message = (body: Uint8Array): void => {
      const view = new DataView(body.buffer, body.byteOffset)
      made.count++
      made.received.push(performance.now() - view.getFloat64(0))
      made.onReceived(view.getUint32(8))
    }
    members.push(await service.connect(id, { message }))
  }
  return made
}

function write({ members }: Pool, from: number): void {
  const body = new Uint8Array(bodyBytes)
  const view = new DataView(body.buffer)
  view.setFloat64(0, performance.now())
  view.setUint32(8, from)
  members[from]?.send((from + clients / 2) % clients, body)
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

async function saturated(service: Service): Promise<Pick<Figures, 'onlinePerSecond' | 'onlineCpuMicros'>> {
  const busy = await pool(service)
  let isOver = false
  busy.onReceived = (from) => {
    if (!isOver) write(busy, from)
  }
  for (let from = 0; from < clients; from++) for (let i = 0; i < inFlight; i++) write(busy, from)
  await pause(1000)
  const [count, cpu, start] = [busy.count, service.cpuSeconds(), performance.now()]
  await pause(seconds * 1000)
  const messages = busy.count - count
  const result = {
    onlinePerSecond: Math.round((messages * 1000) / (performance.now() - start)),
    onlineCpuMicros: Math.round(((service.cpuSeconds() - cpu) * 1e7) / messages) / 10,
  }
  isOver = true
  await pause(500)
  await Promise.all(busy.members.map((member) => member.close()))
  return result
}

async function atRate(service: Service, rate: number): Promise<{ p50: number; p99: number }> {
  const busy = await pool(service)
  await pause(300)
  busy.received.length = 0
  const start = performance.now()
  let sent = 0
  while (sent < rate * seconds) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - start) * rate) / 1000))
    for (; sent < due; sent++) write(busy, sent % clients)
    // The next millisecond; timers of Node are no finer.
    await pause(1)
  }
  await pause(500)
  await Promise.all(busy.members.map((member) => member.close()))
  const sorted = busy.received.sort((a, b) => a - b)
  const at = (part: number): number => Math.round((sorted[Math.floor(sorted.length * part)] ?? Number.NaN) * 100) / 100
  return { p50: at(0.5), p99: at(0.99) }
}

/** Twenty senders write for twenty who are away, who then come one after the other. */
async function absent(
  service: Service,
): Promise<Pick<Required<Figures>, 'storedPerSecond' | 'storedCpuMicros' | 'drainedPerSecond'>> {
  const pairs = 20
  const readers = Array.from({ length: pairs }, (_, i) => clients + i)
  for (const id of readers) await (await service.connect(id, {})).close()
  let accepted = 0
  let onAccepted = (): void => {}
  const senders = await Promise.all(
    readers.map((_, i) =>
      service.connect(i, {
        accepted(count) {
          accepted += count
          onAccepted()
        },
      }),
    ),
  )
  const body = new Uint8Array(bodyBytes)
  const [cpu, start] = [service.cpuSeconds(), performance.now()]
  await new Promise<void>((done) => {
    let sent = 0
    onAccepted = () => {
      while (sent < stored && sent - accepted < pairs * 64) senders[sent % pairs]?.send(clients + (sent++ % pairs), body)
      if (accepted >= stored) done()
    }
    onAccepted()
  })
  const storedPerSecond = Math.round((stored * 1000) / (performance.now() - start))
  const storedCpuMicros = Math.round(((service.cpuSeconds() - cpu) * 1e7) / stored) / 10
  await Promise.all(senders.map((sender) => sender.close()))

  let received = 0
  const drainStart = performance.now()
  const back: Client[] = []
  await new Promise<void>((done, failed) => {
    const message = (): void => {
      received++
      if (received === stored) done()
    }
    Promise.all(readers.map(async (id) => back.push(await service.connect(id, { message })))).catch(failed)
  })
  const drainedPerSecond = Math.round((stored * 1000) / (performance.now() - drainStart))
  await pause(500)
  await Promise.all(back.map((client) => client.close()))
  return { storedPerSecond, storedCpuMicros, drainedPerSecond }
}

async function idling(service: Service): Promise<number> {
  const first = 100_000
  // The first ones pay for what all share.
  const some = await Promise.all(Array.from({ length: 50 }, (_, i) => service.connect(first + i, {})))
  await pause(1000)
  const before = service.memoryBytes()
  const many: Client[] = []
  for (let i = 0; i < idle; i += 50) {
    many.push(...(await Promise.all(Array.from({ length: 50 }, (_, j) => service.connect(first + 50 + i + j, {})))))
  }
  await pause(2000)
  const bytes = Math.round((service.memoryBytes() - before) / idle)
  await Promise.all([...some, ...many].map((client) => client.close()))
  return bytes
}

type Target = {
  readonly target: string
  readonly bound: number
  readonly atMost: boolean
  readonly figure: number
  readonly met: boolean
}

function targets(): readonly Target[] {
  const [relay, floor, forwarder] = all
  if (relay === undefined || floor === undefined || forwarder === undefined) return []
  const least = (target: string, bound: number, figure: number): Target => ({
    target,
    bound,
    atMost: false,
    figure,
    met: figure >= bound,
  })
  const most = (target: string, bound: number, figure: number): Target => ({
    target,
    bound,
    atMost: true,
    figure,
    met: figure <= bound,
  })
  const p99 = ({ latency }: Figures): number => latency['5000']?.p99 ?? Number.NaN
  return [
    least('online, of the bare forwarder', 0.55, relay.onlinePerSecond / forwarder.onlinePerSecond),
    most('online, microseconds of processor time a message', 26, relay.onlineCpuMicros),
    least('stored, of bare ws + LevelDB', 0.9, (relay.storedPerSecond ?? 0) / (floor.storedPerSecond ?? 1)),
    least('drained, of bare ws + LevelDB', 0.9, (relay.drainedPerSecond ?? 0) / (floor.drainedPerSecond ?? 1)),
    most('p99 at 5,000 a second, of the bare forwarder', 2, p99(relay) / p99(forwarder)),
    most('octets of an idle connection, more than the bare forwarder', 3072, relay.idleBytes - forwarder.idleBytes),
  ]
}

function print(): void {
  console.log(`Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores, which may be shared with others.`)
  console.log(`${clients} clients, 1 KiB, ${seconds} s each; ${stored} stored; ${idle} idle connections.\n`)
  const rows: readonly [string, (one: Figures) => number | string | undefined][] = [
    ['online, messages a second', (one) => one.onlinePerSecond],
    ['  server, microseconds a message', (one) => one.onlineCpuMicros],
    ...rates.map((rate): [string, (one: Figures) => string] => [
      `at ${rate}/s, p50 / p99 ms`,
      ({ latency }) => `${latency[rate]?.p50} / ${latency[rate]?.p99}`,
    ]),
    ['stored, messages a second', (one) => one.storedPerSecond],
    ['  server, microseconds a message', (one) => one.storedCpuMicros],
    ['drained, messages a second', (one) => one.drainedPerSecond],
    ['idle connection, octets', (one) => one.idleBytes],
  ]
  console.log([''.padEnd(34), ...all.map(({ name }) => name.padStart(20))].join(''))
  for (const [name, of] of rows) console.log([name.padEnd(34), ...all.map((one) => String(of(one) ?? '-').padStart(20))].join(''))
  console.log('\nTargets')
  for (const { target, bound, atMost, figure, met } of targets()) {
    console.log(
      `${met ? 'met    ' : 'missed '} ${target.padEnd(60)} ${figure.toFixed(2).padStart(10)}   ${atMost ? '<=' : '>='} ${bound}`,
    )
  }
}
