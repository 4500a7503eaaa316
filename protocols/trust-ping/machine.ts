/**
 * The two roles of trust-ping 1: the sender waits for one answer, the receiver gives one where it was asked for.
 * @module
 */
import { effectActions, type ReceivedEvents, type ReportEvents, type RoleInput, type ThreadEvents } from '@parley/kernel'
import { assign, setup } from 'xstate'
import type { messages } from './messages.ts'

/** Named delays. */
export const delays = { answerMs: 60_000 }

type Events = ReceivedEvents<typeof messages> | ThreadEvents
type SenderContext = {
  readonly responseRequested: boolean
  readonly sent: number
  readonly roundTripMs: number | null
  readonly refused: boolean
}

/** What `start` takes. */
export type PingInput = { readonly responseRequested?: boolean }
/** How a ping ended; `unanswered` when no answer was asked for, `refused` when the other side reported a problem. */
export type PingOutput = {
  readonly result: 'answered' | 'unanswered' | 'refused' | 'timed-out'
  readonly roundTripMs: number | null
}

/** Sends a ping and waits. */
export const sender = setup({
  types: {
    context: {} as SenderContext,
    events: {} as Events | ReportEvents,
    input: {} as RoleInput<PingInput | undefined>,
    output: {} as PingOutput,
  },
  actions: effectActions<typeof messages>(),
  guards: { responseRequested: ({ context }) => context.responseRequested },
  delays,
}).createMachine({
  id: 'trust-ping-sender',
  context: ({ input }) => ({
    responseRequested: input.input?.responseRequested ?? true,
    sent: input.now,
    roundTripMs: null,
    refused: false,
  }),
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
        'thread.reported': { target: 'refused', actions: assign({ refused: true }) },
        'thread.expired': 'timed-out',
      },
      after: { answerMs: 'timed-out' },
    },
    answered: { type: 'final' },
    unanswered: { type: 'final' },
    refused: { type: 'final' },
    'timed-out': { type: 'final' },
  },
  output: ({ context }) => ({
    result: resultOf(context),
    roundTripMs: context.roundTripMs,
  }),
})

function resultOf({ roundTripMs, refused, responseRequested }: SenderContext): PingOutput['result'] {
  if (roundTripMs !== null) return 'answered'
  if (refused) return 'refused'
  return responseRequested ? 'timed-out' : 'unanswered'
}

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
