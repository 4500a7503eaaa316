/**
 * What became of a sent message: queued, accepted, delivered, displayed, or failed with a cause. States only move forward, except that
 * a signed receipt overrules a failure.
 * @module
 */
import type { MessageId } from '@parley/core'
import { AgentError } from './errors.ts'
import type { SentRow, SentState } from './rows.ts'
import type { State, Tx } from './state.ts'

const order: { readonly [state in SentState]: number } = { queued: 0, accepted: 1, failed: 2, delivered: 3, displayed: 4 }

/** Moves a message forward; steps back are ignored. */
export function settleSent(tx: Tx, id: string, to: { readonly state: SentState; readonly cause?: string }): void {
  const row = tx.get('sent', id)
  if (row === undefined || order[to.state] <= order[row.state]) return
  const { cause: _, pending: __, ...rest } = row
  tx.put('sent', id, { ...rest, state: to.state, ...(to.cause === undefined ? {} : { cause: to.cause }) })
}

/** A handle on a message that is in the durable outbox. */
export type Sent = {
  readonly id: MessageId
  readonly threadId: string
  /**
   * Where it stands now; `cause` says why it failed: `expired`, `unsealable`, or the code of a relay; while it is queued, why the relay
   * did not take it so far. `problem` is the code of a problem report: it arrived, and the other side could not deal with it.
   */
  status(): { readonly state: SentState; readonly cause?: string; readonly problem?: string }
  /** Resolves when relays answer for it; rejects with `ERR_AGENT_SEND_FAILED` when it ends before. */
  accepted(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Resolves when a device of the recipient has it; contacts tell, others may never. */
  delivered(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Resolves when it was shown to a person; others may never tell, so give a signal. */
  displayed(options?: { readonly signal?: AbortSignal }): Promise<void>
}

export interface SentBook {
  handle(id: MessageId, threadId: string): Sent
  /** The row of this message is durable as it is now: whoever waits for it looks again. */
  notice(id: string): void
  close(error: unknown): void
}

type Waiter = { readonly id: string; readonly until: SentState; done(): void; failed(error: unknown): void }

export function createSentBook(state: State): SentBook {
  const waiters = new Map<string, Set<Waiter>>()
  let closedWith: { readonly error: unknown } | undefined

  const check = (waiter: Waiter): boolean => {
    const row = state.get('sent', waiter.id)
    // Rows are kept for the lifetime of the message; one that is gone was answered for.
    const now = row?.state ?? 'delivered'
    if (row === undefined && waiter.until === 'displayed') waiter.failed(sendFailed('expired'))
    else if (now === 'failed') waiter.failed(sendFailed(row?.cause ?? 'unknown'))
    else if (order[now] >= order[waiter.until]) waiter.done()
    else return false
    return true
  }

  const remove = (waiter: Waiter): void => {
    const others = waiters.get(waiter.id)
    others?.delete(waiter)
    if (others?.size === 0) waiters.delete(waiter.id)
  }

  const wait = (id: string, until: SentState, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const abort = (): void => {
        remove(waiter)
        reject(signal?.reason)
      }
      const end = (): void => signal?.removeEventListener('abort', abort)
      const waiter: Waiter = {
        id,
        until,
        done() {
          end()
          resolve()
        },
        failed(error) {
          end()
          reject(error)
        },
      }
      if (check(waiter)) return
      if (closedWith !== undefined) {
        reject(closedWith.error)
        return
      }
      waiters.set(id, (waiters.get(id) ?? new Set()).add(waiter))
      signal?.addEventListener('abort', abort, { once: true })
    })

  return {
    handle: (id, threadId) => ({
      id,
      threadId,
      status() {
        const row: SentRow | undefined = state.get('sent', id)
        return {
          state: row?.state ?? 'delivered',
          ...(row?.cause === undefined ? {} : { cause: row.cause }),
          ...(row?.problem === undefined ? {} : { problem: row.problem }),
        }
      },
      accepted: ({ signal } = {}) => wait(id, 'accepted', signal),
      delivered: ({ signal } = {}) => wait(id, 'delivered', signal),
      displayed: ({ signal } = {}) => wait(id, 'displayed', signal),
    }),
    notice(id) {
      for (const waiter of [...(waiters.get(id) ?? [])]) if (check(waiter)) remove(waiter)
    },
    close(error) {
      closedWith = { error }
      for (const some of waiters.values()) for (const waiter of some) waiter.failed(error)
      waiters.clear()
    },
  }
}

function sendFailed(reason: string): AgentError {
  return new AgentError('ERR_AGENT_SEND_FAILED', `the message was not delivered: ${reason}`, { reason })
}
