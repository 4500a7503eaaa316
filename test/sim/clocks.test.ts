import { isJsonObject, limits, parseJson, type Store, utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { createWorld } from '@parley/testing'
import { createLedger } from './ledger.ts'
import { holds, type Outcome } from './property.ts'
import { settle, stuck, watchForPlaintext } from './rest.ts'
import { calm, createTown, restart, talk } from './town.ts'

const troubleMs = 40_000
const hourMs = 3_600_000

// Guarantees 1, 2 and 5 with clocks that are wrong: skewed for good, set forward and back while things wait, once beyond
// the lifetime of a message and back again.
async function simulate(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({
    seed,
    settle,
    skewMsMax: hourMs,
    protocols: [chat, trustPing],
    agentLimits: { idleMsMax: 20_000, retryMsMax: 2_000 },
    ...(planted ? { wrapStore: forgetsDeadlines } : {}),
  })
  const random = createSimRandom(`clocks ${seed}`)
  const plaintext = watchForPlaintext(world)
  const { processes, devices } = await createTown(world)
  const ledger = createLedger(world)
  const faults = { 'skewed clock': processes.length, 'set forward': 0, 'set back': 0, 'beyond the lifetime': 0, crash: 0 }
  talk(world, { random, ledger, count: 4, ms: troubleMs, runs: true })
  const start = world.schedule.time()
  for (let i = 0; i < 4; i++) {
    const { clock } = random.pick(processes)
    const by = random.int(10 * hourMs) - 5 * hourMs
    world.schedule.at(start + random.int(troubleMs), () => {
      clock.jump(by)
      faults[by < 0 ? 'set back' : 'set forward']++
    })
  }
  // What comes to a device while it lives in another month, or leaves it, may be refused as out of time; but what was seen is not
  // forgotten, however far off the clock was.
  const isAstray = seed % 3 === 0
  if (isAstray) {
    const { clock } = random.pick(devices)
    const by = random.pick([1, -1]) * (limits.lifetimeMs + random.pick([30, 48, 72, 31 * 24]) * hourMs)
    const at = start + random.int(troubleMs)
    world.schedule.at(at, () => {
      clock.jump(by)
      faults['beyond the lifetime']++
    })
    world.schedule.at(at + 10_000, () => clock.jump(-by))
  }
  world.schedule.at(start + random.int(troubleMs), () => restart(world, random.pick(processes), random.int(3_000)))
  await world.run({ timeMs: troubleMs + 10_000 })
  // Nothing waits for a clock that was set back: what is lost is known as soon as it would be.
  await calm(world, ledger, hourMs)
  // An agent looks at its clock once an hour at least, so by then it knows that one was set forward.
  if (stuck(world).length > 0) await world.run({ until: () => stuck(world).length === 0, timeMs: hourMs + 120_000 })
  faults.crash = world.kills
  // Then nothing is promised but that nothing is doubled, forged or stuck.
  const order = ledger.offences()
  const violations = isAstray
    ? [...order.filter((what) => !what.includes('missing before it')), ...stuck(world), ...plaintext()]
    : [...ledger.lost(), ...order, ...stuck(world), ...plaintext()]
  await world.close()
  return { violations, faults, messages: ledger.said.length }
}

// A run is stored without what it waits for, as a library would store it that keeps its timers in memory.
function forgetsDeadlines(_: string, store: Store): Store {
  const without = (value: Uint8Array): Uint8Array => {
    const row = parseJson(value)
    return row.ok && isJsonObject(row.value) ? utf8(JSON.stringify({ ...row.value, deadlines: [] })) : value
  }
  return {
    ...store,
    batch: (ops, options) =>
      store.batch(
        ops.map((op) => (op.type === 'put' && op.key.startsWith('thread/') ? { ...op, value: without(op.value) } : op)),
        options,
      ),
  }
}

holds({
  name: 'wrong clocks',
  simulate,
  planted: 'stored runs that have lost their deadlines',
})
