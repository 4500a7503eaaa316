/**
 * The one role of chat 1: a peer sends texts and hands received ones to the application, both at any time.
 * @module
 */
import {
  type CopiedEvents,
  effectActions,
  type ReceivedEvents,
  type RoleInput,
  type SendEvents,
  type ThreadEvents,
} from '@parley/kernel'
import { setup } from 'xstate'
import type { messages } from './messages.ts'

type Messages = typeof messages

/** Sends and delivers texts until the thread's life time is over. */
export const peer = setup({
  types: {
    context: {} as Record<string, never>,
    events: {} as ReceivedEvents<Messages> | CopiedEvents<Messages> | SendEvents<Messages> | ThreadEvents,
    input: {} as RoleInput,
  },
  actions: effectActions<Messages>(),
}).createMachine({
  id: 'chat-peer',
  context: {},
  initial: 'talking',
  states: {
    talking: {
      on: {
        'send.text': {
          actions: { type: 'send', params: ({ event }) => ({ message: 'text', body: event.body, referentId: event.referentId }) },
        },
        'received.text': { actions: 'deliver' },
        'copied.text': { actions: 'deliver' },
        'thread.expired': 'ended',
      },
    },
    ended: { type: 'final' },
  },
})
