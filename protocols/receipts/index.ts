/**
 * Receipts 1: what became of a message at its recipient, delivered and displayed. See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { capabilities, reader, writer } from './machine.ts'
import { displayed, messages } from './messages.ts'

export { delivered, receiptMessagesMax } from './messages.ts'

const year = 365 * 86_400_000

/** The protocol; every agent speaks it. `receipts.displayed({ up_to })` makes a message for `send`. */
export const receipts = {
  ...defineProtocol({
    uri: 'urn:parley:receipts:1',
    version: 1,
    messages,
    capabilities,
    roles: {
      reader: { machine: reader, sends: ['displayed'] },
      writer: { machine: writer, opens: ['displayed'] },
    },
    // One thread each way for as long as two people write to each other.
    limits: { threadMessagesMax: 10_000_000, threadLifetimeMs: 10 * year },
  }),
  displayed,
}
