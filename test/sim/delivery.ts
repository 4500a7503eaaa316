/**
 * Guarantee 1 under faults: two relays, four accounts with six devices, links that lose, double, reorder, break and fall
 * silent, processes that are killed at any moment. Whatever `send` resolved for must reach every addressed device once.
 */
import { type Address, utf8 } from '@parley/core'
import { createSimRandom, type FaultKind, type LinkFaults, perfectLink } from '@parley/core/sim'
import { sha256 } from '@parley/jose'
import { chat } from '@parley/protocols/chat'
import { createWorld, type SimDevice, type World } from '@parley/testing'

const settle = (): Promise<void> => new Promise((done) => setImmediate(done))

/** Rough weather: per frame, in probabilities. */
const storm: LinkFaults = {
  delayMsMin: 1,
  delayMsMax: 80,
  lose: 0.01,
  duplicate: 0.01,
  reorder: 0.01,
  break: 0.005,
  halfOpen: 0.002,
}

export type Planted = 'early-acknowledgement'

export type Outcome = {
  readonly seed: number
  readonly violations: readonly string[]
  readonly faults: Readonly<Record<FaultKind | 'crash' | 'lost-batch', number>>
  readonly messages: number
  /** Of every frame and every hand-over, in order. */
  readonly trace: string
}

type Expected = { readonly id: string; readonly from: SimDevice; readonly to: Address }

const messagesPerDevice = 4
const stormMs = 60_000
const calmMs = 3_600_000

export async function simulate(seed: number, options: { readonly planted?: Planted } = {}): Promise<Outcome> {
  const world = createWorld({ seed, settle, skewMsMax: 60_000, agentLimits: { idleMsMax: 20_000, retryMsMax: 5_000 } })
  const random = createSimRandom(`delivery ${seed}`)
  const violations: string[] = []
  const trace: string[] = []
  world.network.onFrame = ({ from, to, bytes }) => {
    trace.push(`${from}>${to}:${bytes.length}`)
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (const secret of plaintexts)
      if (text.includes(secret)) violations.push(`seed ${seed}: ${secret} on the link from ${from} to ${to}`)
  }

  await world.addRelay('a.test')
  await world.addRelay('b.test')
  const alice = await world.addAccount('alice@a.test')
  const bob = await world.addAccount('bob@b.test')
  await world.addAccount('carol@a.test')
  await world.addAccount('dave@b.test')
  await world.addDevice(alice)
  await world.addDevice(bob)
  // A disk that says "synced" too early is an acknowledgement that comes too early.
  if (options.planted === 'early-acknowledgement') for (const { disk } of world.devices) disk.liesAboutSync = true
  for (const { disk } of [...world.devices, ...world.relays]) disk.syncMs = 3

  world.network.faults = storm
  const expected = await weather(world, random)
  world.network.faults = perfectLink
  await restartAll(world)
  const isOver = (): boolean => expected.every((message) => isDelivered(world, message) || isFailed(message))
  const ended = await world.run({ until: isOver, timeMs: calmMs })
  if (!ended) {
    for (const message of expected) {
      if (!isDelivered(world, message) && !isFailed(message))
        violations.push(`seed ${seed}: ${message.id} of ${message.from.name} to ${message.to} was lost`)
    }
  }
  violations.push(...doubled(world).map((what) => `seed ${seed}: ${what}`))

  const lost = [...world.devices, ...world.relays].reduce((sum, { disk }) => sum + disk.lostBatches, 0)
  const { injected } = world.network
  const faults = { ...injected, crash: world.kills, 'lost-batch': lost }
  for (const { device, id, attempt } of world.handed) trace.push(`${device}<${id}/${attempt}`)
  await world.close()
  return {
    seed,
    violations,
    faults,
    messages: expected.length,
    trace: Buffer.from(sha256(utf8(trace.join('\n'))))
      .toString('hex')
      .slice(0, 16),
  }
}

/** What must never stand on a link: the texts, their message type, the name of the attribute around them. */
const plaintexts = ['a secret text', 'urn:parley:chat', 'thread_id']

// Sends and kills at random moments. A message whose send did not resolve promises nothing.
async function weather(world: World, random: ReturnType<typeof createSimRandom>): Promise<readonly Expected[]> {
  const expected: Expected[] = []
  const start = world.schedule.time()
  const accounts = [...new Set(world.devices.map(({ address }) => address))]
  for (const device of world.devices) {
    for (let i = 0; i < messagesPerDevice; i++) {
      const to = random.pick(accounts.filter((address) => address !== device.address))
      world.schedule.at(start + random.int(stormMs), () => {
        if (!device.isUp) return
        device.agent.send(to, chat.text({ text: `a secret text ${i} of ${device.name}` })).then(
          ({ id }) => expected.push({ id, from: device, to }),
          () => {},
        )
      })
    }
  }
  const processes = [...world.devices, ...world.relays]
  for (let i = 0; i < 6; i++) {
    const process = random.pick(processes)
    const at = start + random.int(stormMs)
    world.schedule.at(at, () => {
      process.kill()
      world.schedule.at(world.schedule.time() + 100 + random.int(5_000), () => void process.start().catch(() => {}))
    })
  }
  // Now and then one direction between the two relays is cut for a while.
  const cut = start + random.int(stormMs - 10_000)
  world.schedule.at(cut, () => {
    world.network.isPartitioned = (from, to) => from === 'a.test' && to === 'b.test'
  })
  world.schedule.at(cut + 5_000, () => {
    world.network.isPartitioned = () => false
  })
  await world.run({ timeMs: stormMs + 10_000 })
  return expected
}

async function restartAll(world: World): Promise<void> {
  for (const relay of world.relays) if (relay.relay === undefined) await world.settled(relay.start().catch(() => {}))
  for (const device of world.devices) if (!device.isUp) await world.settled(device.start().catch(() => {}))
}

// At every device of the recipient, and as a copy at the sender's other devices.
function isDelivered(world: World, { id, from, to }: Expected): boolean {
  return world.devices.every(
    (device) =>
      (device.address !== to && (device.address !== from.address || device === from)) ||
      world.handed.some((one) => one.device === device.name && one.id === id),
  )
}

function isFailed({ id, from }: Expected): boolean {
  return from.isUp && from.agent.sent(id)?.status().state === 'failed'
}

function doubled(world: World): readonly string[] {
  const seen = new Map<string, number>()
  const offences: string[] = []
  for (const { device, id, attempt } of world.handed) {
    const key = `${device} ${id}`
    const before = seen.get(key)
    // Handed over again only after a crash in the middle, and then with the next number.
    if (before !== undefined && attempt <= before) offences.push(`${id} was handed to ${device} twice as attempt ${attempt}`)
    seen.set(key, attempt)
  }
  const again = world.handed.filter(({ attempt }) => attempt > 1).length
  if (again > world.kills) offences.push(`${again} messages were handed over again after ${world.kills} kills`)
  return offences
}
