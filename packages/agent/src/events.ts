/**
 * What happens to an agent, told to whoever watches: codes and states, never content.
 * @module
 */
import type { Address, Telemetry } from '@parley/core'
import type { RenewalReason } from '@parley/session'
import type { ConnectionStatus } from './connection.ts'
import type { LockCause } from './rows.ts'

/** What happens to an agent, for `watch`. Codes, never content. */
export type AgentEvent =
  | { readonly kind: 'connection'; readonly status: ConnectionStatus }
  /** Something was refused, dropped or held: `code` says what, `from` whom it concerns. */
  | {
      readonly kind: 'problem'
      readonly code: string
      readonly from: Address
      /** For `equivocation`: the hashes of both signed payloads. */
      readonly proof?: readonly [string, string]
    }
  /** A contact could not deal with a message of ours, which stands in the thread: the code of its report, and its words. */
  | {
      readonly kind: 'reported'
      readonly from: Address
      readonly code: string
      readonly comment?: string
      readonly id: string
      readonly threadId: string
    }
  /** A message waits for a key, a card or an earlier message; or it was opened and waits no longer. */
  | { readonly kind: 'locked' | 'opened'; readonly from: Address; readonly cause: LockCause }
  /** A card was taken. */
  | { readonly kind: 'card'; readonly address: Address; readonly version: number }
  /** A session key was made and goes ahead to so many devices. */
  | { readonly kind: 'session'; readonly peer: Address; readonly reason: RenewalReason; readonly ahead: number }

export interface Events {
  tell(event: AgentEvent): void
  watch(listener: (event: AgentEvent) => void): () => void
  /** A listener of the application threw: counted, and nothing else. */
  listenerFailed(): void
}

export function createEvents(telemetry: Telemetry): Events {
  const listeners = new Set<(event: AgentEvent) => void>()
  const listenerFailed = (): void => telemetry.count('agent.listener-failed')
  return {
    listenerFailed,
    tell(event) {
      for (const listener of [...listeners]) {
        try {
          listener(event)
        } catch {
          // A listener of the application must not stop the agent.
          listenerFailed()
        }
      }
    },
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
