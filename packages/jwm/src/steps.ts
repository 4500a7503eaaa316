/**
 * What needs a private key, as steps: making and opening are generators that yield such a call, in both its forms, and go
 * on with its outcome. One driver makes it at once, the other awaits keys that answer later, so that there is one path.
 * @module
 */

type Step = { readonly now: () => unknown; readonly later: () => Promise<unknown> }

/** A computation in such steps. */
export type Steps<T> = Generator<Step, T, unknown>

/** One step: `now` makes the call at once, `later` is the same call for keys that may have to be waited for. */
export function* call<T>(now: () => T, later: () => Promise<T>): Steps<T> {
  // Both drivers answer with what one of the two gave.
  return (yield { now, later }) as T
}

/** Runs the steps at once. */
export function run<T>(steps: Steps<T>): T {
  let state = steps.next()
  while (!state.done) {
    let outcome: unknown
    try {
      outcome = state.value.now()
    } catch (error) {
      state = steps.throw(error)
      continue
    }
    state = steps.next(outcome)
  }
  return state.value
}

/** Runs the steps with keys that may answer later. */
export async function runAsync<T>(steps: Steps<T>): Promise<T> {
  let state = steps.next()
  while (!state.done) {
    let outcome: unknown
    try {
      outcome = await state.value.later()
    } catch (error) {
      state = steps.throw(error)
      continue
    }
    state = steps.next(outcome)
  }
  return state.value
}
