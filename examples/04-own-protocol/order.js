// A protocol of one's own: a customer asks for a thing, a shop makes an offer, the customer takes it, the shop confirms.
// Both sides wait for a while and no longer. Bodies are checked by valibot; any library that speaks Standard Schema will do.
import { defineMessage, defineProtocol, effectActions } from '@parley/kernel'
import * as v from 'valibot'
import { assign, setup } from 'xstate'

const message = (name, entries) => defineMessage({ type: `urn:example:order:1:${name}`, body: v.strictObject(entries) })
const whole = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1000))

export const messages = {
  ask: message('ask', { thing: v.pipe(v.string(), v.minLength(1), v.maxLength(100)), count: whole }),
  offer: message('offer', { price: whole }),
  accept: message('accept', {}),
  confirm: message('confirm', {}),
}

// A machine says what it wants by the kernel's actions: `send`, `deliver` to the application, `emit`. The agent stores the state and
// the deadline of every delay, so that a process may die between any two steps.
const customer = setup({
  actions: effectActions(),
  delays: { patienceMs: ({ context }) => context.patienceMs },
}).createMachine({
  id: 'customer',
  context: ({ input: { input } }) => ({ ...input, price: null, result: 'no offer in time' }),
  initial: 'asking',
  states: {
    asking: {
      entry: {
        type: 'send',
        params: ({ context: { thing, count } }) => ({ message: 'ask', body: { thing, count } }),
      },
      on: {
        'received.offer': {
          target: 'considering',
          actions: [assign({ price: ({ event }) => event.body.price, result: 'not taken' }), 'deliver'],
        },
        'thread.reported': { target: 'ended', actions: assign({ result: 'the other side is no shop' }) },
      },
      after: { patienceMs: 'ended' },
    },
    considering: {
      // A command of the application, by `run.tell`.
      on: { accept: { target: 'ordered', actions: { type: 'send', params: { message: 'accept', body: {} } } } },
      after: { patienceMs: 'ended' },
    },
    ordered: {
      entry: assign({ result: 'not confirmed' }),
      on: { 'received.confirm': { target: 'ended', actions: assign({ result: 'bought' }) } },
      after: { patienceMs: 'ended' },
    },
    ended: { type: 'final' },
  },
  output: ({ context: { result, price } }) => ({ result, price }),
})

const shop = setup({ actions: effectActions(), delays: { patienceMs: 60_000 } }).createMachine({
  id: 'shop',
  context: {},
  initial: 'ready',
  states: {
    ready: { on: { 'received.ask': { target: 'asked', actions: 'deliver' } } },
    asked: { on: { 'send.offer': { target: 'offered', actions: pass('offer') } }, after: { patienceMs: 'ended' } },
    offered: { on: { 'received.accept': { target: 'sold', actions: 'deliver' } }, after: { patienceMs: 'ended' } },
    sold: { on: { 'send.confirm': { target: 'ended', actions: pass('confirm') } }, after: { patienceMs: 'ended' } },
    ended: { type: 'final' },
  },
})

function pass(name) {
  return { type: 'send', params: ({ event }) => ({ message: name, body: event.body, referentId: event.referentId }) }
}

export const order = defineProtocol({
  uri: 'urn:example:order:1',
  version: 1,
  messages,
  roles: {
    customer: { machine: customer },
    shop: { machine: shop, opens: ['ask'], sends: ['offer', 'confirm'] },
  },
  limits: { threadMessagesMax: 10, threadLifetimeMs: 86_400_000 },
})
