/**
 * The two roles of dial-back 1: the requester asks for a key in turn until one opens its messages, the owner answers
 * once. Keys pass by both machines: capabilities and secret messages carry them.
 * @module
 */
import type { JsonObject } from '@parley/core'
import {
  defineCapability,
  effectActions,
  type ReceivedEvents,
  type ResultEvents,
  type RoleInput,
  type ThreadEvents,
} from '@parley/kernel'
import { assign, setup } from 'xstate'
import type { messages, RefusalCode } from './messages.ts'

/** Named delays. */
export const delays = { answerMs: 20_000 }

/** Decides on a request. With `answer`, the secret result of the call is the body of the key-answer. */
export const answerKey = defineCapability<
  { readonly messageId: string; readonly from: string; readonly device: string; readonly body: JsonObject },
  { readonly decision: 'answer' } | { readonly decision: 'refuse'; readonly code: RefusalCode } | { readonly decision: 'ignore' }
>()('answerKey')

/** Takes the key out of the answer with that message id: it opened a message, or there was none to try, or it is no good. */
export const importKey = defineCapability<
  { readonly messageId: string; readonly from: string; readonly device: string; readonly requestId: string },
  { readonly outcome: 'opened' | 'kept' | 'refused' }
>()('importKey')

export const capabilities = [answerKey, importKey] as const

type Events = ReceivedEvents<typeof messages> | ResultEvents<typeof capabilities> | ThreadEvents

/** A request, as it goes on the wire. */
export type RequestBody = {
  readonly id: string
  readonly sid: string
  readonly owner: { readonly address: string; readonly device: string }
  readonly eph: { readonly [member: string]: string }
  /** NumericDate. */
  readonly expiry: number
}

/** Devices of one account that are asked together. */
export type Target = { readonly address: string; readonly devices: readonly string[] }

/** What `start` of a requester takes. The account of every target must be in the thread: the owner as its peer, the own account in `also`. */
export type RequesterInput = {
  readonly request: RequestBody
  /** In the order of asking. */
  readonly targets: readonly Target[]
  /** Random, 1 to 5 seconds, more for a large audience. */
  readonly delayMs: number
  /** To the expiry of the request, which is by another clock than waits are. */
  readonly lifetimeMs: number
}

/** How a request ended. */
export type RequesterOutput = { readonly result: 'opened' | 'refused' | 'expired' | 'cancelled' }

type RequesterContext = {
  readonly request: RequestBody
  readonly targets: readonly Target[]
  readonly delayMs: number
  readonly lifetimeMs: number
  /** Index of the target that is asked. */
  readonly asking: number
  /** The device whose answer is looked at; empty when there is none. */
  readonly answering: string
  /** Devices that refused or gave a useless key, of all targets. */
  readonly refusals: readonly string[]
}

/** What the agent tells a requester: the locked messages opened or did not open with the kept key, or need no key any more. */
type RequesterCommand = { readonly type: 'opened' } | { readonly type: 'failed' } | { readonly type: 'cancel' }

/** Asks the targets in turn and waits for a key that works. */
export const requester = setup({
  types: {
    context: {} as RequesterContext,
    events: {} as Events | RequesterCommand,
    input: {} as RoleInput<RequesterInput>,
    output: {} as RequesterOutput,
  },
  actions: {
    ...effectActions<typeof messages, typeof capabilities>(),
    noteAnswer: assign({
      answering: ({ context, event }) => (event.type === 'received.key-answer' ? event.device : context.answering),
    }),
    noteRefusal: assign({
      refusals: ({ context, event }) =>
        event.type === 'received.key-refusal' && event.body.id === context.request.id
          ? withRefusal(context, event.device)
          : context.refusals,
    }),
    noteUseless: assign({ refusals: ({ context }) => withRefusal(context, context.answering), answering: '' }),
    nextTarget: assign({ asking: ({ context }) => context.asking + 1 }),
  },
  guards: {
    hasNext: ({ context }) => context.asking + 1 < context.targets.length,
    targetRefused: ({ context }) => allRefused(context, context.targets.slice(context.asking, context.asking + 1)),
    everybodyRefused: ({ context }) => allRefused(context, context.targets),
    opened: ({ event }) => event.type === 'result.importKey' && event.result.outcome === 'opened',
    kept: ({ event }) => event.type === 'result.importKey' && event.result.outcome === 'kept',
  },
  delays: {
    ...delays,
    delayMs: ({ context }) => context.delayMs,
    lifetimeMs: ({ context }) => context.lifetimeMs,
  },
}).createMachine({
  id: 'dial-back-requester',
  context: ({ input }) => ({
    request: input.input.request,
    targets: input.input.targets,
    delayMs: input.input.delayMs,
    lifetimeMs: Math.max(0, input.input.lifetimeMs),
    asking: 0,
    answering: '',
    refusals: [],
  }),
  initial: 'open',
  states: {
    open: {
      initial: 'waiting',
      after: { lifetimeMs: 'expired' },
      on: { cancel: 'cancelled', 'thread.expired': 'expired' },
      states: {
        // The key may be on its way, only later than its message.
        waiting: { after: { delayMs: 'asking' } },
        asking: {
          entry: {
            type: 'send',
            params: ({ context }) => {
              const target = context.targets[context.asking]
              return { message: 'key-request', body: context.request, to: target?.address, devices: target?.devices ?? [] }
            },
          },
          // Refusals of all devices asked save the wait for the next.
          always: { guard: 'targetRefused', target: 'passing' },
          after: { answerMs: 'passing' },
          on: {
            'received.key-answer': { target: 'importing', actions: 'noteAnswer' },
            'received.key-refusal': { actions: 'noteRefusal' },
          },
        },
        passing: {
          always: [
            { guard: 'hasNext', target: 'asking', actions: 'nextTarget' },
            { guard: 'everybodyRefused', target: '#dial-back-requester.refused' },
            { target: 'asked' },
          ],
        },
        // Everybody was asked; requests wait in mailboxes, so an answer can come until the request expires.
        asked: {
          always: { guard: 'everybodyRefused', target: '#dial-back-requester.refused' },
          on: {
            'received.key-answer': { target: 'importing', actions: 'noteAnswer' },
            'received.key-refusal': { actions: 'noteRefusal' },
          },
        },
        importing: {
          entry: {
            type: 'call',
            params: ({ context, event }) => ({ capability: 'importKey', request: importRequest(context, event) }),
          },
          on: {
            'result.importKey': [
              { guard: 'opened', target: '#dial-back-requester.opened' },
              { guard: 'kept', target: 'holding' },
              { target: 'passing', actions: 'noteUseless' },
            ],
          },
        },
        // A candidate: nothing was there to try it on yet.
        holding: { on: { opened: '#dial-back-requester.opened', failed: { target: 'passing', actions: 'noteUseless' } } },
      },
    },
    opened: { type: 'final', output: { result: 'opened' } },
    refused: { type: 'final', output: { result: 'refused' } },
    expired: { type: 'final', output: { result: 'expired' } },
    cancelled: { type: 'final', output: { result: 'cancelled' } },
  },
  // The event is that of the final state reached.
  output: ({ event }) => event.output as RequesterOutput,
})

type OwnerContext = {
  /** The request that is decided on; `null` before. */
  readonly request: {
    readonly id: string
    readonly sid: string
    readonly messageId: string
    readonly from: string
    readonly device: string
    readonly eph: { readonly [member: string]: string }
  } | null
}

/** Answers one request, or refuses it, or says nothing. */
export const owner = setup({
  types: {
    context: {} as OwnerContext,
    events: {} as Events,
    input: {} as RoleInput,
  },
  actions: {
    ...effectActions<typeof messages, typeof capabilities>(),
    noteRequest: assign({
      request: ({ context, event }) =>
        event.type === 'received.key-request'
          ? {
              id: event.body.id,
              sid: event.body.sid,
              messageId: event.id,
              from: event.from,
              device: event.device,
              eph: event.body.eph,
            }
          : context.request,
    }),
  },
  guards: {
    granted: ({ event }) => event.type === 'result.answerKey' && event.result.decision === 'answer',
    refused: ({ event }) => event.type === 'result.answerKey' && event.result.decision === 'refuse',
  },
}).createMachine({
  id: 'dial-back-owner',
  context: { request: null },
  initial: 'ready',
  states: {
    ready: {
      on: {
        'received.key-request': {
          target: 'deciding',
          actions: [
            'noteRequest',
            {
              type: 'call',
              params: ({ event }) => ({
                capability: 'answerKey',
                request: { messageId: event.id, from: event.from, device: event.device, body: event.body },
              }),
            },
          ],
        },
      },
    },
    deciding: {
      on: {
        'result.answerKey': [
          {
            guard: 'granted',
            target: 'answered',
            actions: {
              type: 'send',
              // The key itself comes out of the call; only the requester's own eph opens it.
              params: ({ context, event }) => ({
                message: 'key-answer',
                bodyFrom: event.id,
                ...backTo(context),
                seal: { jwk: context.request?.eph ?? {} },
              }),
            },
          },
          {
            guard: 'refused',
            target: 'refused',
            actions: {
              type: 'send',
              params: ({ context, event }) => refusal(context, event.result),
            },
          },
          { target: 'ignored' },
        ],
        'thread.expired': 'ignored',
      },
    },
    answered: { type: 'final' },
    refused: { type: 'final' },
    ignored: { type: 'final' },
  },
})

function withRefusal(context: RequesterContext, device: string): readonly string[] {
  const known = context.targets.some((target) => target.devices.includes(device))
  return known && !context.refusals.includes(device) ? [...context.refusals, device] : context.refusals
}

function allRefused(context: RequesterContext, targets: readonly Target[]): boolean {
  return targets.every((target) => target.devices.every((device) => context.refusals.includes(device)))
}

function importRequest(context: RequesterContext, event: Events | RequesterCommand) {
  const { id, from, device } = event.type === 'received.key-answer' ? event : { id: '', from: '', device: '' }
  return { messageId: id, from, device, requestId: context.request.id }
}

function backTo({ request }: OwnerContext) {
  return { to: request?.from, devices: request === null ? [] : [request.device], referentId: request?.messageId }
}

function refusal(context: OwnerContext, result: { readonly decision: string; readonly code?: RefusalCode }) {
  const { id = '', sid = '', eph = {} } = context.request ?? {}
  const code = result.code ?? 'forbidden'
  // A key that is not acceptable cannot seal its own refusal.
  const seal = code === 'not-acceptable' ? undefined : { jwk: eph }
  return { message: 'key-refusal' as const, body: { id, sid, code }, ...backTo(context), seal }
}
