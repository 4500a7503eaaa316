/**
 * The two roles of discover-features 1: the asker waits for one answer, the answerer gives what its agent lets it name.
 * @module
 */
import {
  defineCapability,
  effectActions,
  type ReceivedEvents,
  type ReportEvents,
  type ResultEvents,
  type RoleInput,
  type ThreadEvents,
} from '@parley/kernel'
import { assign, setup } from 'xstate'
import { fitsPattern, type messages, protocolsMax, rolesMax } from './messages.ts'

type Messages = typeof messages

/** Named delays. */
export const delays = { answerMs: 60_000 }

/** A protocol that the other side speaks. */
export type Feature = { readonly uri: string; readonly roles: readonly string[] }

/** Lists the own protocols that `from` may know of; `ignore` for somebody who shall not even get an answer. */
export const listProtocols = defineCapability<
  { readonly from: string },
  { readonly decision: 'answer'; readonly protocols: readonly Feature[] } | { readonly decision: 'ignore' }
>()('listProtocols')

export const capabilities = [listProtocols] as const

/** What `start` takes: URIs, or beginnings of URIs that end in `*`. */
export type QueryInput = { readonly protocols: readonly string[] }
/** How a query ended; `protocols` is empty unless it was answered. */
export type QueryOutput = { readonly result: 'answered' | 'refused' | 'timed-out'; readonly protocols: readonly Feature[] }

type AskerContext = {
  readonly asked: readonly string[]
  readonly result: QueryOutput['result']
  readonly protocols: readonly Feature[]
}

/** Asks and waits. */
export const asker = setup({
  types: {
    context: {} as AskerContext,
    events: {} as ReceivedEvents<Messages> | ReportEvents | ThreadEvents,
    input: {} as RoleInput<QueryInput>,
    output: {} as QueryOutput,
  },
  actions: effectActions<Messages>(),
  delays,
}).createMachine({
  id: 'discover-features-asker',
  context: ({ input }) => ({ asked: input.input.protocols, result: 'timed-out', protocols: [] }),
  initial: 'asking',
  states: {
    asking: {
      entry: { type: 'send', params: ({ context }) => ({ message: 'query', body: { protocols: [...context.asked] } }) },
      on: {
        'received.disclose': {
          target: 'answered',
          actions: assign({ result: 'answered', protocols: ({ event }) => event.body.protocols }),
        },
        'thread.reported': { target: 'refused', actions: assign({ result: 'refused' }) },
        'thread.expired': 'timed-out',
      },
      after: { answerMs: 'timed-out' },
    },
    answered: { type: 'final' },
    refused: { type: 'final' },
    'timed-out': { type: 'final' },
  },
  output: ({ context: { result, protocols } }) => ({ result, protocols }),
})

/** Answers a query, or says nothing. */
export const answerer = setup({
  types: {
    context: {} as { readonly asked: string; readonly patterns: readonly string[] },
    events: {} as ReceivedEvents<Messages> | ResultEvents<typeof capabilities> | ThreadEvents,
    input: {} as RoleInput,
  },
  actions: effectActions<Messages, typeof capabilities>(),
  guards: {
    willing: ({ event }) => event.type === 'result.listProtocols' && event.result.decision === 'answer',
  },
}).createMachine({
  id: 'discover-features-answerer',
  context: { asked: '', patterns: [] },
  initial: 'ready',
  states: {
    ready: {
      on: {
        'received.query': {
          target: 'listing',
          actions: [
            assign({ asked: ({ event }) => event.id, patterns: ({ event }) => event.body.protocols }),
            {
              type: 'call',
              params: ({ event }) => ({ capability: 'listProtocols', request: { from: event.from } }),
            },
          ],
        },
        'thread.expired': 'silent',
      },
    },
    listing: {
      on: {
        'result.listProtocols': [
          {
            guard: 'willing',
            target: 'disclosed',
            actions: {
              type: 'send',
              params: ({ context, event }) => ({
                message: 'disclose',
                body: {
                  protocols: event.result.decision === 'answer' ? fitting(event.result.protocols, context.patterns) : [],
                },
                referentId: context.asked,
              }),
            },
          },
          { target: 'silent' },
        ],
        'thread.expired': 'silent',
      },
    },
    disclosed: { type: 'final' },
    silent: { type: 'final' },
  },
})

function fitting(protocols: readonly Feature[], patterns: readonly string[]): { uri: string; roles: string[] }[] {
  const fits = protocols.filter(({ uri }) => fitsPattern(uri, patterns)).slice(0, protocolsMax)
  return fits.map(({ uri, roles }) => ({ uri, roles: roles.slice(0, rolesMax) }))
}
