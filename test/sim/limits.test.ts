import { createSimRandom } from '@parley/core/sim'
import { mailboxLimits } from '@parley/mailbox'
import { chat } from '@parley/protocols/chat'
import { createWorld } from '@parley/testing'
import { createLedger } from './ledger.ts'
import { holds, type Outcome } from './property.ts'
import { createRawDevice } from './raw-device.ts'
import { settle, stuck } from './rest.ts'
import { calm } from './town.ts'

const countMax = 20
const bytesMax = 6_000
const outboxMax = 5
const floodMs = 10_000

// Guarantee 6 and the limits of agents: a flood fills a mailbox, a queue to another relay, and an outbox, each as far as it
// may be filled; what was promised to others is kept, and what is refused is said.
async function simulate(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  // A relay whose operator wrote other numbers than those that are checked here.
  const times = planted ? 3 : 1
  const amount = { countMax: countMax * times, bytesMax: bytesMax * times }
  const queue = { queueCountMax: amount.countMax, queueBytesMax: amount.bytesMax }
  const world = createWorld({
    seed,
    settle,
    agentLimits: { retryMsMax: 2_000, outboxMessagesMax: outboxMax },
    relayLimits: { mailbox: { ...mailboxLimits, ...amount }, ...queue },
  })
  const random = createSimRandom(`limits ${seed}`)
  const relays = [await world.addRelay('a.test'), await world.addRelay('b.test')]
  const alice = await world.addAccount('alice@a.test')
  const bob = await world.addAccount('bob@b.test')
  const url = `ws://a.test:${relays[0]?.relay?.port}`
  const flooder = await createRawDevice(world, { name: 'mallory@a.test', url, random: random.fork('mallory') })
  const ledger = createLedger(world)
  await world.settled(ledger.say(alice, bob.address))
  await world.run({ until: ledger.isSettled, timeMs: 60_000 })

  const violations: string[] = []
  const faults = { 'flooded mailbox': 0, 'flooded queue': 0, 'refused send': 0 }
  let kept = 0
  // Alice's mailbox is at the flooder's own relay; bob's is behind a queue.
  const victim = random.pick([alice, bob])
  const isQueue = victim === bob
  victim.kill()
  if (isQueue) relays[1]?.kill()
  const start = world.schedule.time()
  for (let i = 0; i < countMax * 4; i++) {
    world.schedule.at(start + random.int(floodMs), () => {
      const body = random.bytes(random.int(600))
      flooder.sendOctets(victim.address, { entry: random.bytes(40), body })
    })
  }
  faults[isQueue ? 'flooded queue' : 'flooded mailbox']++
  // An application that goes on writing while nothing leaves its device.
  if (alice.isUp) {
    world.network.isPartitioned = (from, to) => from === alice.name || to === alice.name
    for (let i = 0; i < outboxMax * 3; i++) {
      world.schedule.at(start + random.int(floodMs), () => {
        const refused = (): number => faults['refused send']++
        alice.agent.send(bob.address, chat.text({ text: `more than fits ${i}` })).then(() => kept++, refused)
      })
    }
  }
  for (let at = 0; at <= floodMs + 1_000; at += 500) {
    await world.run({ until: () => false, timeMs: 500 })
    for (const { name, relay } of relays) {
      if (relay === undefined) continue
      const { count, bytes } = (await world.settled(relay.stats())).mailbox
      // Two readers may fill up: one device, and one relay.
      if (count > 2 * countMax || bytes > 2 * bytesMax) violations.push(`${name} holds ${count} stanzas, ${bytes} octets`)
    }
  }
  if (kept > outboxMax) violations.push(`an outbox took ${kept} messages`)
  await calm(world, ledger, 600_000)
  await world.settled(ledger.say(alice, bob.address))
  await world.settled(ledger.say(bob, alice.address))
  await world.run({ until: ledger.isSettled, timeMs: 600_000 })
  violations.push(...ledger.lost(), ...stuck(world))
  await world.close()
  return { violations: [...new Set(violations)], faults, messages: ledger.said.length + countMax * 4 }
}

holds({
  name: 'limits',
  simulate,
  planted: 'a relay with other limits than those it should have',
})
