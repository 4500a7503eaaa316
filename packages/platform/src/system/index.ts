/**
 * The machine's clocks and randomness behind the core ports; works in Node and in browsers.
 * @module
 */
import type { Clock, Random } from '@parley/core'

// setTimeout takes 31 bits; a longer wait is cut into pieces.
const timeoutMsMax = 0x7fffffff

/** The wall clock, the monotonic clock and timers of this process. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  at(ms, fn) {
    let timer: ReturnType<typeof setTimeout> | undefined
    const arm = (): void => {
      const left = ms - performance.now()
      timer = left > timeoutMsMax ? setTimeout(arm, timeoutMsMax) : setTimeout(fn, Math.max(0, left))
    }
    arm()
    return () => clearTimeout(timer)
  },
}

// The quota of one getRandomValues call (Web Crypto §10.1.1).
const drawBytesMax = 65_536

/** The operating system's generator. */
export const systemRandom: Random = {
  bytes(length) {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i += drawBytesMax) globalThis.crypto.getRandomValues(bytes.subarray(i, i + drawBytesMax))
    return bytes
  },
}
