import { type Address, parseAddress, type ThreadId } from '@parley/core'
import { createSchedule } from '@parley/core/sim'
import { createRegistry } from '@parley/kernel'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { beforeEach, describe, expect, it } from 'vitest'
import { createCommitter } from '../src/commit.ts'
import { agentLimits } from '../src/limits.ts'
import { createRuns, type Run, type Runs } from '../src/runs.ts'
import { stepThread, type ThreadParts } from '../src/threads.ts'
import { createTime } from '../src/time.ts'
import { lifetimeMs, type Person, person } from './people.ts'

const bob: Address = parseAddress('bob@b.test')
let alice: Person
let runs: Runs
let threads: ThreadParts
let failures: number

beforeEach(async () => {
  alice = await person('alice@a.test')
  failures = 0
  const registry = createRegistry([trustPing])
  const schedule = createSchedule({ settle: () => Promise.resolve() })
  const { commit } = createCommitter({
    ...alice,
    time: createTime(schedule.clock(), undefined),
    onDiscard() {},
    onErased() {},
    onEffectFailed() {},
  })
  threads = {
    registry,
    outbox: { random: alice.random, limits: agentLimits, lifetimeMs, waiting: () => 0, added() {}, dropped() {} },
    call: () => ({ result: {} }),
    recent: new Map(),
    deliver() {},
    emit: (event) => runs.notice(event),
    wakeAt() {},
  }
  runs = createRuns({ ...alice, commit, registry, threads: () => threads, listenerFailed: () => failures++ })
})

const start = (input: object = {}): Promise<Run> =>
  runs.start(trustPing, 'sender', { peer: bob, input, threadId: 't' as ThreadId })
const expire = (): void => {
  const [[, record] = []] = [...alice.state.rows('thread')]
  const deadline = record?.deadlines[0]
  if (record === undefined || deadline === undefined) throw new Error('nothing is due')
  const input = { kind: 'deadline', id: deadline.id, now: deadline.at } as const
  alice.run((tx) => stepThread(tx, threads, { protocol: trustPing, record, input }), deadline.at)
}

describe('a run', () => {
  it('is there when it was started, with its message in the outbox', async () => {
    const run = await start()
    expect(run.state()).toMatchObject({ status: 'active', value: 'waiting' })
    expect(alice.state.size('outbox')).toBe(1)
    expect(runs.of(trustPing).map(({ threadId, peer }) => [threadId, peer])).toEqual([['t', bob]])
  })

  it('ends with what its machine left, for whoever waits', async () => {
    const run = await start({ responseRequested: false })
    expect(await run.finished()).toMatchObject({ result: 'unanswered' })
    expect(run.state().status).toBe('done')
  })

  it('tells its end to all that wait, and to no listener that went', async () => {
    const run = await start()
    const heard: string[] = []
    const stop = run.subscribe(({ name }) => heard.push(name))
    stop()
    run.subscribe(() => {
      throw new Error('broken listener')
    })
    const ends = Promise.all([run.finished(), run.finished()])
    expire()
    expect(await ends).toMatchObject([{ result: 'timed-out' }, { result: 'timed-out' }])
    expect(heard).toEqual([])
    expect(failures).toBeGreaterThan(0)
  })

  it('is waited for until the signal aborts, or the agent closes', async () => {
    const run = await start()
    const controller = new AbortController()
    const aborted = expect(run.finished({ signal: controller.signal })).rejects.toThrow('enough')
    controller.abort(new Error('enough'))
    await aborted
    const closed = expect(run.finished()).rejects.toThrow('over')
    runs.close(new Error('over'))
    await closed
    await expect(run.finished()).rejects.toThrow('over')
  })

  it('of a protocol that the agent does not have does not start', async () => {
    const options = { peer: bob, threadId: 't' as ThreadId }
    await expect(runs.start(chat, 'peer', options)).rejects.toMatchObject({ code: 'ERR_AGENT_PROTOCOL_UNKNOWN' })
    await expect(runs.start(trustPing, 'nobody', options)).rejects.toMatchObject({ code: 'ERR_AGENT_PROTOCOL_PROBLEM' })
    expect(alice.state.size('thread')).toBe(0)
  })
})
