import { CoreError } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { createWorld } from '@parley/testing'
import { createLedger } from './ledger.ts'
import { holds, type Outcome } from './property.ts'
import { settle, stuck, watchForPlaintext } from './rest.ts'
import { calm, createTown, restart, talk } from './town.ts'

const troubleMs = 40_000

// Guarantees 1 and 5 with bad disks: slow, full for a while, refusing batches, some of which they have written all the same.
async function simulate(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({
    seed,
    settle,
    protocols: [chat, trustPing],
    agentLimits: { idleMsMax: 20_000, retryMsMax: 2_000 },
    // A driver that does not hear when a batch was refused.
    ...(planted
      ? { wrapStore: (_, store) => ({ ...store, batch: (ops, options) => store.batch(ops, options).catch(() => {}) }) }
      : {}),
  })
  const random = createSimRandom(`disks ${seed}`)
  const plaintext = watchForPlaintext(world)
  const { processes } = await createTown(world)
  const ledger = createLedger(world)
  const faults = { 'slow disk': 0, 'full disk': 0, 'refused batch': 0, 'refused after writing': 0, crash: 0, 'lost batch': 0 }
  let flaky = 0.03
  for (const { disk } of processes) {
    disk.syncMs = random.int(4) === 0 ? 200 : 2
    if (disk.syncMs > 100) faults['slow disk']++
  }
  for (const { disk } of processes) {
    disk.onBatch = ({ at }) => {
      if (!random.chance(flaky)) return
      faults[at === 'before' ? 'refused batch' : 'refused after writing']++
      throw new CoreError('ERR_CORE_STORE_FAILED', 'the disk does not answer', { retryable: true })
    }
  }
  talk(world, { random, ledger, count: 4, ms: troubleMs, runs: true })
  const start = world.schedule.time()
  for (let i = 0; i < 3; i++) {
    const { disk } = random.pick(processes)
    const at = start + random.int(troubleMs)
    world.schedule.at(at, () => {
      disk.full = true
      faults['full disk']++
    })
    world.schedule.at(at + random.int(8_000), () => {
      disk.full = false
    })
    const process = random.pick(processes)
    world.schedule.at(start + random.int(troubleMs), () => restart(world, process, random.int(3_000)))
  }
  await world.run({ timeMs: troubleMs + 10_000 })
  flaky = 0
  await calm(world, ledger)
  faults.crash = world.kills
  faults['lost batch'] = processes.reduce((sum, { disk }) => sum + disk.lostBatches, 0)
  const violations = [...ledger.lost(), ...ledger.offences(), ...stuck(world), ...plaintext()]
  await world.close()
  return { violations, faults, messages: ledger.said.length }
}

holds({
  name: 'bad disks',
  simulate,
  planted: 'a store driver that does not hear of a refused batch',
})
