/**
 * A small protocol for the kernel's tests: a buyer asks for a price, a seller looks it up and offers, the buyer takes it
 * or lets it lapse.
 * @module
 */
import { assign, setup } from 'xstate'
import {
  type CopiedEvents,
  defineCapability,
  defineMessage,
  defineProtocol,
  effectActions,
  type ReceivedEvents,
  type ResultEvents,
  type RoleInput,
  type ThreadEvents,
} from '../src/index.ts'
import { object } from './schema.ts'

export const messages = {
  ask: defineMessage({ type: 'urn:test:haggle:1:ask', body: object({ thing: 'string' }) }),
  offer: defineMessage({ type: 'urn:test:haggle:1:offer', body: object({ price: 'number' }) }),
  take: defineMessage({ type: 'urn:test:haggle:1:take', body: object({}) }),
  note: defineMessage({ type: 'urn:test:haggle:1:note', body: object({ text: 'string' }) }),
  token: defineMessage({ type: 'urn:test:haggle:1:token', body: object({ key: 'string' }), secret: true }),
}

export const lookUp = defineCapability<{ thing: string }, { price: number }>()('lookUp')
export const capabilities = [lookUp] as const

type Events =
  | ReceivedEvents<typeof messages>
  | CopiedEvents<typeof messages, 'ask'>
  | ResultEvents<typeof capabilities>
  | ThreadEvents
type BuyerContext = { readonly thing: string; readonly price: number | null; readonly heard: string }

export const buyer = setup({
  types: {
    context: {} as BuyerContext,
    events: {} as
      | Events
      | { type: 'take' }
      | { type: 'break' }
      | { type: 'pollute' }
      | { type: 'send.note'; body: { text: string } },
    input: {} as RoleInput<{ thing: string }>,
    output: {} as { price: number | null },
  },
  actions: {
    ...effectActions<typeof messages, typeof capabilities>(),
    notePrice: assign({ price: ({ event, context }) => (event.type === 'received.offer' ? event.body.price : context.price) }),
    pollute: assign({ heard: () => new Uint8Array(2) as never }),
    fail: assign({
      heard: () => {
        throw new Error('a bug in the machine')
      },
    }),
  },
  delays: { offerMs: 1000, lapseMs: 5000 },
}).createMachine({
  id: 'buyer',
  context: ({ input }) => ({ thing: input.input.thing, price: null, heard: '' }),
  initial: 'asking',
  states: {
    asking: {
      entry: { type: 'send', params: ({ context }) => ({ message: 'ask', body: { thing: context.thing } }) },
      after: { offerMs: 'lapsed' },
      on: {
        'received.offer': { target: 'choosing', actions: 'notePrice' },
        break: { actions: 'fail' },
        pollute: { actions: 'pollute' },
        'send.note': { actions: { type: 'send', params: ({ event }) => ({ message: 'note', body: event.body }) } },
        'received.token': {
          actions: assign({ heard: ({ event }) => (event.body === undefined ? 'no secret' : 'a secret') }),
        },
      },
    },
    choosing: {
      entry: { type: 'emit', params: ({ context }) => ({ name: 'offered', price: context.price }) },
      after: { lapseMs: 'lapsed' },
      on: { take: { target: 'bought', actions: { type: 'send', params: { message: 'take', body: {} } } } },
    },
    bought: { type: 'final' },
    lapsed: { type: 'final' },
  },
  output: ({ context }) => ({ price: context.price }),
})

export const seller = setup({
  types: {
    context: {} as { readonly asked: string },
    events: {} as Events,
    input: {} as RoleInput,
  },
  actions: {
    ...effectActions<typeof messages, typeof capabilities>(),
    noteAsk: assign({ asked: ({ context, event }) => (event.type === 'received.ask' ? event.id : context.asked) }),
  },
}).createMachine({
  id: 'seller',
  context: { asked: '' },
  initial: 'ready',
  states: {
    ready: {
      on: {
        'received.ask': {
          target: 'looking',
          actions: [
            'noteAsk',
            'deliver',
            { type: 'call', params: ({ event }) => ({ capability: 'lookUp', request: { thing: event.body.thing } }) },
          ],
        },
        'copied.ask': { actions: 'deliver' },
      },
    },
    looking: {
      on: {
        'result.lookUp': {
          target: 'offered',
          actions: {
            type: 'send',
            params: ({ context, event }) => ({
              message: 'offer',
              body: { price: event.result.price },
              referentId: context.asked,
            }),
          },
        },
      },
    },
    offered: {
      on: {
        'received.take': 'sold',
        'received.note': { actions: 'deliver' },
      },
    },
    sold: { type: 'final' },
  },
})

export const haggle = defineProtocol({
  uri: 'urn:test:haggle:1',
  version: 1,
  messages,
  capabilities,
  roles: {
    buyer: { machine: buyer, sends: ['note'] },
    seller: { machine: seller, opens: ['ask'], copies: ['ask'] },
  },
  limits: { threadMessagesMax: 6, threadLifetimeMs: 100_000, threadRetentionMs: 500 },
})
