/**
 * The two roles of receipts 1: a reader tells what was displayed, a writer takes it in. Both go on for as long as the two
 * write to each other.
 * @module
 */
import type { JsonObject } from '@parley/core'
import {
  defineCapability,
  effectActions,
  type ReceivedEvents,
  type ResultEvents,
  type RoleInput,
  type SendEvents,
  type ThreadEvents,
} from '@parley/kernel'
import { setup } from 'xstate'
import type { messages } from './messages.ts'

type Messages = typeof messages

/** Notes in the agent's book of sent messages that `from` was shown all up to this one. */
export const noteDisplayed = defineCapability<{ readonly from: string; readonly upTo: string }, JsonObject>()('noteDisplayed')

export const capabilities = [noteDisplayed] as const

const setUp = setup({
  types: {
    context: {} as Record<string, never>,
    events: {} as ReceivedEvents<Messages> | SendEvents<Messages> | ResultEvents<typeof capabilities> | ThreadEvents,
    input: {} as RoleInput,
  },
  actions: effectActions<Messages, typeof capabilities>(),
})

/** Tells what was displayed here. */
export const reader = setUp.createMachine({
  id: 'receipts-reader',
  context: {},
  initial: 'telling',
  states: {
    telling: {
      on: {
        'send.displayed': {
          actions: { type: 'send', params: ({ event }) => ({ message: 'displayed', body: event.body }) },
        },
        'thread.expired': 'ended',
      },
    },
    ended: { type: 'final' },
  },
})

/** Learns what was displayed there. */
export const writer = setUp.createMachine({
  id: 'receipts-writer',
  context: {},
  initial: 'listening',
  states: {
    listening: {
      on: {
        'received.displayed': {
          actions: {
            type: 'call',
            params: ({ event }) => ({ capability: 'noteDisplayed', request: { from: event.from, upTo: event.body.up_to } }),
          },
        },
        'thread.expired': 'ended',
      },
    },
    ended: { type: 'final' },
  },
})
