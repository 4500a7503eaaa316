/**
 * What this relay asks another one: as many at once as the other takes, the rest in order behind them, all of them again on the next
 * connection when one ends before the answers came.
 * @module
 */
import { type JsonObject, toAddress } from '@parley/core'
import { type CardVersions, type RequestCode, requestCodes, type S2sInitiatorEvent } from '@parley/stream'
import type { RelayContext } from './context.ts'
import type { Answer } from './requests.ts'

export interface Questions {
  /** Asked and not answered. */
  readonly count: number
  /** Resolves with the answer, or with `unavailable` when none comes in time. */
  ask(what: string, value: JsonObject): Promise<Answer>
  /** There is a connection: puts the question on it and answers its id. */
  connected(put: (what: string, value: JsonObject) => string): void
  /** The connection is gone. */
  lost(): void
  answered(event: Extract<S2sInitiatorEvent, { kind: 'response' }>): void
  /** Answers all of them with `unavailable`. */
  close(): void
}

type Question = { readonly what: string; readonly value: JsonObject; answer(answer: Answer): void; id: string | undefined }

export function createQuestions(
  { clock, limits }: Pick<RelayContext, 'clock' | 'limits'>,
  parts: { onCards(cards: CardVersions): void },
): Questions {
  const open: Question[] = []
  let put: ((what: string, value: JsonObject) => string) | undefined

  // The other end takes so many at once; the next goes when an answer comes.
  function send(question: Question): void {
    if (put === undefined || open.filter(({ id }) => id !== undefined).length >= limits.stream.requestsMax) return
    question.id = put(question.what, question.value)
  }

  function noteVersion({ what, value }: Question, answer: JsonObject): void {
    const address = typeof value['address'] === 'string' ? toAddress(value['address']) : undefined
    if (what === 'cards' && address !== undefined && typeof answer['version'] === 'number')
      parts.onCards({ [address]: answer['version'] })
  }

  return {
    get count() {
      return open.length
    },
    ask: (what, value) =>
      new Promise((done) => {
        const question: Question = {
          what,
          value,
          id: undefined,
          answer(answer) {
            const at = open.indexOf(question)
            if (at < 0) return
            open.splice(at, 1)
            cancel()
            done(answer)
          },
        }
        const cancel = clock.at(clock.monotonic() + limits.requestTimeoutMs, () =>
          question.answer({ ok: false, code: 'unavailable' }),
        )
        open.push(question)
        send(question)
      }),
    connected(next) {
      put = next
      for (const each of [...open]) send(each)
    },
    lost() {
      put = undefined
      for (const each of open) each.id = undefined
    },
    answered(event) {
      const question = open.find(({ id }) => id === event.id)
      if (question === undefined) return
      if (event.ok) {
        noteVersion(question, event.value)
        question.answer({ ok: true, value: event.value })
      } else {
        const { code, wait } = event
        question.answer({ ok: false, code: isRequestCode(code) ? code : 'unavailable', ...(wait === undefined ? {} : { wait }) })
      }
      const next = open.find(({ id }) => id === undefined)
      if (next !== undefined) send(next)
    },
    close() {
      for (const each of [...open]) each.answer({ ok: false, code: 'unavailable' })
    },
  }
}

function isRequestCode(code: string): code is RequestCode {
  return Object.hasOwn(requestCodes, code)
}
