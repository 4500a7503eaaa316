/**
 * Dial-back 1: a device that lacks a session key asks for it with a fresh key of its own. See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { capabilities, delays, owner, requester } from './machine.ts'
import { messages } from './messages.ts'

export type { RequestBody, RequesterInput, RequesterOutput, Target } from './machine.ts'

/** The protocol; agents run it themselves, applications never see it. */
export const dialBack = defineProtocol({
  uri: 'urn:parley:dial-back:1',
  version: 1,
  messages,
  capabilities,
  roles: {
    requester: { machine: requester },
    owner: { machine: owner, opens: ['key-request'] },
  },
  // A request and at most one answer from each device of two accounts.
  limits: { threadMessagesMax: 256, delays },
  kernelOnly: true,
})
