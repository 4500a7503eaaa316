/**
 * A whole Parley network in one process, from one seed: relays and agents with their own disks and clocks on one simulated
 * network. Processes can be killed and started again; what they had not synced is lost, as on a machine.
 * @module
 */

import {
  type Agent,
  type AgentLimits,
  type AgentOptions,
  createAgent,
  type Message,
  makeAccount,
  makeLinkedDevice,
} from '@parley/agent'
import { type Address, assert, domainOf, parseAddress, type Store, type Transport, toDomain } from '@parley/core'
import {
  createSchedule,
  createSimDisk,
  createSimNetwork,
  createSimRandom,
  type LinkFaults,
  type Schedule,
  type SimClock,
  type SimDisk,
  type SimNetwork,
  type SimRandom,
} from '@parley/core/sim'
import type { Protocol } from '@parley/kernel'
import { nextTurn } from '@parley/platform/system'
import { chat } from '@parley/protocols/chat'
import { createRelay, type Relay, type RelayLimits } from '@parley/relay'
import { createLife, type Life } from './life.ts'

export type WorldOptions = {
  readonly seed: number | string
  /** Waits one macrotask turn, so that promises settle between two events; that of the runtime unless given. */
  readonly settle?: () => Promise<void>
  readonly faults?: LinkFaults
  /** How far wall clocks may be off, each way. */
  readonly skewMsMax?: number
  /** By default chat alone. */
  readonly protocols?: readonly Protocol[]
  readonly agentLimits?: Partial<AgentLimits>
  /** What one account's devices do otherwise than all. */
  readonly agentOptions?: (address: Address) => Partial<Pick<AgentOptions, 'protocols' | 'tellsDisplayed' | 'discloses'>>
  readonly relayLimits?: Partial<RelayLimits>
  /** Puts something between a process and its store: a bug to plant, a probe. */
  readonly wrapStore?: (name: string, store: Store) => Store
  /** Whether every device has an application that takes its messages, into `handed`; true unless said otherwise. */
  readonly takesMessages?: boolean
}

/** A message that an application was handed. */
export type Handed = {
  readonly device: string
  readonly address: Address
  readonly id: string
  readonly attempt: number
  readonly text: string
  readonly message: Message
}

export interface SimRelay {
  readonly name: string
  readonly disk: SimDisk
  readonly clock: SimClock
  readonly isUp: boolean
  /** `undefined` while it is down. */
  readonly relay: Relay | undefined
  start(): Promise<void>
  kill(): void
}

export interface SimDevice {
  /** `alice@a.test/1` */
  readonly name: string
  readonly address: Address
  readonly disk: SimDisk
  readonly clock: SimClock
  /** Throws while it is down. */
  readonly agent: Agent
  readonly isUp: boolean
  start(): Promise<void>
  kill(): void
}

export interface World {
  readonly schedule: Schedule
  readonly network: SimNetwork
  readonly random: SimRandom
  readonly relays: readonly SimRelay[]
  readonly devices: readonly SimDevice[]
  /** Every hand-over, in the order it happened. */
  readonly handed: readonly Handed[]
  readonly kills: number
  /** Problems that agents reported, as `device code from`. */
  readonly reports: readonly string[]
  /** Starts a relay for a domain; all relays of a world have routes to one another. */
  addRelay(domain: string): Promise<SimRelay>
  /** Makes an account with its first device and starts it, unless `start` is false: then it is down and its relay has not heard of it. */
  addAccount(address: string, options?: { readonly start?: boolean }): Promise<SimDevice>
  /** Makes a further device, which the admin device approves, and starts it. */
  addDevice(admin: SimDevice): Promise<SimDevice>
  /** Makes a further device that is down; an admin device approves it by `line`. */
  makeDevice(address: Address): Promise<{ readonly device: SimDevice; readonly line: string }>
  /** Lets time pass until `until` holds; answers whether it did. */
  run(options: { readonly until?: () => boolean; readonly timeMs: number }): Promise<boolean>
  /** Lets time pass until the promise settles, and answers as it does. */
  settled<T>(promise: Promise<T>, timeMs?: number): Promise<T>
  /** Stops everything. */
  close(): Promise<void>
}

const firstPort = 1001

export function createWorld(options: WorldOptions): World {
  const random = createSimRandom(options.seed)
  const schedule = createSchedule({ settle: options.settle ?? nextTurn })
  const network = createSimNetwork({
    schedule,
    random: random.fork('network'),
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  })
  const relays: SimRelay[] = []
  const devices: SimDevice[] = []
  const handed: Handed[] = []
  const reports: string[] = []
  const protocols = options.protocols ?? [chat]
  const ports = new Map<string, number>()
  let kills = 0

  const skew = (name: string): number => {
    const max = options.skewMsMax ?? 0
    return max === 0 ? 0 : random.fork(`skew ${name}`).int(2 * max + 1) - max
  }
  const urlOf = (domain: string): string => `ws://${domain}:${ports.get(domain)}`

  /** What every process has: a disk that outlives it, and a life that does not. */
  const machine = (
    name: string,
  ): {
    readonly disk: SimDisk
    readonly clock: SimClock
    readonly live: () => { readonly life: Life; readonly store: Store; readonly transport: Transport }
  } => {
    const disk = createSimDisk({ random: random.fork(`disk ${name}`), schedule })
    const clock = schedule.clock({ skewMs: skew(name) })
    return {
      disk,
      clock,
      live() {
        const life = createLife({ clock, transport: network.transport(name) })
        const store = disk.open()
        return { life, store: options.wrapStore?.(name, store) ?? store, transport: life.transport }
      },
    }
  }

  const world: World = {
    schedule,
    network,
    random,
    relays,
    devices,
    handed,
    reports,
    get kills() {
      return kills
    },

    async addRelay(name) {
      const domain = toDomain(name)
      assert(domain !== undefined, 'addRelay: not a domain')
      ports.set(name, firstPort + ports.size)
      const { disk, clock, live } = machine(name)
      const draws = random.fork(`random ${name}`)
      let life: Life | undefined
      let relay: Relay | undefined
      const routes = (): { domain: typeof domain; url: string }[] =>
        [...ports.keys()].flatMap((other) => (other === name ? [] : [{ domain: other as typeof domain, url: urlOf(other) }]))
      const self: SimRelay = {
        name,
        disk,
        clock,
        get isUp() {
          return relay !== undefined
        },
        get relay() {
          return relay
        },
        async start() {
          const { life: mine, store, transport } = live()
          life = mine
          const started = await createRelay({
            domain,
            store,
            transport,
            clock: mine.clock,
            random: draws,
            routes: routes(),
            registration: 'open',
            port: ports.get(name) ?? 0,
            ...(options.relayLimits === undefined ? {} : { limits: options.relayLimits }),
          })
          if (life === mine) relay = started
        },
        kill() {
          if (life === undefined) return
          kills++
          life.end()
          life = undefined
          relay = undefined
          network.kill(name)
          disk.crash()
        },
      }
      relays.push(self)
      await world.settled(self.start())
      for (const other of relays) {
        const all = [...ports.keys()].filter((known) => known !== other.name)
        other.relay?.setFederation({ routes: all.map((known) => ({ domain: known as typeof domain, url: urlOf(known) })) })
      }
      return self
    },

    async addAccount(text, { start = true } = {}) {
      const address = parseAddress(text)
      const device = newDevice(address)
      const { store, storeKeys, clock, draws } = device.open()
      await world.settled(makeAccount({ store, storeKeys, clock, random: draws, address, relayUrl: urlOf(domainOf(address)) }))
      await world.settled(store.close())
      if (!start) return device
      await world.settled(device.start())
      await world.run({ until: () => device.agent.connection.state === 'ready', timeMs: 60_000 })
      return device
    },

    async makeDevice(address) {
      const device = newDevice(address)
      const { store, storeKeys, clock, draws } = device.open()
      const relayUrl = urlOf(domainOf(address))
      const { line } = await world.settled(makeLinkedDevice({ store, storeKeys, clock, random: draws, address, relayUrl }))
      await world.settled(store.close())
      return { device, line }
    },

    async addDevice(admin) {
      const { device, line } = await world.makeDevice(admin.address)
      await world.settled(admin.agent.approveDevice(line))
      await world.settled(device.start())
      await world.run({ until: () => device.agent.connection.state === 'ready', timeMs: 120_000 })
      return device
    },

    async run({ until, timeMs }) {
      return schedule.run({ timeMax: schedule.time() + timeMs, ...(until === undefined ? {} : { until }) })
    },

    async settled(promise, timeMs = 600_000) {
      let isDone = false
      const done = (): void => {
        isDone = true
      }
      promise.then(done, done)
      const ended = await world.run({ until: () => isDone, timeMs })
      assert(ended && isDone, 'the promise did not settle in the time given')
      return promise
    },

    async close() {
      for (const device of devices) device.kill()
      for (const relay of relays) relay.kill()
      await world.run({ timeMs: 1000 })
    },
  }
  return world

  function newDevice(address: Address) {
    const name = `${address}/${devices.filter((device) => device.address === address).length + 1}`
    const { disk, clock, live } = machine(name)
    const draws = random.fork(`random ${name}`)
    const storeKeys = [random.fork(`store key ${name}`).bytes(32)]
    let life: Life | undefined
    let agent: Agent | undefined
    const device = {
      name,
      address,
      disk,
      clock,
      get agent(): Agent {
        assert(agent !== undefined, `${name} is down`)
        return agent
      },
      get isUp() {
        return agent !== undefined
      },
      open() {
        const { life: mine, store } = live()
        return { store, storeKeys, clock: mine.clock, draws }
      },
      async start() {
        const { life: mine, store, transport } = live()
        life = mine
        const started = await createAgent({
          store,
          storeKeys,
          transport,
          clock: mine.clock,
          random: draws,
          protocols,
          ...(options.agentLimits === undefined ? {} : { limits: options.agentLimits }),
          ...options.agentOptions?.(address),
        })
        if (life !== mine) return
        agent = started
        started.watch((event) => {
          if (event.kind === 'problem') reports.push(`${name} ${event.code} ${event.from}`)
        })
        if (options.takesMessages !== false) void consume(started, mine)
      },
      kill() {
        if (life === undefined) return
        kills++
        life.end()
        life = undefined
        agent = undefined
        network.kill(name)
        disk.crash()
      },
    }
    devices.push(device)
    return device

    // The application: takes every message, as long as its process lives.
    async function consume(of: Agent, mine: Life): Promise<void> {
      try {
        for await (const message of of.messages()) {
          if (!mine.isOn) return
          const text = message.body['text']
          handed.push({
            device: name,
            address,
            id: message.id,
            attempt: message.attempt,
            text: typeof text === 'string' ? text : '',
            message,
          })
        }
      } catch {
        // The process was killed, or its disk refused: whatever was not handled is handed over again.
      }
    }
  }
}
