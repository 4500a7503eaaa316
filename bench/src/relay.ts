/**
 * `pnpm bench:relay [--json] [--quick] [--only=online,absent,idle,logins,mixed,federation,peers] [--profile=FOLDER]`: the relay beside its
 * floors, and beside the servers that are installed, on the same work in one run. The server has one core, the clients share
 * another. Loopback only, and only processes that it started itself.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFloor } from './relay-floor.ts'
import { startParley } from './relay-parley.ts'
import { findPeers } from './relay-peers.ts'
import { type Federation, type Figures, print, type Run, targets } from './relay-report.ts'
import { freePort, type Service } from './relay-service.ts'
import { absent, atRate, idling, logins, mixed, quick, saturated, whole } from './relay-work.ts'

/** More than any part takes of somebody else's server. */
const partMs = 120_000
const asJson = process.argv.includes('--json')
const scale = process.argv.includes('--quick') ? quick : whole
const only = process.argv
  .find((argument) => argument.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',')
const has = (part: string): boolean => only === undefined || only.includes(part)

// The servers have the first core to themselves.
if (process.platform === 'linux' && cpus().length > 1) spawnSync('taskset', ['-a', '-c', '-p', '1', String(process.pid)])

const folder = mkdtempSync(join(tmpdir(), 'parley bench '))
// Broken off, it ends as it would by itself: its servers and its folder go.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
const run = await measureAll()
const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
if (asJson) console.log(JSON.stringify({ machine, scale, ...run, targets: targets(run) }, undefined, 2))
else {
  console.log(`Node ${machine.node}, ${machine.cpu}, ${machine.cores} cores, which may be shared with others.`)
  console.log(
    `${scale.clients} clients, 1 KiB, ${scale.seconds} s each; ${scale.stored} stored; ${scale.idle} idle connections.\n`,
  )
  print(run)
}

async function measureAll(): Promise<Run> {
  const figures: Figures[] = []
  const notes: string[] = []
  const parley = await steps('parley-relay', (at) => startParley(at), {
    online: true,
    absent: true,
    idle: true,
    logins: true,
    mixed: true,
  })
  figures.push(parley)
  figures.push(
    await steps('parley-relay, all stored', (at) => startParley(at, { storesAll: true }), {
      online: true,
      absent: false,
      idle: false,
    }),
  )
  figures.push(await steps('bare ws + LevelDB', startFloor, { online: true, absent: true, idle: false }))
  figures.push(await steps('bare ws forwarder', () => startFloor(undefined), { online: true, absent: false, idle: true }))
  if (has('peers')) {
    const { found, skipped } = findPeers()
    for (const { name, stores, start } of found) {
      const onFailure = (part: string, why: string): number => notes.push(`not measured: ${name}, ${part}: ${why}`)
      figures.push(await steps(name, start, { online: true, absent: stores, idle: true, onFailure }))
    }
    notes.push(...skipped.map((why) => `not measured: ${why}`))
  }
  return { figures, ...(has('federation') ? { federation: await federated() } : {}), notes }
}

type Steps = {
  readonly online: boolean
  readonly absent: boolean
  readonly idle: boolean
  readonly logins?: boolean
  readonly mixed?: boolean
  /** Told what went wrong or took too long, where that does not end the run. */
  readonly onFailure?: (part: string, why: string) => void
}

/** Each part on a service that was just started, so that none pays for the one before. */
async function steps(name: string, start: (folder: string) => Promise<Service>, wanted: Steps): Promise<Figures> {
  const { onFailure } = wanted
  let figures: Figures = { name }
  let count = 0
  const on = async (part: string, measure: (service: Service) => Promise<Partial<Figures>>): Promise<void> => {
    if (!has(part)) return
    console.error(`${name}: ${part}`)
    let service: Service
    let made: Partial<Figures> = {}
    try {
      service = await start(join(folder, `${name} ${count++}`.replaceAll(/[^a-z0-9]/g, '-')))
      try {
        made = await (onFailure === undefined ? measure(service) : inTime(measure(service)))
      } finally {
        await service.stop()
      }
    } catch (error) {
      if (onFailure === undefined) throw error
      return onFailure(part, String(error).slice(0, 1000))
    }
    figures = { ...figures, ...made, name }
    const totals = service.totals?.()
    const all = totals?.['relay.stanza.stored']
    if (part === 'online' && all !== undefined)
      figures = { ...figures, skipped: { copies: totals?.['mailbox.skipped'] ?? 0, all } }
  }
  if (wanted.online) {
    await on('online', async (service) => ({ online: await saturated(service, scale) }))
    await on('rates', async (service) => ({
      latency: { 500: await atRate(service, 500, scale), 5000: await atRate(service, 5000, scale) },
    }))
  }
  if (wanted.absent) await on('absent', async (service) => ({ absent: await absent(service, scale) }))
  if (wanted.idle) await on('idle', async (service) => ({ idleBytes: await idling(service, scale) }))
  if (wanted.logins === true) await on('logins', async (service) => ({ logins: await logins(service, scale) }))
  if (wanted.mixed === true) await on('mixed', async (service) => ({ memory: await mixed(service, scale) }))
  return figures
}

async function inTime<Made>(work: Promise<Made>): Promise<Made> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => failed(new Error(`not done in ${partMs / 1000} seconds`)), partMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Half of the clients at one relay write to the other half at another one. */
async function federated(): Promise<Federation> {
  const [here, there] = ['a.localhost', 'b.localhost']
  const [portHere, portThere] = [await freePort(), await freePort()]
  const first = await startParley(join(folder, 'first'), {
    domain: here,
    port: portHere,
    other: { domain: there, port: portThere },
  })
  const second = await startParley(join(folder, 'second'), {
    domain: there,
    port: portThere,
    other: { domain: here, port: portHere },
  })
  try {
    return await saturated(first, scale, second)
  } finally {
    await Promise.all([first.stop(), second.stop()])
  }
}
