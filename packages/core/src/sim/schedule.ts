/**
 * The event queue of a simulated world: events in order of (time, sequence), one macrotask turn after each, so that
 * promises settle before the next event. Every node's clock reads it, with a skew of its own.
 * @module
 */
import type { Clock } from '../ports.ts'

export interface Schedule {
  /** True time of the world in milliseconds since its start. */
  time(): number
  at(time: number, fn: () => void): () => void
  /** Runs events until `until` holds, the queue is empty or `timeMax` is reached; answers whether `until` held. */
  run(options: { readonly until?: () => boolean; readonly timeMax: number }): Promise<boolean>
  /** A clock on this schedule. `skewMs` shifts the wall clock only; `jump` moves it while running. */
  clock(options?: { readonly skewMs?: number }): SimClock
  /** Events run so far. */
  readonly events: number
}

export interface SimClock extends Clock {
  jump(byMs: number): void
}

/** 2026-01-01T00:00:00Z: where the wall clocks of a simulation start. */
const epochMs = 1_767_225_600_000

type Event = { readonly time: number; readonly sequence: number; readonly fn: () => void; cancelled: boolean }

/** `settle` waits one macrotask turn; the platform's setImmediate, since a pure package has no timers. */
export function createSchedule(options: { readonly settle: () => Promise<void> }): Schedule {
  const heap: Event[] = []
  let time = 0
  let sequence = 0
  let events = 0

  const at = (when: number, fn: () => void): (() => void) => {
    const event: Event = { time: Math.max(when, time), sequence: sequence++, fn, cancelled: false }
    push(heap, event)
    return () => {
      event.cancelled = true
    }
  }

  return {
    time: () => time,
    at,
    get events() {
      return events
    },
    async run({ until, timeMax }) {
      await options.settle()
      for (;;) {
        if (until?.() === true) return true
        const event = heap[0]
        if (event === undefined || event.time > timeMax) {
          time = Math.max(time, Math.min(timeMax, event?.time ?? timeMax))
          return until?.() ?? true
        }
        pop(heap)
        if (event.cancelled) continue
        time = event.time
        events++
        event.fn()
        await options.settle()
      }
    },
    clock({ skewMs = 0 } = {}) {
      let skew = skewMs
      return {
        now: () => epochMs + Math.floor(time) + skew,
        monotonic: () => time,
        at,
        jump(byMs) {
          skew += byMs
        },
      }
    },
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence)
}

// A binary heap; indices are in bounds by construction.
function push(heap: Event[], event: Event): void {
  let i = heap.push(event) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!before(event, heap[parent] as Event)) break
    heap[i] = heap[parent] as Event
    i = parent
  }
  heap[i] = event
}

function pop(heap: Event[]): void {
  const last = heap.pop() as Event
  if (heap.length === 0) return
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++
    if (!before(heap[child] as Event, last)) break
    heap[i] = heap[child] as Event
    i = child
  }
  heap[i] = last
}
