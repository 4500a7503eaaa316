/**
 * Problem reports in the agent (protocols/problem-report): tells contacts what could not be done with a message of theirs,
 * once for each thread and within a quota, and tells threads and the application what contacts report.
 * @module
 */
import { type Address, type JsonObject, type Random, uuidUrnFrom } from '@parley/core'
import type { Registry, ReportCode } from '@parley/kernel'
import { problemReport } from '@parley/protocols/problem-report'
import type { AgentEvent } from './events.ts'
import type { AgentLimits } from './limits.ts'
import type { Tx } from './state.ts'
import { type CallCapability, findThread, stepThread, type ThreadParts } from './threads.ts'

/** A message of somebody else that could not be dealt with. */
export type Unhandled = { readonly to: Address; readonly code: ReportCode; readonly id: string; readonly threadId: string }

export interface Reports {
  /** Reports a problem, unless the account is a stranger, was told of this thread, or was told enough. */
  send(tx: Tx, problem: Unhandled): void
  readonly call: CallCapability
}

export type ReportParts = {
  readonly self: { readonly address: Address }
  readonly registry: Registry
  readonly random: Random
  readonly limits: AgentLimits
  threads(): ThreadParts
  /** After the commit. */
  tell(event: AgentEvent): void
}

type Window = { readonly since: number; readonly threads: ReadonlySet<string> }

const hourMs = 3_600_000
/** Accounts whose quota is remembered; it need not outlive the process. */
const accountsMax = 1000

export function createReports(parts: ReportParts): Reports {
  const { registry, limits } = parts
  const windows = new Map<Address, Window>()

  const isWithinQuota = (tx: Tx, { to, threadId }: Unhandled): boolean => {
    const known = windows.get(to)
    const window = known !== undefined && tx.steady < known.since + hourMs ? known : undefined
    const threads = window?.threads ?? new Set()
    if (threads.has(threadId) || threads.size >= limits.reportsPerHourMax) return false
    // Set anew, it stands behind the others: the first is the one that was longest left alone.
    windows.delete(to)
    windows.set(to, { since: window?.since ?? tx.steady, threads: new Set([...threads, threadId]) })
    for (const oldest of windows.keys()) {
      if (windows.size <= accountsMax) break
      windows.delete(oldest)
    }
    return true
  }

  return {
    send(tx, problem) {
      const { to, code, id } = problem
      if (to === parts.self.address || tx.get('conversation', to)?.contact !== true) return
      // The queue is for what people send.
      if (parts.threads().outbox.waiting() >= limits.outboxMessagesMax) return
      if (!isWithinQuota(tx, problem)) return
      const threadId = uuidUrnFrom(parts.random.bytes(16))
      const { record } = stepThread(tx, parts.threads(), {
        protocol: problemReport,
        record: undefined,
        input: { kind: 'start', role: 'reporter', threadId, peer: to, now: tx.steady },
      })
      const event = { type: 'send.report', body: { code }, referentId: id }
      stepThread(tx, parts.threads(), { protocol: problemReport, record, input: { kind: 'command', event, now: tx.steady } })
    },

    call(tx, { request }) {
      const { from, code, comment, referentId: id } = request
      const row = typeof id === 'string' ? tx.get('sent', id) : undefined
      // Only about what was sent to whoever complains.
      if (row === undefined || row.to !== from || typeof id !== 'string' || typeof code !== 'string') return none
      const { to, threadId } = row
      tx.put('sent', id, { ...row, problem: code })
      for (const protocol of registry.protocols) {
        const record = findThread(tx, { protocol: protocol.uri, peer: to, threadId })
        if (record !== undefined)
          stepThread(tx, parts.threads(), { protocol, record, input: { kind: 'report', code, now: tx.steady } })
      }
      const words = typeof comment === 'string' ? { comment } : {}
      tx.after(() => parts.tell({ kind: 'reported', from: to, code, ...words, id, threadId }))
      return none
    },
  }
}

const none: { readonly result: JsonObject } = { result: {} }
