/**
 * Bodies of messages in another schema library than our own: whatever speaks Standard Schema gives types, checks what comes
 * in, and fills in what its schema says.
 */
import { parseAddress, toDeviceId } from '@parley/core'
import {
  defineMessage,
  defineProtocol,
  effectActions,
  type Received,
  type ReceivedEvents,
  type RoleInput,
  readBody,
  step,
} from '@parley/kernel'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { assign, setup } from 'xstate'
import * as z from 'zod/mini'

const byValibot = defineMessage({
  type: 'urn:test:order:1:ask',
  body: v.strictObject({
    thing: v.pipe(v.string(), v.minLength(1)),
    count: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1),
  }),
})
const byZod = defineMessage({
  type: 'urn:test:order:1:ask',
  body: z.strictObject({
    thing: z.string().check(z.minLength(1)),
    count: z._default(z.int().check(z.minimum(1)), 1),
  }),
})

describe.each([
  ['valibot', byValibot],
  ['zod', byZod],
])('a message with a body by %s', (_, ask) => {
  it('is made of bodies that fit, as they were given', () => {
    expect(ask({ thing: 'lamp' }).body).toEqual({ thing: 'lamp' })
    expect(() => ask({ thing: '' })).toThrow(expect.objectContaining({ code: 'ERR_KERNEL_BODY_INVALID' }))
  })

  it('is read with what its schema fills in', () => {
    expect(readBody(ask, { thing: 'lamp' })).toEqual({ ok: true, body: { thing: 'lamp', count: 1 } })
  })

  it.each([{}, { thing: 1 }, { thing: '' }, { thing: 'lamp', count: 0.5 }, { thing: 'lamp', colour: 'red' }])(
    'refuses %j',
    (body) => {
      expect(readBody(ask, body)).toEqual({ ok: false, code: 'body-invalid' })
    },
  )

  it('has the type that its schema has', () => {
    expectTypeOf(ask).parameter(0).toExtend<{ thing: string }>()
    // @ts-expect-error a number is no thing
    expect(() => ask({ thing: 7 })).toThrow()
  })
})

it('a machine reads such bodies, with their types', () => {
  const messages = { ask: byValibot }
  const machine = setup({
    types: { input: {} as RoleInput, context: {} as { count: number }, events: {} as ReceivedEvents<typeof messages> },
    actions: effectActions<typeof messages>(),
  }).createMachine({
    id: 'shop',
    context: { count: 0 },
    initial: 'ready',
    states: { ready: { on: { 'received.ask': { actions: assign({ count: ({ event }) => event.body.count }) } } } },
  })
  const order = defineProtocol({ uri: 'urn:test:order:1', version: 1, messages, roles: { shop: { machine, opens: ['ask'] } } })
  const from = parseAddress('carol@c.test')
  const device = toDeviceId('d'.repeat(43)) as Received['device']
  const message: Received = { id: 'm1', ...byValibot({ thing: 'lamp' }), from, peer: from, device, threadId: 't1' }
  expect(step(order, undefined, { kind: 'message', message, now: 1 }).record?.state.context).toEqual({ count: 1 })
})
