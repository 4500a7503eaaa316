/**
 * A small town for properties that are about one kind of trouble: two relays, alice with one device, bob with two, who
 * know one another; and the talk between them.
 */
import { type ThreadId, uuidUrnFrom } from '@parley/core'
import { perfectLink, type SimRandom } from '@parley/core/sim'
import { trustPing } from '@parley/protocols/trust-ping'
import type { SimDevice, SimRelay, World } from '@parley/testing'
import type { Ledger } from './ledger.ts'
import { restartAll } from './rest.ts'

export type Town = {
  readonly relays: readonly SimRelay[]
  readonly devices: readonly SimDevice[]
  readonly processes: readonly (SimDevice | SimRelay)[]
}

export async function createTown(world: World): Promise<Town> {
  await world.addRelay('a.test')
  await world.addRelay('b.test')
  await world.addAccount('alice@a.test')
  await world.addDevice(await world.addAccount('bob@b.test'))
  const { relays, devices } = world
  return { relays, devices, processes: [...relays, ...devices] }
}

/** Has every device say so many things within the time, a thread for each pair, and start a run. */
export function talk(
  world: World,
  { random, ledger, count, ms, runs = false }: { random: SimRandom; ledger: Ledger; count: number; ms: number; runs?: boolean },
): void {
  const start = world.schedule.time()
  for (const device of world.devices) {
    const [other] = world.devices.filter(({ address }) => address !== device.address)
    if (other === undefined) continue
    // A brand: uuidUrnFrom makes what ThreadId stands for.
    const thread = uuidUrnFrom(random.bytes(16)) as ThreadId
    for (let i = 0; i < count; i++) {
      world.schedule.at(start + random.int(ms), () => {
        if (device.isUp) void ledger.say(device, other.address, { thread })
      })
    }
    if (!runs) continue
    world.schedule.at(start + random.int(ms), () => {
      // A run that began ends by itself, whatever becomes of this process.
      if (device.isUp) device.agent.start(trustPing, 'sender', { peer: other.address }).catch(() => {})
    })
  }
}

/** Kills a process and starts it again a little later. */
export function restart(world: World, process: SimDevice | SimRelay, afterMs: number): void {
  process.kill()
  world.schedule.at(world.schedule.time() + afterMs, () => void process.start().catch(() => {}))
}

/** Ends the troubles and lets everything come to rest. */
export async function calm(world: World, ledger: Ledger, ms = 1_800_000): Promise<void> {
  world.network.faults = perfectLink
  world.network.isPartitioned = () => false
  await restartAll(world)
  await world.run({ until: ledger.isSettled, timeMs: ms })
}
