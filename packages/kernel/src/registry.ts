/**
 * The protocols of one agent, found by what a message or an application names.
 * @module
 */

import type { JsonObject } from '@parley/core'
import type { Outgoing } from './message.ts'
import type { Protocol } from './protocol.ts'

/** A message that an application wants sent, as a command for the role that sends it. */
export type Sending = {
  readonly protocol: Protocol
  readonly role: string
  readonly event: { readonly type: string } & JsonObject
}

/** Finds protocols; see `createRegistry`. */
export type Registry = {
  readonly protocols: readonly Protocol[]
  /** The protocol of that URI. */
  get(uri: string): Protocol | undefined
  /** The protocol that a message type belongs to. */
  find(type: string): { readonly protocol: Protocol; readonly name: string } | undefined
  /** The role and command that send `outgoing`; `undefined` when no role sends such messages for applications. */
  sending(outgoing: Outgoing): Sending | undefined
}

/** Collects protocols. Throws a `TypeError` when two claim one URI or message type. */
export function createRegistry(protocols: readonly Protocol[]): Registry {
  const byUri = new Map<string, Protocol>()
  const byType = new Map<string, { readonly protocol: Protocol; readonly name: string }>()
  for (const protocol of protocols) {
    if (byUri.has(protocol.uri)) throw new TypeError(`createRegistry: two protocols ${protocol.uri}`)
    byUri.set(protocol.uri, protocol)
    for (const [name, { type }] of Object.entries(protocol.messages)) {
      if (byType.has(type)) throw new TypeError(`createRegistry: two protocols have the message type ${type}`)
      byType.set(type, { protocol, name })
    }
  }
  return {
    protocols: [...protocols],
    get: (uri) => byUri.get(uri),
    find: (type) => byType.get(type),
    sending({ type, body, referentId }) {
      const found = byType.get(type)
      if (found === undefined || found.protocol.kernelOnly) return undefined
      const { protocol, name } = found
      const role = Object.keys(protocol.roles).find((candidate) => protocol.roles[candidate]?.sends?.includes(name))
      if (role === undefined) return undefined
      return { protocol, role, event: { type: `send.${name}`, body, ...(referentId === undefined ? {} : { referentId }) } }
    },
  }
}
