/**
 * Trust ping 1: is the other side there, and do its messages reach us? See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { delays, receiver, sender } from './machine.ts'
import { messages } from './messages.ts'

export type { PingInput, PingOutput } from './machine.ts'

/** The protocol, for an agent's list of protocols and for `start(trustPing, 'sender', …)`. */
export const trustPing = defineProtocol({
  uri: 'urn:parley:trust-ping:1',
  version: 1,
  messages,
  roles: {
    sender: { machine: sender },
    receiver: { machine: receiver, opens: ['ping'] },
  },
  limits: { threadMessagesMax: 4, threadLifetimeMs: 10 * 60_000, delays },
})
