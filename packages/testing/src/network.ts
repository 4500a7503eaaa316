/**
 * A network for the tests of an application: real agents and real relays in this process, with virtual time and faults.
 * Nothing happens unless time is let pass, so a test says what it waits for and never sleeps.
 * @module
 */
import type { Agent, AgentLimits } from '@parley/agent'
import { assert } from '@parley/core'
import { type LinkFaults, perfectLink, type SimClock, type SimDisk } from '@parley/core/sim'
import type { Protocol } from '@parley/kernel'
import type { RelayLimits } from '@parley/relay'
import { createWorld } from './world.ts'

export type TestNetworkOptions = {
  /** The same seed, the same run: keys, delays, faults. */
  readonly seed: number | string
  /** What the agents speak; chat alone unless said otherwise. */
  readonly protocols?: readonly Protocol[]
  /** Domains, each with a relay; all have routes to one another. By default `a.test` and `b.test`. */
  readonly domains?: readonly string[]
  readonly agentLimits?: Partial<AgentLimits>
  readonly relayLimits?: Partial<RelayLimits>
  /** How far wall clocks may be off, each way. */
  readonly skewMsMax?: number
}

/** A relay or a device: a process with a disk and a clock, which can be killed and started again. */
export interface TestProcess {
  /** `a.test`, or `alice@a.test/1`. */
  readonly name: string
  readonly isUp: boolean
  /** Kills it between two events: what its disk had not synced is lost. */
  kill(): void
  /** Starts it again on what its disk holds. */
  start(): Promise<void>
  /** `full`, `syncMs`, and what is stored. */
  readonly disk: SimDisk
  /** `jump` moves the wall clock; timers go on. */
  readonly clock: SimClock
}

export interface TestDevice extends TestProcess {
  /** The SDK as an application has it; another object after a restart. Throws while the process is down. */
  readonly agent: Agent
}

export interface TestNetwork extends AsyncDisposable {
  /** Makes an account with a device that is connected. */
  addAccount(address: string): Promise<TestDevice>
  /** Makes a further device of the account, approved and connected. */
  addDevice(of: TestDevice): Promise<TestDevice>
  relay(domain: string): TestProcess
  /** Milliseconds since the network began. */
  now(): number
  /** Lets this much time pass. */
  advance(ms: number): Promise<void>
  /** Lets time pass until the promise settles, and settles as it does. Whatever the network has to do with must be awaited so. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Lets time pass until the condition holds; rejects when that takes more than an hour, or `timeMs`. */
  until(condition: () => boolean, options?: { readonly timeMs?: number }): Promise<void>
  /** Weather on every link from now on: what is left out is as on a perfect link. */
  setLinks(faults: Partial<LinkFaults>): void
  /** Cuts the way from one process to another, by name; the answer heals it. Both directions need two cuts. */
  cut(from: string, to: string): () => void
  close(): Promise<void>
}

const patienceMs = 3_600_000

/** Starts the relays of a test network. */
export async function createTestNetwork(options: TestNetworkOptions): Promise<TestNetwork> {
  const { domains = ['a.test', 'b.test'], ...rest } = options
  const world = createWorld({ ...rest, takesMessages: false })
  const cuts = new Set<{ readonly from: string; readonly to: string }>()
  world.network.isPartitioned = (from, to) => [...cuts].some((cut) => cut.from === from && cut.to === to)
  const relays = new Map<string, TestProcess>()
  for (const domain of domains) relays.set(domain, await world.addRelay(domain))
  let closing: Promise<void> | undefined

  const network: TestNetwork = {
    addAccount: (address) => world.addAccount(address),
    async addDevice(of) {
      const admin = world.devices.find(({ name }) => name === of.name)
      if (admin === undefined) throw new TypeError('addDevice: not a device of this network')
      return world.addDevice(admin)
    },
    relay(domain) {
      const relay = relays.get(domain)
      if (relay === undefined) throw new TypeError('relay: there is none for this domain')
      return relay
    },
    now: () => world.schedule.time(),
    async advance(ms) {
      await world.run({ until: () => false, timeMs: ms })
    },
    settle: (promise) => world.settled(promise, patienceMs),
    async until(condition, { timeMs = patienceMs } = {}) {
      assert(await world.run({ until: condition, timeMs }), 'until: the condition did not come to hold in the time given')
    },
    setLinks(faults) {
      world.network.faults = { ...perfectLink, ...faults }
    },
    cut(from, to) {
      const made = { from, to }
      cuts.add(made)
      return () => cuts.delete(made)
    },
    close() {
      closing ??= world.close()
      return closing
    },
    [Symbol.asyncDispose]: () => network.close(),
  }
  return network
}
