/**
 * Protocol runs as the application sees them: started with a peer, watched, awaited. A run is a stored thread, so the
 * handle may be gone and the run goes on.
 * @module
 */
import type { Address, Json, JsonObject, ThreadId } from '@parley/core'
import { type Protocol, type Registry, type StartInput, type ThreadRecord, threadKey } from '@parley/kernel'
import type { Commit } from './commit.ts'
import { AgentError } from './errors.ts'
import type { State } from './state.ts'
import { stepThread, type ThreadEvent, type ThreadParts } from './threads.ts'

/** Where a run stands: `value` names the state of its machine, `output` what it left, `problem` why it failed. */
export type RunState = {
  readonly status: ThreadRecord['status']
  readonly value: Json
  readonly output?: Json
  readonly problem?: string
}

/** A handle on a protocol run. */
export type Run<Output = Json | undefined> = {
  readonly threadId: ThreadId
  readonly role: string
  readonly peer: Address
  /** Where it stands now. */
  state(): RunState
  /** Gives the machine an event of its own; resolves when the step is durable, rejects when the machine does not take it now. */
  tell(event: { readonly type: string } & JsonObject): Promise<void>
  /** Events that the machine emits. */
  subscribe(listener: (event: { readonly name: string; readonly params: JsonObject }) => void): () => void
  /** Resolves with the machine's output; rejects with `ERR_AGENT_PROTOCOL_PROBLEM` when the run fails. */
  finished(options?: { readonly signal?: AbortSignal }): Promise<Output>
}

/** Whom a run is with, and what its machine takes. */
export type StartOptions<P extends Protocol, R extends keyof P['roles'] & string> = {
  readonly peer: string
} & (undefined extends StartInput<P, R> ? { readonly input?: StartInput<P, R> } : { readonly input: StartInput<P, R> })

export interface Runs {
  start(
    protocol: Protocol,
    role: string,
    options: { readonly peer: Address; readonly input?: unknown; readonly threadId: ThreadId },
  ): Promise<Run>
  of(protocol: Protocol): readonly Run[]
  notice(event: ThreadEvent): void
  close(error: unknown): void
}

type Listener = (event: { readonly name: string; readonly params: JsonObject }) => void

export function createRuns(parts: {
  readonly state: State
  readonly commit: Commit
  readonly registry: Registry
  threads(): ThreadParts
  /** A listener of the application threw. */
  listenerFailed(error: unknown): void
}): Runs {
  const { state, commit } = parts
  const listeners = new Map<string, Set<Listener>>()
  const closers = new Set<(error: unknown) => void>()
  let closedWith: { readonly error: unknown } | undefined

  const listen = (threadId: string, listener: Listener): (() => void) => {
    const all = listeners.get(threadId) ?? new Set()
    listeners.set(threadId, all.add(listener))
    return () => {
      all.delete(listener)
      if (all.size === 0) listeners.delete(threadId)
    }
  }

  const run = (key: string, { threadId, role, peer, protocol: uri }: ThreadRecord): Run => {
    const read = (): RunState => {
      const record = state.get('thread', key)
      if (record === undefined) return { status: 'done', value: null }
      const { status, output, problem } = record
      return {
        status,
        value: record.state.value,
        ...(output === undefined ? {} : { output }),
        ...(problem === undefined ? {} : { problem }),
      }
    }
    return {
      // A brand: records keep what came with it.
      threadId: threadId as ThreadId,
      role,
      peer,
      state: read,
      tell: (event) =>
        commit((tx) => {
          const record = tx.get('thread', key)
          const protocol = known(uri)
          const { outcome, problem } = stepThread(tx, parts.threads(), {
            protocol,
            record,
            input: { kind: 'command', event, now: tx.steady },
          })
          if (outcome === 'stepped') return
          const reason = problem ?? outcome
          throw new AgentError('ERR_AGENT_PROTOCOL_PROBLEM', `the run did not take the event: ${reason}`, { reason })
        }),
      subscribe: (listener) => listen(threadId, listener),
      finished: ({ signal } = {}) =>
        new Promise((resolve, reject) => {
          signal?.throwIfAborted()
          const end = (): void => {
            stop()
            closers.delete(fail)
            signal?.removeEventListener('abort', abort)
          }
          const fail = (error: unknown): void => {
            end()
            reject(error)
          }
          const abort = (): void => fail(signal?.reason)
          const look = (): void => {
            const { status, output, problem } = read()
            if (status === 'active') return
            end()
            if (status === 'done') resolve(output)
            else {
              const reason = problem ?? 'unknown'
              reject(new AgentError('ERR_AGENT_PROTOCOL_PROBLEM', `the run failed: ${reason}`, { reason }))
            }
          }
          const stop = listen(threadId, look)
          closers.add(fail)
          signal?.addEventListener('abort', abort, { once: true })
          look()
          if (closedWith !== undefined) fail(closedWith.error)
        }),
    }
  }

  const known = (uri: string, is?: Protocol): Protocol => {
    const protocol = parts.registry.get(uri)
    if (protocol !== undefined && (is === undefined || is === protocol)) return protocol
    throw new AgentError('ERR_AGENT_PROTOCOL_UNKNOWN', 'this protocol is not among those of the agent')
  }

  return {
    async start(protocol, role, { peer, input, threadId }) {
      known(protocol.uri, protocol)
      return await commit((tx) => {
        const started = stepThread(tx, parts.threads(), {
          protocol,
          record: undefined,
          // The machine's own input type says what it takes; it must be plain JSON to be stored.
          input: {
            kind: 'start',
            role,
            threadId,
            peer,
            now: tx.steady,
            ...(input === undefined ? {} : { input: input as Json }),
          },
        })
        if (started.record === undefined) {
          const reason = started.problem ?? started.outcome
          throw new AgentError('ERR_AGENT_PROTOCOL_PROBLEM', `the run did not start: ${reason}`, { reason })
        }
        return run(threadKey(started.record), started.record)
      })
    },
    of(protocol) {
      known(protocol.uri, protocol)
      return [...state.rows('thread')]
        .filter(([, { protocol: uri }]) => uri === protocol.uri)
        .sort(([, a], [, b]) => a.started - b.started)
        .map(([key, record]) => run(key, record))
    },
    notice({ thread, name, params }) {
      for (const listener of [...(listeners.get(thread.threadId) ?? [])]) {
        try {
          listener({ name, params })
        } catch (error) {
          parts.listenerFailed(error)
        }
      }
    },
    close(error) {
      closedWith = { error }
      for (const fail of [...closers]) fail(error)
    },
  }
}
