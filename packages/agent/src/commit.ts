/**
 * The only writer of the agent's store, for sending and receiving alike. A step runs at once, in memory; steps that come
 * while a batch is being synced go into the next one together. A batch holds whole steps. When it fails, its steps and
 * all that were built on them are discarded, and the state is read again from the store.
 * @module
 */
import type { Store, StoreOp } from '@parley/core'
import { AgentError } from './errors.ts'
import { secretTables } from './rows.ts'
import type { Changes, State, Tx } from './state.ts'
import type { Time } from './time.ts'

/** Runs a step; resolves with its result when it is durable. Rejects with what the step threw, or when the store failed. */
export type Commit = <T>(step: (tx: Tx) => T) => Promise<T>

export interface Committer {
  readonly commit: Commit
  /** Nothing is taken any more; what was taken is written or discarded. */
  close(): Promise<void>
}

type Waiting = { readonly changes: Changes; readonly effects: readonly (() => void)[]; settle(error?: unknown): void }

export function createCommitter(options: {
  readonly state: State
  readonly store: Store
  readonly time: Time
  /** The store failed and the state was read again: whoever holds on to older state starts over. */
  onDiscard(): void
  /** What a durable batch wrote, before its effects run. */
  onWritten?(changes: Changes): void
  /** A durable batch deleted secrets, which stay on the medium until their ranges are rewritten. */
  onErased(): void
  /** An effect threw. The step is durable all the same, and the other effects run. */
  onEffectFailed(error: unknown): void
}): Committer {
  const { state, store, time } = options
  let waiting: Waiting[] = []
  let writing: Promise<void> | undefined
  let reloading: Promise<void> | undefined
  /** What memory holds was not written: nothing is built on it before the store was read again. */
  let isStale = false
  let closed = false

  const write = async (): Promise<void> => {
    // One turn, so that steps of the same turn share a sync.
    await undefined
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      let ops: readonly StoreOp[]
      try {
        // No step runs between the last of the group and this: what memory holds is what the group left.
        ops = state.write(group.map(({ changes }) => changes))
        if (ops.length > 0) await store.batch(ops, { durable: true })
      } catch (error) {
        await discard(group, error)
        continue
      }
      for (const step of group) step.settle()
      if (ops.some(isErasure)) attempt(options.onErased)
      for (const { changes } of group) options.onWritten?.(changes)
      for (const step of group) for (const effect of step.effects) attempt(effect)
    }
    writing = undefined
  }

  const attempt = (effect: () => void): void => {
    try {
      effect()
    } catch (error) {
      options.onEffectFailed(error)
    }
  }

  const discard = async (group: Waiting[], cause: unknown): Promise<void> => {
    const lost = [...group, ...waiting]
    waiting = []
    isStale = true
    // A store that cannot even be read is read again before the next step.
    await reload().catch(() => {})
    const error = storeFailed(cause)
    for (const step of lost) step.settle(error)
  }

  const reload = (): Promise<void> => {
    reloading ??= state.reload().then(
      () => {
        isStale = false
        reloading = undefined
        attempt(options.onDiscard)
      },
      (error: unknown) => {
        reloading = undefined
        throw error
      },
    )
    return reloading
  }

  const commit: Commit = async (step) => {
    while (isStale && !closed) {
      await reload().catch((error: unknown) => {
        throw storeFailed(error)
      })
    }
    if (closed) throw new AgentError('ERR_AGENT_CLOSED', 'the agent is closed')
    const { now, ...times } = time.read()
    const stepAndMark = (tx: Tx): ReturnType<typeof step> => {
      time.mark(tx)
      return step(tx)
    }
    const { result, changes, effects } = state.run(now, stepAndMark, times)
    await new Promise<void>((done, failed) => {
      waiting.push({ changes, effects, settle: (error) => (error === undefined ? done() : failed(error)) })
      writing ??= write()
    })
    return result
  }

  return {
    commit,
    async close() {
      closed = true
      while (writing !== undefined) await writing
    },
  }
}

function storeFailed(cause: unknown): AgentError {
  return new AgentError('ERR_AGENT_STORE_FAILED', 'the store refused a batch; nothing of it took effect', {
    cause,
    retryable: true,
  })
}

function isErasure(op: StoreOp): boolean {
  return op.type === 'del' && secretTables.some((table) => op.key.startsWith(`${table}/`))
}
