/**
 * Discover features 1: which protocols does the other side speak, and in which roles? See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { answerer, asker, capabilities, delays } from './machine.ts'
import { messages } from './messages.ts'

export type { Feature, QueryInput, QueryOutput } from './machine.ts'
export { patternsMax, protocolsMax } from './messages.ts'

/** The protocol, for an agent's list of protocols and for `start(discoverFeatures, 'asker', …)`. */
export const discoverFeatures = defineProtocol({
  uri: 'urn:parley:discover-features:1',
  version: 1,
  messages,
  capabilities,
  roles: {
    asker: { machine: asker },
    answerer: { machine: answerer, opens: ['query'] },
  },
  limits: { threadMessagesMax: 4, threadLifetimeMs: 10 * 60_000, delays },
})
