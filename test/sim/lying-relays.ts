/**
 * Guarantees 1 to 3 with relays that lie: nothing changed, replayed or misdelivered reaches an application, nothing enters
 * an inbox twice, and no lie makes a sender believe in a delivery. When the relays are honest again everything flows.
 */
import { type Address, limits, type Store, type ThreadId, uuidUrnFrom } from '@parley/core'
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import { createWorld, type SimDevice, type World } from '@parley/testing'
import { createLedger, isDelivered, type Ledger } from './ledger.ts'
import { createLiar } from './liar.ts'
import type { Outcome } from './property.ts'
import { restartAll, settle, stuck, watchForPlaintext } from './rest.ts'

const lyingMs = 60_000
const calmMs = 1_800_000

export async function simulateLyingRelays(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({
    seed,
    settle,
    agentLimits: { idleMsMax: 20_000, retryMsMax: 2_000, directoryMsMax: 5_000 },
    // An agent whose counters do not last takes a replayed stanza for a new one after its next start.
    ...(planted ? { wrapStore: forgetful } : {}),
  })
  const random = createSimRandom(`lying relays ${seed}`)
  const plaintext = watchForPlaintext(world)
  await world.addRelay('a.test')
  await world.addRelay('b.test')
  const devices = [
    await world.addAccount('alice@a.test'),
    await world.addAccount('bob@b.test'),
    await world.addAccount('carol@a.test'),
  ]
  const [alice] = devices
  if (alice !== undefined) devices.push(await world.addDevice(alice))
  const ledger = createLedger(world)
  const cast: Cast = { devices, ledger, random, threadOf: threadsOf(random) }
  // First contact is by an honest relay: what trust at first use is worth is another question.
  await everyone(world, cast)
  await world.run({ until: ledger.isSettled, timeMs: calmMs })
  const before = ledger.lost()

  const liar = createLiar(world, random)
  liar.rate = 0.12
  await converse(world, cast)
  liar.rate = 0
  const said = ledger.said.length
  await restartAll(world)
  await everyone(world, cast)
  await world.run({ until: () => ledger.said.slice(said).every((one) => isDelivered(world, one)), timeMs: calmMs })
  // What a lie left locked for good has its end when the lifetime is over.
  await restartAfter(world, limits.lifetimeMs + 60_000)
  await world.run({ timeMs: 300_000 })

  const violations = [...before, ...ledger.offences(), ...stuck(world), ...plaintext()]
  for (const one of ledger.said.slice(said))
    if (!isDelivered(world, one)) violations.push(`${one.text} to ${one.to} did not arrive although the relays were honest again`)
  for (const one of ledger.said) {
    const someoneHasIt = world.handed.some(({ address, text }) => address === one.to && text === one.text)
    const state = one.id === undefined ? undefined : one.from.agent.sent(one.id)?.status().state
    if (state === 'delivered' && !someoneHasIt) violations.push(`${one.from.name} believes that ${one.text} was delivered`)
  }
  for (const { name, agent } of devices)
    for (const { from, cause } of agent.locked()) violations.push(`a message of ${from} is locked at ${name} for ever: ${cause}`)
  const lost = ledger.lost()
  if (lost.length > liar.destroyed())
    violations.push(`${lost.length} messages are lost, and ${liar.destroyed()} stanzas were`, ...lost)
  await world.close()
  return { violations, faults: { ...liar.lies, crash: 1 }, messages: ledger.said.length }
}

type Cast = {
  readonly devices: readonly SimDevice[]
  readonly ledger: Ledger
  readonly random: SimRandom
  threadOf(from: SimDevice, to: Address): ThreadId
}

// A brand: uuidUrnFrom makes what ThreadId stands for.
const newThread = (random: SimRandom): ThreadId => uuidUrnFrom(random.bytes(16)) as ThreadId

/** One thread for each device and whom it writes to, from the first word to the last. */
function threadsOf(random: SimRandom): (from: SimDevice, to: Address) => ThreadId {
  const threads = new Map<string, ThreadId>()
  return (from, to) => {
    const name = `${from.name} ${to}`
    const thread = threads.get(name) ?? newThread(random)
    threads.set(name, thread)
    return thread
  }
}

// Everyone writes to everyone.
async function everyone(world: World, { devices, ledger, threadOf }: Cast): Promise<void> {
  for (const from of devices)
    for (const { address } of devices.filter((other) => other.address !== from.address))
      await world.settled(ledger.say(from, address, { thread: threadOf(from, address) }))
}

// A minute of talk, with one process that dies in between.
async function converse(world: World, { devices, ledger, random, threadOf }: Cast): Promise<void> {
  const start = world.schedule.time()
  for (const device of devices) {
    for (const { address } of devices.filter((other) => other.address !== device.address)) {
      const thread = threadOf(device, address)
      for (let i = 0; i < 3; i++) {
        world.schedule.at(start + random.int(lyingMs), () => {
          if (device.isUp) void ledger.say(device, address, { thread })
        })
      }
    }
  }
  const unlucky = random.pick(devices)
  world.schedule.at(start + random.int(lyingMs), () => {
    unlucky.kill()
    void unlucky.start().catch(() => {})
  })
  await world.run({ timeMs: lyingMs + 10_000 })
}

// Everything is switched off, and on again after that time.
async function restartAfter(world: World, ms: number): Promise<void> {
  const processes = [...world.devices, ...world.relays]
  for (const process of processes) process.kill()
  for (const { clock } of processes) clock.jump(ms)
  await restartAll(world)
}

function forgetful(_: string, store: Store): Store {
  return {
    ...store,
    batch: (ops, options) =>
      store.batch(
        ops.filter(({ key }) => !key.startsWith('counter/')),
        options,
      ),
  }
}
