/**
 * Guarantees 1 and 5 under faults: two relays, four accounts with six devices, links that lose, double, reorder, break and
 * fall silent, processes that are killed at any moment, disks that lose what was not synced.
 */
import { utf8 } from '@parley/core'
import { createSimRandom, type LinkFaults, perfectLink, type SimRandom } from '@parley/core/sim'
import { sha256 } from '@parley/jose'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { createWorld, type World } from '@parley/testing'
import { createLedger, type Ledger } from './ledger.ts'
import type { Outcome } from './property.ts'
import { restartAll, settle, stuck, watchForPlaintext } from './rest.ts'

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

const messagesPerDevice = 4
const stormMs = 60_000
const calmMs = 3_600_000

/** `trace` is of every frame and every hand-over, in order. */
export async function simulateDelivery(
  seed: number,
  { planted }: { readonly planted: boolean },
): Promise<Outcome & { readonly trace: string }> {
  const world = createWorld({
    seed,
    settle,
    skewMsMax: 60_000,
    protocols: [chat, trustPing],
    agentLimits: { idleMsMax: 20_000, retryMsMax: 5_000 },
  })
  const random = createSimRandom(`delivery ${seed}`)
  const trace: string[] = []
  const plaintext = watchForPlaintext(world)
  const { onFrame } = world.network
  world.network.onFrame = (frame) => {
    trace.push(`${frame.from}>${frame.to}:${frame.bytes.length}`)
    onFrame(frame)
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
  if (planted) for (const { disk } of world.devices) disk.liesAboutSync = true
  for (const { disk } of [...world.devices, ...world.relays]) disk.syncMs = 3

  const ledger = createLedger(world)
  world.network.faults = storm
  await weather(world, { random, ledger })
  world.network.faults = perfectLink
  await restartAll(world)
  await world.run({ until: ledger.isSettled, timeMs: calmMs })
  const again = world.handed.filter(({ attempt }) => attempt > 1).length
  const tooOften = again > world.kills ? [`${again} messages were handed over again after ${world.kills} kills`] : []
  const violations = [...tooOften, ...ledger.lost(), ...ledger.offences(), ...stuck(world), ...plaintext()]
  const lostBatches = [...world.devices, ...world.relays].reduce((sum, { disk }) => sum + disk.lostBatches, 0)
  for (const { device, id, attempt } of world.handed) trace.push(`${device}<${id}/${attempt}`)
  const { kills } = world
  await world.close()
  return {
    violations,
    faults: { ...world.network.injected, crash: kills, 'lost batch': lostBatches },
    messages: ledger.said.length,
    trace: Buffer.from(sha256(utf8(trace.join('\n')))).toString('hex'),
  }
}

// Sends and kills at random moments.
async function weather(world: World, { random, ledger }: { random: SimRandom; ledger: Ledger }): Promise<void> {
  const start = world.schedule.time()
  const accounts = [...new Set(world.devices.map(({ address }) => address))]
  for (const device of world.devices) {
    for (let i = 0; i < messagesPerDevice; i++) {
      const to = random.pick(accounts.filter((address) => address !== device.address))
      world.schedule.at(start + random.int(stormMs), () => {
        if (device.isUp) void ledger.say(device, to)
      })
    }
    const peer = random.pick(accounts.filter((address) => address !== device.address))
    world.schedule.at(start + random.int(stormMs), () => {
      // A run that began ends by itself, whatever becomes of this process.
      if (device.isUp) device.agent.start(trustPing, 'sender', { peer }).catch(() => {})
    })
  }
  const processes = [...world.devices, ...world.relays]
  for (let i = 0; i < 6; i++) {
    const process = random.pick(processes)
    world.schedule.at(start + random.int(stormMs), () => {
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
}
