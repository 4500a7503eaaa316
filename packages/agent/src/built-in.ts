/**
 * Protocols that every agent speaks, whatever its application lists, and the capabilities that the agent lends to machines.
 * @module
 */
import type { Address, JsonObject } from '@parley/core'
import type { Protocol, Registry } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { problemReport } from '@parley/protocols/problem-report'
import { receipts } from '@parley/protocols/receipts'
import { takeDisplayed } from './receipts.ts'
import type { Tx } from './state.ts'
import type { CallCapability } from './threads.ts'

/** The application's protocols and the agent's own. */
export function withBuiltIn(protocols: readonly Protocol[]): readonly Protocol[] {
  for (const { uri, kernelOnly } of protocols)
    if (kernelOnly) throw new TypeError(`protocols: ${uri} belongs to the agent itself`)
  const own: readonly Protocol[] = [receipts, problemReport]
  return [...protocols, ...own.filter(({ uri }) => protocols.every((listed) => listed.uri !== uri))]
}

/** Whether this account may learn that the protocol is spoken here. */
export type Discloses = (to: Address, protocol: string) => boolean

/** Answers the calls of machines. One that touches keys or the book of sent messages belongs to its protocol: others that declare its name get nothing. */
export function createCalls(parts: {
  readonly registry: Registry
  readonly dialBack: CallCapability
  readonly reports: CallCapability
  readonly discloses: Discloses | undefined
}): CallCapability {
  const { registry, discloses } = parts

  const list = (tx: Tx, to: Address): JsonObject => {
    if (discloses === undefined && tx.get('conversation', to)?.contact !== true) return { decision: 'ignore' }
    const protocols = registry.protocols
      .filter(({ uri }) => discloses?.(to, uri) ?? true)
      .map(({ uri, roles }) => ({ uri, roles: Object.keys(roles) }))
    // Who may know of nothing is not told that there is something.
    return protocols.length === 0 ? { decision: 'ignore' } : { decision: 'answer', protocols }
  }

  return (tx, call) => {
    const { name, request, thread } = call
    // What an application may run is no secret from its own protocols. The machine took the account from a proven sender.
    if (name === 'listProtocols') return { result: list(tx, request['from'] as Address) }
    switch (`${thread.protocol} ${name}`) {
      case `${dialBack.uri} answerKey`:
      case `${dialBack.uri} importKey`:
        return parts.dialBack(tx, call)
      case `${problemReport.uri} noteReport`:
        return parts.reports(tx, call)
      case `${receipts.uri} noteDisplayed`:
        takeDisplayed(tx, { from: String(request['from']), upTo: String(request['upTo']) })
        return { result: {} }
      default:
        return { result: {} }
    }
  }
}
