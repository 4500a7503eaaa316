/**
 * Chat 1: texts between people, replies by `referent_id`. See README.md for the spec.
 * @module
 */
import { defineProtocol } from '@parley/kernel'
import { peer } from './machine.ts'
import { messages, text } from './messages.ts'

export { textCharsMax } from './messages.ts'

const year = 365 * 86_400_000

/** The protocol, for an agent's list of protocols; `chat.text({ text })` makes a message for `send`. */
export const chat = {
  ...defineProtocol({
    uri: 'urn:parley:chat:1',
    version: 1,
    messages,
    roles: { peer: { machine: peer, opens: ['text'], sends: ['text'], copies: ['text'] } },
    // A conversation is one thread for as long as it lasts, so that its order is kept.
    limits: { threadMessagesMax: 10_000_000, threadLifetimeMs: 10 * year },
  }),
  text,
}
