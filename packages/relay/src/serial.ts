/**
 * Work that is done one after another, in the order it came.
 * @module
 */

/** Does the work when everything that came before is over, however it ended. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>

export function createSerial(): Serial {
  let tail: Promise<unknown> = Promise.resolve()
  return (work) => {
    const done = tail.then(work)
    tail = done.catch(() => undefined)
    return done
  }
}
