/**
 * Design §5: what a device that is there acknowledges in time is not written. One message goes from alice over both relays to one
 * device of bob that is there and one that is away and comes later; then again for every frame on the way, with a crash of each
 * process and of each two at that moment, as the frame leaves or right after it has left.
 */
import { createSimRandom } from '@parley/core/sim'
import { createWorld, type SimDevice, type SimRelay, type World } from '@parley/testing'
import { createLedger, type Ledger } from './ledger.ts'
import type { Outcome } from './property.ts'
import { settle, stuck } from './rest.ts'

type Node = SimDevice | SimRelay
type Crash = { readonly arrow: number; readonly nodes: readonly number[]; readonly at: 'before' | 'after' }
type Play = {
  readonly violations: readonly string[]
  readonly arrows: number
  readonly crashed: number
  /** Stanzas written for the device that is there, and for the one that is away. */
  readonly written: { readonly here: number; readonly away: number }
}

const prefix = 'mailbox/entry/device:bob@b.test/'

/** Plays the scene, with the crash if there is one, and answers what was wrong when all was at rest. */
async function play(seed: number, { crash, planted }: { readonly crash?: Crash; readonly planted: boolean }): Promise<Play> {
  const written = new Map<string, number>()
  const world = createWorld({
    seed: `write skipping ${seed}`,
    settle,
    agentLimits: { idleMsMax: 20_000, retryMsMax: 2_000 },
    wrapStore: (_, store) => ({
      ...store,
      batch: (ops, options) => {
        for (const { type, key } of ops) {
          const reader = type === 'put' && key.startsWith(prefix) ? (key.slice(prefix.length).split(' ')[0] ?? '') : undefined
          if (reader !== undefined) written.set(reader, (written.get(reader) ?? 0) + 1)
        }
        return store.batch(ops, options)
      },
    }),
  })
  const relays = [await world.addRelay('a.test'), await world.addRelay('b.test')]
  const alice = await world.addAccount('alice@a.test')
  const here = await world.addAccount('bob@b.test')
  const away = await world.addDevice(here)
  const nodes: readonly Node[] = [alice, ...relays, here, away]
  const ledger = createLedger(world)
  // Twice before, so that cards, keys and positions are where they are in the long run.
  for (let i = 0; i < 2; i++) {
    await ledger.say(alice, here.address)
    await world.run({ until: ledger.isSettled, timeMs: 600_000 })
    await world.run({ timeMs: 10_000 })
  }
  away.kill()
  await world.run({ timeMs: 1_000 })
  written.clear()
  const crashes = watch(world, { nodes, crash, planted })
  const before = { here: here.agent.device, away: '' }
  await converse(world, { ledger, alice, here, away })
  const arrows = crashes.arrows()
  await world.run({ timeMs: 60_000 })
  const isHere = (reader: string): boolean => reader === before.here
  const sum = (of: (reader: string) => boolean): number =>
    [...written].reduce((total, [reader, count]) => total + (of(reader) ? count : 0), 0)
  const violations = [...ledger.lost(), ...ledger.offences(), ...stuck(world)]
  const result = {
    violations,
    arrows,
    crashed: crashes.crashed(),
    written: { here: sum(isHere), away: sum((reader) => !isHere(reader)) },
  }
  await world.close()
  return result
}

/** Counts frames from now on, and has the crash happen at its frame. */
function watch(
  world: World,
  options: { readonly nodes: readonly Node[]; readonly crash: Crash | undefined; readonly planted: boolean },
): { readonly arrows: () => number; readonly crashed: () => number } {
  const { nodes, crash, planted } = options
  let arrows = 0
  let crashed = 0
  if (planted) for (const { disk } of nodes) disk.liesAboutSync = true
  const strike = (): void => {
    for (const index of crash?.nodes ?? []) {
      const node = nodes[index]
      if (node?.isUp !== true) continue
      crashed++
      node.kill()
      world.schedule.at(world.schedule.time() + 300, () => void node.start().catch(() => {}))
    }
  }
  world.network.onFrame = () => {
    arrows++
    if (arrows !== crash?.arrow) return
    if (crash.at === 'before') strike()
    else world.schedule.at(world.schedule.time(), strike)
  }
  return { arrows: () => arrows, crashed: () => crashed }
}

async function converse(
  world: World,
  { ledger, alice, here, away }: { ledger: Ledger; alice: SimDevice; here: SimDevice; away: SimDevice },
): Promise<void> {
  // Two in one go, so that one word may acknowledge both; what its process died of is said again by nobody.
  for (let i = 0; i < 2; i++) void ledger.say(alice, here.address)
  await world.run({ timeMs: 1_500 })
  if (!away.isUp) await away.start().catch(() => {})
  await world.run({ timeMs: 3_000 })
  await world.run({ until: () => alice.isUp, timeMs: 10_000 })
  void ledger.say(alice, here.address)
  await world.run({ timeMs: 5_000 })
  await world.run({ until: ledger.isSettled, timeMs: 1_800_000 })
}

/** Plays the scene once to count, then once for each frame and each one or two processes. */
export async function simulateWriteSkipping(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const whole = await play(seed, { planted: false })
  const violations = whole.violations.map((what) => `without a crash: ${what}`)
  if (whole.written.here > 0) violations.push(`${whole.written.here} stanzas were written for a device that is there`)
  if (whole.written.away === 0) violations.push('nothing was written for a device that is away')
  const faults = { 'crash of one': 0, 'crash of two': 0 }
  let messages = 5
  const ones = [0, 1, 2, 3, 4].map((one) => [one])
  const pairs = ones.flatMap(([one = 0]) => [0, 1, 2, 3, 4].flatMap((other) => (other > one ? [[one, other]] : [])))
  const random = createSimRandom(`write skipping ${seed}`)
  for (let arrow = 1; arrow <= whole.arrows; arrow++) {
    for (const nodes of [...ones, ...pairs]) {
      // Which of the two moments, is drawn: another seed draws others.
      const at = random.chance(0.5) ? 'before' : 'after'
      const outcome = await play(seed, { crash: { arrow, nodes, at }, planted })
      messages += 5
      if (outcome.crashed === 2) faults['crash of two']++
      if (outcome.crashed === 1) faults['crash of one']++
      violations.push(...outcome.violations.map((what) => `crash of ${nodes.join()} ${at} frame ${arrow}: ${what}`))
      // One is enough to show that the check can fail.
      if (planted && violations.length > 0) return { violations, faults, messages }
    }
  }
  return { violations, faults, messages }
}
