/**
 * The machine's clocks, turns and randomness behind the core ports; works in Node and in browsers.
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

/** Resolves in another turn of the event loop, when the promises of this one have settled. */
export function nextTurn(): Promise<void> {
  return new Promise((done) => {
    if (typeof setImmediate === 'function') setImmediate(done)
    else setTimeout(done, 0)
  })
}

// The quota of one getRandomValues call (Web Crypto §10.1.1).
const drawBytesMax = 65_536

// A call of the system's generator costs microseconds whatever its length: small draws share one.
const poolBytes = 4096
const pooledBytesMax = 256
const pool = new Uint8Array(poolBytes)
let drawn = poolBytes

/** The operating system's generator. What was handed out is forgotten here. */
export const systemRandom: Random = {
  bytes(length) {
    if (length <= pooledBytesMax) {
      if (drawn + length > poolBytes) {
        globalThis.crypto.getRandomValues(pool)
        drawn = 0
      }
      const bytes = pool.slice(drawn, drawn + length)
      pool.fill(0, drawn, drawn + length)
      drawn += length
      return bytes
    }
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i += drawBytesMax) globalThis.crypto.getRandomValues(bytes.subarray(i, i + drawBytesMax))
    return bytes
  },
}
