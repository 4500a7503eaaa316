/**
 * `pnpm bench:agent [--json] [--quick]`: an agent beside its relay. A sender alone in a process while the reader is away, then
 * the reader alone with a full mailbox; both in one process; a first message to somebody new; a message to a thousand devices.
 * Everything is durable: LevelDB, each batch synced.
 * @module
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Agent } from '@parley/agent'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'
import { type Figures, sendMany, takeMany } from './agent-process.ts'
import { audienceRatio } from './audience.ts'
import { type Breakdown, breakdown } from './cpu-profile.ts'

const asJson = process.argv.includes('--json')
const quick = process.argv.includes('--quick')
const messages = quick ? 3000 : 30_000
const contacts = quick ? 8 : 40
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'parley bench '))
const relay = await startRelay()
try {
  const figures = await measure()
  if (asJson) console.log(JSON.stringify(figures, undefined, 2))
  else print(figures)
} finally {
  relay.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

type Alone = Figures & { readonly perSecond: number; readonly perCpuSecond: number; readonly breakdown: Breakdown }
type All = {
  readonly machine: { readonly node: string; readonly cpu: string | undefined; readonly cores: number }
  readonly sender: Alone
  readonly receiver: Alone
  readonly together: { readonly messages: number; readonly perSecond: number }
  readonly firstMessageMsMedian: number
  readonly audienceOf1000: number
}

async function measure(): Promise<All> {
  const [alice, bob] = ['alice@a.localhost', 'bob@a.localhost'] as const
  await (await make(alice)).close()
  // People who know one another: what a stranger sends before their card is there has a quota.
  const reader = await make(bob)
  await reader.addContact(`im:${alice}`)
  await reader.close()
  const sender = await alone('send', [join(folder, alice), bob])
  const receiver = await alone('take', [join(folder, bob), ''])
  const [carol, dave] = [await make('carol@a.localhost'), await make('dave@a.localhost')]
  const half = Math.ceil(messages / 2)
  const start = performance.now()
  await Promise.all([sendMany(carol, { to: dave.address, messages: half - 1 }), takeMany(dave, half)])
  const together = { messages: half, perSecond: Math.round(half / ((performance.now() - start) / 1000)) }
  await dave.close()
  const firstMessageMsMedian = await firstMessages(carol)
  await carol.close()
  return {
    machine: { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length },
    sender,
    receiver,
    together,
    firstMessageMsMedian,
    audienceOf1000: await audienceRatio({ quick }),
  }
}

// The other side knows the sender from a link, as after a handshake; the sender has never asked for their card.
async function firstMessages(from: Agent): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < contacts; i++) {
    const reader = await make(`reader${i}@a.localhost`)
    await reader.addContact(from.link)
    await reader.safetyNumber(from.address)
    const start = performance.now()
    const sent = await from.send(reader.address, chat.text({ text: 'hello' }))
    await sent.delivered()
    times.push(performance.now() - start)
    await reader.close()
  }
  times.sort((a, b) => a - b)
  return Math.round((times[Math.floor(times.length / 2)] ?? 0) * 10) / 10
}

async function make(address: string): Promise<Agent> {
  const agent = await openAgent({ home: join(folder, address), protocols: [chat], address, relay: relay.url })
  await agent.connected()
  return agent
}

async function alone(role: 'send' | 'take', args: readonly string[]): Promise<Alone> {
  const profile = join(folder, `profile ${role}`)
  mkdirSync(profile)
  const program = fileURLToPath(new URL('agent-process.js', import.meta.url))
  const plain = await run([program, role, ...args, String(messages)])
  const figures: Figures = JSON.parse(plain)
  // Once more under the profiler, which slows it down. Handlers that ran beside the last one have taken some messages more.
  await run([
    '--cpu-prof',
    `--cpu-prof-dir=${profile}`,
    program,
    role,
    ...args,
    String(role === 'send' ? messages : messages - 100),
  ])
  return {
    ...figures,
    perSecond: Math.round(figures.messages / figures.seconds),
    perCpuSecond: Math.round(figures.messages / figures.cpuSeconds),
    breakdown: breakdown(profile),
  }
}

function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
    })
    child.on('exit', (code) => (code === 0 ? resolve(out) : reject(new Error(`${args.join(' ')} ended with ${code}`))))
  })
}

async function startRelay(): Promise<{ readonly url: string; stop(): void }> {
  const bin = join(root, 'apps/relay/bin/parley-relay.js')
  const config = join(folder, 'relay.json')
  // By default a mailbox holds ten thousand, and an account sends a thousand a second.
  const [count, bytes] = [4 * messages, 4096 * messages]
  const limits = {
    mailbox: { countMax: count, bytesMax: bytes },
    framesPerSecond: 100_000,
    framesBurst: count,
    bytesPerSecond: 1024 * 1024 * 1024,
    bytesBurst: 1024 * 1024 * 1024,
    accountCountMax: count,
    accountBytesMax: bytes,
    stanzasPerAccountPerSecond: 100_000,
    stanzasPerAccountBurst: count,
    bytesPerAccountPerSecond: 1024 * 1024 * 1024,
    bytesPerAccountBurst: 1024 * 1024 * 1024,
  }
  writeFileSync(config, JSON.stringify({ limits }))
  const args = [
    '--domain',
    'a.localhost',
    '--port',
    '0',
    '--data',
    join(folder, 'relay'),
    '--log-level',
    'silent',
    '--config',
    config,
  ]
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const port = / port=(\d+)/.exec(line)?.[1]
    if (port !== undefined) return { url: `ws://127.0.0.1:${port}`, stop: () => child.kill() }
  }
  throw new Error('the relay did not start')
}

function print(all: All): void {
  const { machine, sender, receiver, together } = all
  console.log(`Node ${machine.node}, ${machine.cpu}, ${machine.cores} cores, which may be shared with others.\n`)
  for (const [name, { messages: count, perSecond, perCpuSecond, breakdown: shares }] of Object.entries({ sender, receiver })) {
    console.log(
      `${name}: ${perSecond} messages a second, ${perCpuSecond} a second of its processor time (${count} of 256 octets)`,
    )
    console.log(
      `  ${Object.entries(shares)
        .map(([part, share]) => `${part} ${Math.round(share * 100)} %`)
        .join(', ')}`,
    )
  }
  console.log(`both in one process: ${together.perSecond} messages a second`)
  console.log(`first message to somebody new, until the receipt: ${all.firstMessageMsMedian} ms (median of ${contacts})`)
  console.log(`a message to 1,000 devices against one to 2, under one key: ${all.audienceOf1000}x`)
}
