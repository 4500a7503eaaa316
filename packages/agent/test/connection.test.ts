import { type Connection as Socket, silent, utf8 } from '@parley/core'
import { createSchedule, createSimNetwork, type Schedule, type SimNetwork } from '@parley/core/sim'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Connection, type ConnectionStatus, createConnection } from '../src/connection.ts'
import { agentLimits } from '../src/limits.ts'
import { type Person, person } from './people.ts'

const limits = { ...agentLimits, idleMsMax: 20_000, requestTimeoutMs: 3000 }
let alice: Person
let schedule: Schedule
let network: SimNetwork
let connection: Connection
let states: ConnectionStatus[]

beforeEach(async () => {
  alice = await person('alice@a.test')
  const { profile } = alice.self
  alice.run((tx) => tx.put('self', 'profile', { ...profile(), relayUrl: 'ws://relay:1' }))
  schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  network = createSimNetwork({ schedule, random: alice.random })
  states = []
  connection = createConnection({
    ...alice,
    transport: network.transport('alice'),
    clock: schedule.clock(),
    telemetry: silent,
    limits,
    outgoing: () => [],
    ready: () => Promise.resolve(),
    received() {},
    changed: (status) => states.push(status),
  })
})

const until = (ms: number): Promise<boolean> => schedule.run({ timeMax: schedule.time() + ms })
/** A relay that does with a new socket what is given. */
async function relay(onConnection: (socket: Socket) => void): Promise<void> {
  const listening = network
    .transport('relay')
    .listen({ port: 1, subprotocols: ['parley.c2s.1'], frameBytesMax: 1_000_000, onConnection })
  await until(0)
  await listening
}

describe('without a relay', () => {
  it('it tries again with growing waits, and says when and why', async () => {
    connection.start()
    await until(10 * 60_000)
    const waits = states.filter(({ state }) => state === 'waiting')
    expect(waits.length).toBeGreaterThan(8)
    for (const { reason, retryable } of waits) expect([reason, retryable]).toEqual(['relay-unreachable', true])
    const times = waits.map(({ since, nextTry = 0 }) => nextTry - since)
    expect(Math.max(...times)).toBeLessThanOrEqual(limits.retryMsMax)
    expect(times.at(-1)).toBeGreaterThan(10 * (times[0] ?? Number.POSITIVE_INFINITY))
    expect(connection.status.state).not.toBe('ready')
  })

  it('requests wait only so long', async () => {
    connection.start()
    const asked = expect(connection.request('cards', {})).rejects.toMatchObject({
      code: 'ERR_AGENT_NOT_CONNECTED',
      retryable: true,
    })
    await until(limits.requestTimeoutMs + 1)
    await asked
  })
})

describe('with a relay that', () => {
  it('says nothing, the silence ends the stream', async () => {
    let opened = 0
    await relay((socket) => {
      opened++
      socket.start({ onFrame() {}, onClose() {} })
    })
    connection.start()
    await until(3 * limits.idleMsMax)
    expect(opened).toBeGreaterThan(1)
    expect(states).toContainEqual(expect.objectContaining({ state: 'waiting', reason: 'idle', retryable: true }))
  })

  it('speaks nonsense, the stream ends with a code', async () => {
    await relay((socket) => {
      socket.start({ onFrame() {}, onClose() {} })
      socket.send(utf8('nonsense'))
    })
    connection.start()
    await until(1000)
    const ended = states.find(({ reason }) => reason !== undefined)
    expect(ended?.state).toBe('waiting')
    expect(ended?.reason).toMatch(/^frame-/)
  })

  it('hangs up, it is dialled again', async () => {
    let opened = 0
    await relay((socket) => {
      opened++
      socket.start({ onFrame() {}, onClose() {} })
      socket.close(1000, 'bye')
    })
    connection.start()
    await until(5000)
    expect(opened).toBeGreaterThan(2)
    expect(states).toContainEqual(expect.objectContaining({ reason: 'connection-lost' }))
  })
})

it('is stopped for good when it is closed, and leaves no timer behind', async () => {
  connection.start()
  await until(1000)
  await connection.close()
  expect(connection.status).toMatchObject({ state: 'stopped', reason: 'closed', retryable: false })
  await expect(connection.request('cards', {})).rejects.toMatchObject({ code: 'ERR_AGENT_NOT_CONNECTED' })
  await until(60_000)
  const { events } = schedule
  await until(10 * 60_000)
  expect([connection.status.state, schedule.events - events]).toEqual(['stopped', 0])
})
