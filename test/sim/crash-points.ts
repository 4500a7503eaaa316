/**
 * Guarantee 5, point by point: one conversation with everything in it, counted batch by batch at every node, then played
 * again with a crash right before and right after each of those batches.
 */
import type { Message } from '@parley/agent'
import { createWorld, type SimDevice, type SimRelay, type World } from '@parley/testing'
import { createLedger } from './ledger.ts'
import type { Outcome } from './property.ts'
import { settle, stuck, watchForPlaintext } from './rest.ts'

/** A crash of one node at one of its batches: before it is written, or after it is durable and before anything else runs. */
type CrashPoint = { readonly node: string; readonly batch: number; readonly at: 'before' | 'after' }

type Play = {
  readonly violations: readonly string[]
  /** Batches of each node. */
  readonly batches: ReadonlyMap<string, number>
  readonly crashed: boolean
  readonly messages: number
  /** Messages that waited for a session key that their device had to ask for. */
  readonly keysAsked: number
}

type Node = SimDevice | SimRelay

const stepMs = 600_000

/** Plays the conversation, with a crash at `point` if there is one, and answers what was wrong when all was at rest. */
async function play(seed: number, { point, planted }: { readonly point?: CrashPoint; readonly planted: boolean }): Promise<Play> {
  const world = createWorld({ seed: `crash points ${seed}`, settle, agentLimits: { idleMsMax: 20_000, retryMsMax: 2_000 } })
  const plaintext = watchForPlaintext(world)
  const violations: string[] = []
  const counts = new Map<string, () => number>()
  let crashed = false
  let keysAsked = 0
  const watch = (node: Node): void => {
    const { name, disk } = node
    const first = disk.batches
    counts.set(name, () => disk.batches - first)
    if (planted) disk.liesAboutSync = true
    if (point?.node !== name) return
    disk.onBatch = ({ index, at }) => {
      if (crashed || at !== point.at || index - first !== point.batch) return
      crashed = true
      node.kill()
      const restart = (): void => {
        node.start().catch(() => violations.push(`${name} did not start again`))
      }
      world.schedule.at(world.schedule.time() + 300, restart)
    }
  }

  for (const relay of [await world.addRelay('a.test'), await world.addRelay('b.test')]) watch(relay)
  const alice = await world.addAccount('alice@a.test', { start: false })
  const bob = await world.addAccount('bob@b.test', { start: false })
  for (const device of [alice, bob]) watch(device)
  await converse(world, {
    alice,
    bob,
    watch,
    wrong: (what) => violations.push(what),
    asked: () => keysAsked++,
  })

  violations.push(...stuck(world), ...plaintext())
  const batches = new Map([...counts].map(([name, count]) => [name, count()]))
  const messages = world.handed.length
  await world.close()
  return { violations, batches, crashed, messages, keysAsked }
}

type Cast = {
  readonly alice: SimDevice
  readonly bob: SimDevice
  watch(node: Node): void
  wrong(what: string): void
  asked(): void
}

// Every step is done again until it shows: its process may have died in the middle of it.
async function converse(world: World, { alice, bob, watch, wrong, asked }: Cast): Promise<void> {
  const ledger = createLedger(world)
  const until = async (what: string, shows: () => boolean): Promise<void> => {
    if (!(await world.run({ until: shows, timeMs: stepMs }))) wrong(`${what} did not come about`)
  }
  const isReady = (device: SimDevice): boolean => device.isUp && device.agent.connection.state === 'ready'
  // What the process that asked died of is no answer.
  const attempt = (work: () => Promise<unknown>): void => {
    void Promise.resolve()
      .then(work)
      .catch(() => {})
  }
  const said = async (from: SimDevice, to: SimDevice, reply?: Message): Promise<void> => {
    await until(`${from.name} up`, () => from.isUp)
    attempt(() => ledger.say(from, to.address, reply === undefined ? {} : { reply }))
    const one = ledger.said.length
    await world.run({ until: () => (ledger.said[one - 1]?.id ?? '') !== '' || !from.isUp, timeMs: 1_000 })
  }

  // First contact: registration, cards, a session key ahead.
  for (const device of [alice, bob]) attempt(() => device.start())
  await until('registration', () => isReady(alice) && isReady(bob))
  // Contacts tell one another what was delivered.
  const know = async (device: SimDevice, other: SimDevice): Promise<void> => {
    const knows = (): boolean => device.isUp && device.agent.contacts().some(({ address }) => address === other.address)
    for (let i = 0; i < 5 && !knows(); i++) {
      if (device.isUp) attempt(() => device.agent.addContact(`im:${other.address}`))
      await world.run({ until: knows, timeMs: 2_000 })
    }
  }
  await know(alice, bob)
  await know(bob, alice)
  await said(alice, bob)
  await until('the first message', ledger.isSettled)
  // A reply in its thread.
  await said(bob, alice, world.handed[0]?.message)
  await until('the answer', ledger.isSettled)

  // A second device, which dials back for the key of what bob says next.
  const { device: second, line } = await world.makeDevice(alice.address)
  watch(second)
  const isLetIn = (): boolean => isReady(alice) && alice.agent.devices().length === 2
  for (let i = 0; i < 20 && !isLetIn(); i++) {
    if (isReady(alice)) attempt(() => alice.agent.approveDevice(line))
    await world.run({ until: isLetIn, timeMs: 15_000 })
  }
  attempt(async () => {
    await second.start()
    second.agent.watch((event) => {
      if (event.kind === 'locked' && event.cause === 'key-unknown') asked()
    })
  })
  await said(bob, alice)
  await until('the second device', () => isReady(second))
  await until('the message to both devices', ledger.isSettled)
  await said(second, bob)
  await said(alice, bob)
  await until('the messages of both devices', ledger.isSettled)

  // At rest: receipts have come, every request is answered or given up.
  const isDone = (): boolean =>
    ledger.said.every(({ id, from }) => id === undefined || (from.isUp && from.agent.sent(id)?.status().state === 'delivered'))
  await until('the receipts', isDone)
  await world.run({ timeMs: 60_000 })
  for (const what of [...ledger.lost(), ...ledger.offences()]) wrong(what)
  for (const device of world.devices)
    if (device.isUp) for (const { cause } of device.agent.locked()) wrong(`a message at ${device.name} is locked: ${cause}`)
}

/** Plays the conversation once to count, then once for each point of it; a violation names its point. */
export async function simulateCrashPoints(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const whole = await play(seed, { planted: false })
  const violations = whole.violations.map((what) => `without a crash: ${what}`)
  const faults = { 'crash before': 0, 'crash after': 0, 'key asked for': whole.keysAsked }
  let { messages } = whole
  for (const [node, count] of whole.batches) {
    for (let batch = 1; batch <= count; batch++) {
      for (const at of ['before', 'after'] as const) {
        const outcome = await play(seed, { point: { node, batch, at }, planted })
        messages += outcome.messages
        if (outcome.crashed) faults[`crash ${at}`]++
        else violations.push(`${node} did not come to batch ${batch} again`)
        violations.push(...outcome.violations.map((what) => `crash ${at} batch ${batch} of ${node}: ${what}`))
        // One is enough to show that the check can fail.
        if (planted && violations.length > 0) return { violations, faults, messages }
      }
    }
  }
  return { violations, faults, messages }
}
