import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Agent, Run } from '@parley/agent'
import { openAgent } from '@parley/agent/node'
import { defineMessage, defineProtocol, effectActions, type Migration, type Protocol, type RoleInput } from '@parley/kernel'
import { systemClock } from '@parley/platform/system'
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { assign, setup } from 'xstate'
import * as z from 'zod/mini'

// Runs need a store and no network: nobody listens at this relay.
const me = { address: 'alice@a.localhost', relay: 'ws://127.0.0.1:1' }
const peer = 'bob@b.localhost'
const hour = 3_600_000

const messages = { ask: defineMessage({ type: 'urn:test:wait:1:ask', body: z.strictObject({}) }) }
type Told = { readonly type: 'note'; readonly text: string } | { readonly type: 'end' }

/** The first version keeps one note, the second a list of them. */
const first = setup({
  types: { input: {} as RoleInput, context: {} as { note: string }, events: {} as Told, output: {} as { notes: string } },
  actions: effectActions<typeof messages>(),
  delays: { patienceMs: hour },
}).createMachine({
  id: 'waiter',
  context: { note: '' },
  initial: 'waiting',
  states: {
    waiting: {
      entry: { type: 'send', params: { message: 'ask', body: {} } },
      on: {
        note: {
          actions: [
            assign({ note: ({ event }) => event.text }),
            { type: 'emit', params: ({ event }) => ({ name: 'noted', text: event.text }) },
          ],
        },
        end: 'ended',
      },
      after: { patienceMs: 'gone' },
    },
    ended: { type: 'final' },
    gone: { type: 'final' },
  },
  output: ({ context }) => ({ notes: context.note }),
})

const second = setup({
  types: { input: {} as RoleInput, context: {} as { notes: string[] }, events: {} as Told, output: {} as { notes: string } },
  actions: effectActions<typeof messages>(),
}).createMachine({
  id: 'waiter',
  context: { notes: [] },
  initial: 'listening',
  states: {
    listening: {
      on: { note: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.text] }) }, end: 'ended' },
    },
    ended: { type: 'final' },
  },
  output: ({ context }) => ({ notes: context.notes.join() }),
})

const toList: Migration = {
  name: 'keep every note',
  from: 1,
  role: 'waiter',
  migrate: ({ context, deadlines }) => ({
    value: 'listening',
    context: { notes: [context['note'] ?? ''] },
    deadlines: deadlines.filter(({ id }) => id.startsWith('kernel.')),
  }),
}

const define = (version: number, machine: typeof first | typeof second, migrations: readonly Migration[] = []): Protocol =>
  defineProtocol({ uri: 'urn:test:wait:1', version, messages, migrations, roles: { waiter: { machine } } })
const v1 = define(1, first)

let folder: string
let agent: Agent
const open = async (protocol: Protocol, shiftMs = 0): Promise<Agent> => {
  const clock = { ...systemClock, now: () => systemClock.now() + shiftMs }
  agent = await openAgent({ ...me, home: join(folder, 'alice'), protocols: [protocol], clock })
  return agent
}
const reopen = async (protocol: Protocol, shiftMs = 0): Promise<Run> => {
  await agent.close()
  const [run] = (await open(protocol, shiftMs)).runs(protocol)
  if (run === undefined) throw new Error('the run is gone')
  return run
}
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-runs-'))
})
afterEach(async () => {
  await agent.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('a run in a real store', () => {
  it('is there after a restart, goes on, and ends with its output', async () => {
    const started = await (await open(v1)).start(v1, 'waiter', { peer })
    await started.tell({ type: 'note', text: 'before' })
    const run = await reopen(v1)
    expect(run).toMatchObject({ threadId: started.threadId, role: 'waiter', peer })
    expect(run.state()).toEqual({ status: 'active', value: 'waiting' })
    const heard: unknown[] = []
    run.subscribe((event) => heard.push(event))
    await run.tell({ type: 'note', text: 'after' })
    await run.tell({ type: 'end' })
    expect(await run.finished()).toEqual({ notes: 'after' })
    expect(heard).toEqual([
      { name: 'noted', params: { text: 'after' } },
      { name: 'status', params: { status: 'done' } },
    ])
    // An ended one is known for a while too.
    expect(await (await reopen(v1)).finished()).toEqual({ notes: 'after' })
  })

  it('keeps its deadline over a restart and a jump of the clock', async () => {
    await (await open(v1)).start(v1, 'waiter', { peer })
    const early = await reopen(v1, hour / 2)
    await early.tell({ type: 'note', text: 'still here' })
    const late = await reopen(v1, hour + 1000)
    expect(await late.finished()).toEqual({ notes: 'still here' })
    expect(late.state().value).toBe('gone')
  })

  it('is led on by a named migration', async () => {
    const started = await (await open(v1)).start(v1, 'waiter', { peer })
    await started.tell({ type: 'note', text: 'one' })
    const v2 = define(2, second, [toList])
    const run = await reopen(v2)
    await run.tell({ type: 'note', text: 'two' })
    await run.tell({ type: 'end' })
    expect(await run.finished()).toEqual({ notes: 'one,two' })
  })

  it('ends with a problem where no migration leads on', async () => {
    await (await open(v1)).start(v1, 'waiter', { peer })
    const v2 = define(2, second)
    const run = await reopen(v2, 31 * 24 * hour)
    await expect(run.finished()).rejects.toMatchObject({ code: 'ERR_AGENT_PROTOCOL_PROBLEM', reason: 'version-unknown' })
  })

  it('refuses an event that its machine does not take now, and one after its end', async () => {
    const run = await (await open(v1)).start(v1, 'waiter', { peer })
    await expect(run.tell({ type: 'sing' })).rejects.toMatchObject({ code: 'ERR_AGENT_PROTOCOL_PROBLEM', reason: 'ignored' })
    await run.tell({ type: 'end' })
    await expect(run.tell({ type: 'end' })).rejects.toMatchObject({ reason: 'thread-ended' })
  })

  it('stops waiting for its end when the caller says so, or the agent closes', async () => {
    const run = await (await open(v1)).start(v1, 'waiter', { peer })
    const stop = new AbortController()
    const waiting = run.finished({ signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    const closed = run.finished()
    await Promise.all([expect(closed).rejects.toMatchObject({ code: 'ERR_AGENT_CLOSED' }), agent.close()])
  })

  it('has the types of its machine', async () => {
    const typed = defineProtocol({ uri: 'urn:test:wait:1', version: 1, messages, roles: { waiter: { machine: first } } })
    const run = await (await open(typed)).start(typed, 'waiter', { peer })
    expectTypeOf(run.finished).returns.resolves.toEqualTypeOf<{ notes: string }>()
    // @ts-expect-error there is no such role
    await expect(agent.start(typed, 'walker', { peer })).rejects.toMatchObject({ reason: 'role-unknown' })
  })

  it('is listed by its protocol only, and by none that the agent does not have', async () => {
    const { start, runs } = await open(v1)
    await start(v1, 'waiter', { peer })
    expect(runs(v1)).toHaveLength(1)
    expect(() => runs(define(1, first))).toThrow(expect.objectContaining({ code: 'ERR_AGENT_PROTOCOL_UNKNOWN' }))
  })
})
