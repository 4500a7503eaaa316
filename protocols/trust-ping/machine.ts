/**
 * The two roles of trust-ping 1: the sender waits for one answer, the receiver gives one where it was asked for.
 * @module
 */
import { effectActions, type ReceivedEvents, type RoleInput, type ThreadEvents } from '@parley/kernel'
import { assign, setup } from 'xstate'
import type { messages } from './messages.ts'

/** Named delays. */
export const delays = { answerMs: 60_000 }

type Events = ReceivedEvents<typeof messages> | ThreadEvents
type SenderContext = { readonly responseRequested: boolean; readonly sent: number; readonly roundTripMs: number | null }

/** What `start` takes. */
export type PingInput = { readonly responseRequested?: boolean }
/** How a ping ended; `unanswered` when no answer was asked for. */
export type PingOutput = { readonly result: 'answered' | 'unanswered' | 'timed-out'; readonly roundTripMs: number | null }

/** Sends a ping and waits. */
export const sender = setup({
  types: {
    context: {} as SenderContext,
    events: {} as Events,
    input: {} as RoleInput<PingInput>,
    output: {} as PingOutput,
  },
  actions: effectActions<typeof messages>(),
  guards: { responseRequested: ({ context }) => context.responseRequested },
  delays,
}).createMachine({
  id: 'trust-ping-sender',
  context: ({ input }) => ({ responseRequested: input.input.responseRequested ?? true, sent: input.now, roundTripMs: null }),
  initial: 'pinging',
  states: {
    pinging: {
      entry: {
        type: 'send',
        params: ({ context }) => ({ message: 'ping', body: { response_requested: context.responseRequested } }),
      },
      always: [{ guard: 'responseRequested', target: 'waiting' }, { target: 'unanswered' }],
    },
    waiting: {
      on: {
        'received.ping-response': {
          target: 'answered',
          actions: assign({ roundTripMs: ({ context, event }) => Math.max(0, event.now - context.sent) }),
        },
        'thread.expired': 'timed-out',
      },
      after: { answerMs: 'timed-out' },
    },
    answered: { type: 'final' },
    unanswered: { type: 'final' },
    'timed-out': { type: 'final' },
  },
  output: ({ context }) => ({
    result: context.roundTripMs !== null ? 'answered' : context.responseRequested ? 'timed-out' : 'unanswered',
    roundTripMs: context.roundTripMs,
  }),
})

/** Answers a ping. */
export const receiver = setup({
  types: {
    context: {} as Record<string, never>,
    events: {} as Events,
    input: {} as RoleInput,
  },
  actions: effectActions<typeof messages>(),
  guards: { responseRequested: ({ event }) => event.type === 'received.ping' && event.body.response_requested },
}).createMachine({
  id: 'trust-ping-receiver',
  context: {},
  initial: 'ready',
  states: {
    ready: {
      on: {
        'received.ping': [
          {
            guard: 'responseRequested',
            target: 'done',
            actions: { type: 'send', params: ({ event }) => ({ message: 'ping-response', body: {}, referentId: event.id }) },
          },
          { target: 'done' },
        ],
        'thread.expired': 'done',
      },
    },
    done: { type: 'final' },
  },
})
