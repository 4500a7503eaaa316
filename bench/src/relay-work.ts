/**
 * The work that is measured, the same for every service: messages of 1 KiB between clients that are there, at saturation and at
 * fixed rates; messages for the absent, stored and then drained; connections that do nothing; a storm of logins; all of it mixed.
 * @module
 */
import { performance } from 'node:perf_hooks'
import type { Client, Service } from './relay-service.ts'

export type Scale = {
  readonly clients: number
  readonly seconds: number
  readonly stored: number
  readonly idle: number
  readonly logins: number
  readonly loginSeconds: number
  readonly mixedSeconds: number
}
export const whole: Scale = {
  clients: 200,
  seconds: 8,
  stored: 20_000,
  idle: 10_000,
  logins: 6000,
  loginSeconds: 60,
  mixedSeconds: 600,
}
export const quick: Scale = {
  clients: 100,
  seconds: 2,
  stored: 5000,
  idle: 500,
  logins: 300,
  loginSeconds: 3,
  mixedSeconds: 10,
}

/** Messages that nobody has received yet, at saturation, for each client. */
const inFlight = 16
/** How long messages flow before their times count. */
const warmMs = 4000
/** 1 KiB with what each protocol puts around it being its own affair. */
const bodyBytes = 1024
/** Numbers of clients that only one part of the work has. */
const [idleFrom, loginFrom, mixedFrom] = [100_000, 200_000, 300_000]

export type Percentiles = { readonly p50: number; readonly p99: number }
export type Online = { readonly perSecond: number; readonly cpuMicros: number }
export type Absent = {
  readonly storedPerSecond: number
  readonly storedCpuMicros: number
  readonly drainedPerSecond: number
  readonly drainedCpuMicros: number
}

type Pool = {
  readonly members: readonly Client[]
  readonly received: number[]
  onReceived: (from: number) => void
  count: number
}

/** Clients who write to the one half a circle away; each body begins with when it was sent and by whom. */
async function pool(clients: number, service: Service, other: Service = service): Promise<Pool> {
  const members: Client[] = []
  const made: Pool = { members, received: [], onReceived() {}, count: 0 }
  for (let id = 0; id < clients; id++) {
    const message = (body: Uint8Array): void => {
      const view = new DataView(body.buffer, body.byteOffset)
      made.count++
      made.received.push(performance.now() - view.getFloat64(0))
      made.onReceived(view.getUint32(8))
    }
    // Between two services, the first half of the circle is here and the second there.
    members.push(await (id < clients / 2 ? service : other).connect(id, { message }))
  }
  return made
}

function write({ members }: Pool, from: number): void {
  const body = new Uint8Array(bodyBytes)
  const view = new DataView(body.buffer)
  view.setFloat64(0, performance.now())
  view.setUint32(8, from)
  members[from]?.send((from + members.length / 2) % members.length, body)
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

async function leave(clients: readonly Client[]): Promise<void> {
  await pause(500)
  await Promise.all(clients.map((client) => client.close()))
}

function percentiles(times: number[]): Percentiles {
  const sorted = times.sort((a, b) => a - b)
  const at = (part: number): number => Math.round((sorted[Math.floor(sorted.length * part)] ?? Number.NaN) * 100) / 100
  return { p50: at(0.5), p99: at(0.99) }
}

/** As many messages as go. Only the first half writes when the second is at another service. */
export async function saturated(
  service: Service,
  { clients, seconds }: Scale,
  other?: Service,
): Promise<Online & { readonly otherCpuMicros: number }> {
  const busy = await pool(clients, service, other)
  let isOver = false
  busy.onReceived = (from) => {
    if (!isOver) write(busy, from)
  }
  const writers = other === undefined ? clients : clients / 2
  // As many messages on their way, however many write.
  const each = (inFlight * clients) / writers
  for (let from = 0; from < writers; from++) for (let i = 0; i < each; i++) write(busy, from)
  await pause(1500)
  const [count, cpu, otherCpu, start] = [busy.count, service.cpuSeconds(), other?.cpuSeconds() ?? 0, performance.now()]
  await pause(seconds * 1000)
  const messages = busy.count - count
  const micros = (spent: number): number => Math.round((spent * 1e7) / messages) / 10
  const result = {
    perSecond: Math.round((messages * 1000) / (performance.now() - start)),
    cpuMicros: micros(service.cpuSeconds() - cpu),
    otherCpuMicros: micros((other?.cpuSeconds() ?? 0) - otherCpu),
  }
  isOver = true
  await leave(busy.members)
  return result
}

/** So many messages a second: how long each takes. */
export async function atRate(service: Service, rate: number, { clients, seconds }: Scale): Promise<Percentiles> {
  const busy = await pool(clients, service)
  // Until the server's code is compiled: the threads that do it share its core.
  await flow(busy, { rate: 5000, ms: warmMs })
  await pause(300)
  busy.received.length = 0
  await flow(busy, { rate, ms: seconds * 1000 })
  await leave(busy.members)
  return percentiles(busy.received)
}

async function flow(busy: Pool, { rate, ms }: { readonly rate: number; readonly ms: number }): Promise<void> {
  const start = performance.now()
  const all = (rate * ms) / 1000
  for (let sent = 0; sent < all; ) {
    const due = Math.min(all, Math.floor(((performance.now() - start) * rate) / 1000))
    for (; sent < due; sent++) write(busy, sent % busy.members.length)
    // The next millisecond; timers of Node are no finer.
    await pause(1)
  }
}

/**
 * Twenty senders write for twenty who are away, who then come one after the other. All of it is done twice and counted the second
 * time, as the other parts count after they have run for a while.
 */
export async function absent(service: Service, scale: Scale): Promise<Absent> {
  for (const id of readersOf(scale)) await (await service.connect(id, {})).close()
  await store(service, scale)
  await drain(service, scale)
  const [storedPerSecond, storedCpuMicros] = await store(service, scale)
  const [drainedPerSecond, drainedCpuMicros] = await drain(service, scale)
  return { storedPerSecond, storedCpuMicros, drainedPerSecond, drainedCpuMicros }
}

const pairs = 20

function readersOf({ clients }: Scale): readonly number[] {
  return Array.from({ length: pairs }, (_, i) => clients + i)
}

type Pace = readonly [perSecond: number, cpuMicros: number]

async function timed(service: Service, messages: number, work: () => Promise<void>): Promise<Pace> {
  const [cpu, start] = [service.cpuSeconds(), performance.now()]
  await work()
  const perSecond = Math.round((messages * 1000) / (performance.now() - start))
  return [perSecond, Math.round(((service.cpuSeconds() - cpu) * 1e7) / messages) / 10]
}

async function store(service: Service, scale: Scale): Promise<Pace> {
  const readers = readersOf(scale)
  let accepted = 0
  let onAccepted = (): void => {}
  const taken = (count: number): void => {
    accepted += count
    onAccepted()
  }
  const senders = await Promise.all(readers.map((_, i) => service.connect(i, { accepted: taken })))
  const body = new Uint8Array(bodyBytes)
  const pace = await timed(
    service,
    scale.stored,
    () =>
      new Promise<void>((done) => {
        let sent = 0
        onAccepted = () => {
          while (sent < scale.stored && sent - accepted < pairs * 64) {
            senders[sent % pairs]?.send(readers[sent % pairs] as number, body)
            sent++
          }
          if (accepted >= scale.stored) done()
        }
        onAccepted()
      }),
  )
  await leave(senders)
  return pace
}

async function drain(service: Service, scale: Scale): Promise<Pace> {
  let received = 0
  const back: Client[] = []
  const pace = await timed(
    service,
    scale.stored,
    () =>
      new Promise<void>((done, failed) => {
        const message = (): void => {
          received++
          if (received === scale.stored) done()
        }
        Promise.all(readersOf(scale).map(async (id) => back.push(await service.connect(id, { message })))).catch(failed)
      }),
  )
  await leave(back)
  return pace
}

/** Octets of the server's memory for each connection that does nothing. All have been there once before: what accounts take is not counted. */
export async function idling(service: Service, { idle }: Scale): Promise<number> {
  const enter = async (): Promise<Client[]> => {
    const clients: Client[] = []
    for (let i = 0; i < idle; i += 50) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, (_, j) => service.connect(idleFrom + i + j, {})))))
    }
    return clients
  }
  await leave(await enter())
  await pause(2000)
  await service.collect?.()
  const before = service.memoryBytes()
  const clients = await enter()
  await pause(2000)
  await service.collect?.()
  const bytes = Math.round((service.memoryBytes() - before) / idle)
  await leave(clients)
  return bytes
}

/** So many logins within the time, while 2,000 messages a second flow: how long each takes. */
export async function logins(service: Service, scale: Scale): Promise<Percentiles> {
  const { logins: count, loginSeconds } = scale
  for (let i = 0; i < count; i += 50)
    await leaveAtOnce(Array.from({ length: Math.min(50, count - i) }, (_, j) => service.connect(loginFrom + i + j, {})))
  const busy = await pool(scale.clients, service)
  const flowing = flow(busy, { rate: 2000, ms: loginSeconds * 1000 })
  const times: number[] = []
  const all: Promise<void>[] = []
  const start = performance.now()
  for (let i = 0; i < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - start) * count) / (loginSeconds * 1000)))
    for (; i < due; i++) {
      const began = performance.now()
      all.push(
        service.connect(loginFrom + i, {}).then((client) => {
          times.push(performance.now() - began)
          return client.close()
        }),
      )
    }
    await pause(5)
  }
  await Promise.all([flowing, ...all])
  await leave(busy.members)
  return percentiles(times)
}

async function leaveAtOnce(connecting: readonly Promise<Client>[]): Promise<void> {
  await Promise.all(connecting.map(async (client) => (await client).close()))
}

export type Memory = { readonly second: number; readonly megabytes: number }

/** 2,000 messages a second, a tenth of them for who comes and goes, and ten logins a second; the server's memory over time. */
export async function mixed(service: Service, scale: Scale): Promise<readonly Memory[]> {
  const seconds = scale.mixedSeconds
  const busy = await pool(scale.clients, service)
  const memory: Memory[] = []
  let isOver = false
  const visits = (async () => {
    const body = new Uint8Array(bodyBytes)
    for (let i = 0; !isOver; i++) {
      // Away, written to, and back a little later to read it.
      const id = mixedFrom + (i % 100)
      const visitor = await service.connect(id, {})
      await visitor.close()
      for (let j = 0; j < 20; j++) busy.members[(i + j) % busy.members.length]?.send(id, body)
      await pause(100)
    }
  })()
  const start = performance.now()
  const step = Math.max(1, seconds / 60)
  for (let at = 0; at < seconds; at += step) {
    await flow(busy, { rate: 1800, ms: step * 1000 })
    memory.push({ second: Math.round((performance.now() - start) / 1000), megabytes: Math.round(service.memoryBytes() / 1e6) })
  }
  isOver = true
  await visits
  await leave(busy.members)
  return memory
}

/** How much more memory the last third of the time took than the second. */
export function growth(memory: readonly Memory[]): number {
  const third = Math.floor(memory.length / 3)
  const mean = (part: readonly Memory[]): number => part.reduce((sum, { megabytes }) => sum + megabytes, 0) / part.length
  return mean(memory.slice(2 * third)) / mean(memory.slice(third, 2 * third))
}
