/**
 * Problem report 1: tells the sender of a message that it could not be dealt with, and why. See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { capabilities, reader, reporter } from './machine.ts'
import { messages, report } from './messages.ts'

export { commentCharsMax } from './messages.ts'

/** The protocol; every agent speaks it. `problemReport.report({ code }, { referentId })` makes a message for `send`. */
export const problemReport = {
  ...defineProtocol({
    uri: 'urn:parley:problem-report:1',
    version: 1,
    messages,
    capabilities,
    roles: {
      reporter: { machine: reporter, sends: ['report'] },
      reader: { machine: reader, opens: ['report'] },
    },
    // Nothing comes after a report; copies of it are dropped by their numbers.
    limits: { threadMessagesMax: 2, threadLifetimeMs: 60_000, threadRetentionMs: 60_000 },
  }),
  report,
}
