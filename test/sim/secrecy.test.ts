import { createSimRandom } from '@parley/core/sim'
import { createWorld } from '@parley/testing'
import { createLedger, secrets } from './ledger.ts'
import { holds, type Outcome } from './property.ts'
import { createRawDevice } from './raw-device.ts'
import { settle } from './rest.ts'
import { calm, createTown, restart, talk } from './town.ts'

const troubleMs = 20_000

// Guarantee 4: what passes a relay and what it stores shows no content, no types, no thread and no message ids, also when
// devices resend, dial back for keys and answer one another.
async function simulate(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({ seed, settle, agentLimits: { retryMsMax: 2_000 } })
  const random = createSimRandom(`secrecy ${seed}`)
  const { relays, devices, processes } = await createTown(world)
  const ledger = createLedger(world)
  const frames: string[] = []
  const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  world.network.onFrame = ({ bytes }) => frames.push(text(bytes))
  // Relays keep what cannot be delivered, and are looked at while they do.
  const stores: string[] = []
  const look = (): void => {
    for (const { disk } of relays) for (const value of disk.contents().values()) stores.push(text(value))
  }
  talk(world, { random, ledger, count: 3, ms: troubleMs })
  const start = world.schedule.time()
  const absent = random.pick(devices)
  world.schedule.at(start + random.int(troubleMs / 2), () => restart(world, absent, 8_000))
  world.schedule.at(start + random.int(troubleMs), () => restart(world, random.pick(processes), 1_000))
  for (let at = 1_000; at < troubleMs; at += 2_000) world.schedule.at(start + at, look)
  world.network.faults = { ...world.network.faults, break: 0.02 }
  if (planted) {
    // A device that forgets to encrypt.
    const url = `ws://a.test:${relays[0]?.relay?.port}`
    const careless = await createRawDevice(world, { name: 'carol@a.test', url, random: random.fork('carol') })
    careless.sendOctets('bob@b.test' as never, { entry: new Uint8Array(), body: Buffer.from('a secret text of carol') })
  }
  await world.run({ timeMs: troubleMs })
  await calm(world, ledger)
  look()
  const ids = new Set(world.handed.flatMap(({ message: { id, threadId } }) => [id, threadId].map((name) => name.slice(-36))))
  const shown = (of: readonly string[], where: string): readonly string[] => {
    const all = of.join('\n')
    return [...secrets, ...ids].flatMap((secret) => (all.includes(secret) ? [`${secret} ${where}`] : []))
  }
  const violations = [
    ...shown(frames, 'on a link'),
    ...shown(stores, 'in the store of a relay'),
    ...ledger.lost(),
    ...ledger.offences(),
  ]
  const { kills } = world
  await world.close()
  const faults = {
    crash: kills,
    broken: world.network.injected.broken,
    'frames read': frames.length,
    'rows read': stores.length,
  }
  return { violations, faults, messages: ledger.said.length }
}

holds({ name: 'secrecy', simulate, planted: 'a device that forgets to encrypt' })
