import { createSimRandom, type LinkFaults, perfectLink } from '@parley/core/sim'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { createWorld } from '@parley/testing'
import { createLedger } from './ledger.ts'
import { holds, type Outcome } from './property.ts'
import { settle, stuck, watchForPlaintext } from './rest.ts'
import { calm, createTown, restart, talk } from './town.ts'

const troubleMs = 60_000
const silence: LinkFaults = { ...perfectLink, halfOpen: 0.02, break: 0.01 }

// Guarantees 1 and 2 with a network that is cut: one way, both ways, between relays and before them, and with connections
// that only one end believes in.
async function simulate(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({
    seed,
    settle,
    protocols: [chat, trustPing],
    agentLimits: { idleMsMax: 10_000, retryMsMax: 2_000 },
  })
  const random = createSimRandom(`partitions ${seed}`)
  const plaintext = watchForPlaintext(world)
  const { processes, devices, relays } = await createTown(world)
  // A relay that says "durable here" before anything is.
  if (planted) for (const { disk } of relays) disk.liesAboutSync = true
  for (const { disk } of processes) disk.syncMs = 2
  const ledger = createLedger(world)
  const cuts = new Set<string>()
  world.network.isPartitioned = (from, to) => cuts.has(`${from} ${to}`)
  const faults = { 'cut one way': 0, 'cut both ways': 0, crash: 0 }
  const pairs = [['a.test', 'b.test'], ...devices.map(({ name, address }) => [name, address.slice(-6)])] as const
  talk(world, { random, ledger, count: 4, ms: troubleMs, runs: true })
  const start = world.schedule.time()
  for (let i = 0; i < 4; i++) {
    const [one = '', other = ''] = random.pick(pairs)
    const ways = random.pick([[`${one} ${other}`], [`${other} ${one}`], [`${one} ${other}`, `${other} ${one}`]])
    const at = start + random.int(troubleMs)
    world.schedule.at(at, () => {
      for (const way of ways) cuts.add(way)
      faults[ways.length === 1 ? 'cut one way' : 'cut both ways']++
    })
    world.schedule.at(at + 2_000 + random.int(20_000), () => {
      for (const way of ways) cuts.delete(way)
    })
  }
  for (let i = 0; i < 2; i++) {
    const process = random.pick(planted ? relays : processes)
    world.schedule.at(start + random.int(troubleMs), () => restart(world, process, random.int(3_000)))
  }
  world.network.faults = silence
  await world.run({ timeMs: troubleMs })
  await calm(world, ledger)
  const { partitioned, broken } = world.network.injected
  const violations = [...ledger.lost(), ...ledger.offences(), ...stuck(world), ...plaintext()]
  const { kills } = world
  await world.close()
  const counted = {
    ...faults,
    crash: kills,
    'lost in a cut': partitioned,
    broken,
    'half-open': world.network.injected['half-open'],
  }
  return { violations, faults: counted, messages: ledger.said.length }
}

holds({
  name: 'partitions',
  simulate,
  planted: 'relays that say "durable here" before anything is',
})
