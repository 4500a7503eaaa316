/**
 * The only writer of the agent's store, for sending and receiving alike. A step runs at once, in memory; steps that come
 * while a batch is being synced go into the next one together. A batch holds whole steps. When it fails, its steps and
 * all that were built on them are discarded, and the state is read again from the store.
 * @module
 */
import type { Clock, Store, StoreOp } from '@parley/core'
import { AgentError } from './errors.ts'
import type { State, Tx } from './state.ts'

/** Runs a step; resolves with its result when it is durable. Rejects with what the step threw, or when the store failed. */
export type Commit = <T>(step: (tx: Tx) => T) => Promise<T>

export interface Committer {
  readonly commit: Commit
  /** Resolves when everything so far is written or discarded. */
  flush(): Promise<void>
  /** Nothing is taken any more; what was taken is written. */
  close(): Promise<void>
}

type Waiting = { readonly ops: StoreOp[]; readonly effects: (() => void)[]; settle(error?: unknown): void }

export function createCommitter(options: {
  readonly state: State
  readonly store: Store
  readonly clock: Clock
  /** The store failed and the state was read again: whoever holds on to older state starts over. */
  onDiscard(error: unknown): void
}): Committer {
  const { state, store, clock } = options
  let waiting: Waiting[] = []
  let writing: Promise<void> | undefined
  let reloading: Promise<void> | undefined
  let closed = false

  const write = async (): Promise<void> => {
    // One turn, so that steps of the same turn share a sync.
    await undefined
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      const ops = group.flatMap((step) => step.ops)
      try {
        if (ops.length > 0) await store.batch(ops, { durable: true })
      } catch (error) {
        await discard(group, error)
        continue
      }
      for (const step of group) step.settle()
      for (const step of group) for (const effect of step.effects) effect()
    }
    writing = undefined
  }

  const discard = async (group: Waiting[], cause: unknown): Promise<void> => {
    const lost = [...group, ...waiting]
    waiting = []
    reloading = state.reload()
    try {
      await reloading
    } catch {
      // The store cannot even be read: nothing more is taken.
      closed = true
    }
    reloading = undefined
    const error = new AgentError('ERR_AGENT_STORE_FAILED', 'the store refused a batch; nothing of it took effect', {
      cause,
      retryable: !closed,
    })
    for (const step of lost) step.settle(error)
    options.onDiscard(error)
  }

  const commit: Commit = async (step) => {
    if (reloading !== undefined) await reloading.catch(() => {})
    if (closed) throw new AgentError('ERR_AGENT_CLOSED', 'the agent is closed')
    const { result, ops, effects } = state.run(clock.now(), step)
    await new Promise<void>((done, failed) => {
      waiting.push({ ops, effects, settle: (error) => (error === undefined ? done() : failed(error)) })
      writing ??= write()
    })
    return result
  }

  const flush = async (): Promise<void> => {
    while (writing !== undefined) await writing
  }

  return {
    commit,
    flush,
    async close() {
      closed = true
      await flush()
    },
  }
}
