/**
 * The two roles of problem-report 1: a reporter says once what went wrong, a reader takes it in and answers nothing, so that
 * no report ever leads to another.
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

/** Tells the thread and the application what `from` reports of the message `referentId`. */
export const noteReport = defineCapability<
  { readonly from: string; readonly code: string; readonly comment?: string; readonly referentId: string },
  JsonObject
>()('noteReport')

export const capabilities = [noteReport] as const

const setUp = setup({
  types: {
    context: {} as Record<string, never>,
    events: {} as ReceivedEvents<Messages> | SendEvents<Messages> | ResultEvents<typeof capabilities> | ThreadEvents,
    input: {} as RoleInput,
  },
  actions: effectActions<Messages, typeof capabilities>(),
  guards: { hasReferent: ({ event }) => event.type === 'received.report' && event.referentId !== undefined },
})

/** Reports one problem. */
export const reporter = setUp.createMachine({
  id: 'problem-report-reporter',
  context: {},
  initial: 'ready',
  states: {
    ready: {
      on: {
        'send.report': {
          target: 'reported',
          actions: {
            type: 'send',
            params: ({ event }) => ({ message: 'report', body: event.body, referentId: event.referentId }),
          },
        },
        'thread.expired': 'reported',
      },
    },
    reported: { type: 'final' },
  },
})

/** Takes in one report. */
export const reader = setUp.createMachine({
  id: 'problem-report-reader',
  context: {},
  initial: 'ready',
  states: {
    ready: {
      on: {
        'received.report': [
          {
            guard: 'hasReferent',
            target: 'taken',
            actions: {
              type: 'call',
              params: ({ event }) => ({
                capability: 'noteReport',
                request: {
                  from: event.from,
                  code: event.body.code,
                  ...(event.body.comment === undefined ? {} : { comment: event.body.comment }),
                  referentId: event.referentId ?? '',
                },
              }),
            },
          },
          { target: 'taken' },
        ],
        'thread.expired': 'taken',
      },
    },
    taken: { type: 'final' },
  },
})
