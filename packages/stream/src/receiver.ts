/**
 * The receiving half of a stream (design §5): tells new stanzas from repeated ones, notices a missing one, and
 * acknowledges in order what its owner has settled, in whatever order that happened.
 * @module
 */
import { put } from './endpoint.ts'
import type { AckFrame, Bounce, CardVersions, Place } from './frame.ts'

/** How a stanza ended here: it is durable, for these recipients at these card versions, except where it bounced. */
export type Settlement = { readonly cards?: CardVersions; readonly bounced?: readonly Bounce[] }

export interface Receiver {
  /** Stanzas taken and not settled. */
  readonly count: number
  readonly bytes: number
  take(place: Place, bytes: number): 'new' | 'again' | 'gap'
  settle(n: number, settlement: Settlement): void
  /** Settles everything up to and including `n`. */
  settleUpTo(n: number): void
  /** The acknowledgement that is due, if settling has moved the contiguous end; there may be more behind it. */
  flush(): AckFrame | undefined
}

// What is told of one stanza fits into a header as its own addresses did; of many it may not.
const ackBytesMax = 16 * 1024
/** Id and code of a bounce. */
const bounceBytes = 160

type Waiting = { readonly n: number; readonly bytes: number; settled: Settlement | undefined }

export function createReceiver(options: { readonly epoch: string; readonly start: number }): Receiver {
  const { epoch, start } = options
  const waiting: Waiting[] = []
  let last = start
  let lastCount = 0
  let handled = start

  // Values and no getters, as in the sender.
  const receiver: { -readonly [K in keyof Receiver]: Receiver[K] } = {
    count: 0,
    bytes: 0,
    take({ c, n }, bytes) {
      if (c <= lastCount) return 'again'
      if (c !== lastCount + 1 || (n !== undefined && n <= last)) return 'gap'
      lastCount = c
      if (n === undefined) return 'new'
      last = n
      waiting.push({ n, bytes, settled: undefined })
      receiver.count++
      receiver.bytes += bytes
      return 'new'
    },
    settle(n, settlement) {
      const found = waiting.find((item) => item.n === n)
      if (found !== undefined) found.settled = settlement
    },
    settleUpTo(n) {
      for (const item of waiting) if (item.n <= n) item.settled = {}
    },
    flush() {
      const after = handled
      // Mostly one object for all of them: what a router tells of a recipient.
      let cards: CardVersions | undefined
      let bounced: Bounce[] | undefined
      let bytes = 0
      for (;;) {
        const first = waiting[0]
        if (first?.settled === undefined) break
        const { settled } = first
        const isNews = settled.cards !== undefined && settled.cards !== cards && !says(cards, settled.cards)
        bytes += bytesOf(isNews ? settled.cards : undefined, settled.bounced)
        if (bytes > ackBytesMax && handled !== after) break
        waiting.shift()
        receiver.count--
        receiver.bytes -= first.bytes
        handled = first.n
        if (isNews) cards = cards === undefined ? settled.cards : { ...cards, ...settled.cards }
        if (settled.bounced !== undefined && settled.bounced.length > 0) bounced = [...(bounced ?? []), ...settled.bounced]
      }
      if (handled === after) return undefined
      if (bounced === undefined)
        return cards === undefined ? { t: 'ack', epoch, after, h: handled } : { t: 'ack', epoch, after, h: handled, cards }
      return { t: 'ack', epoch, after, h: handled, ...(cards === undefined ? {} : { cards }), bounced }
    },
  }
  return receiver
}

/** Sends the acknowledgements that are due. */
export function putAcks(endpoint: Parameters<typeof put>[0], receiver: Receiver | undefined): void {
  for (let ack = receiver?.flush(); ack !== undefined; ack = receiver?.flush()) put(endpoint, ack)
}

/** About as many octets of a header as this takes, rather more. */
function bytesOf(cards: CardVersions | undefined, bounced: readonly Bounce[] | undefined): number {
  let bytes = 0
  for (const address in cards) bytes += address.length + 24
  if (bounced === undefined) return bytes
  for (const { to } of bounced) {
    bytes += bounceBytes
    if (to !== undefined) for (const address of to) bytes += address.length + 3
  }
  return bytes
}

/** Whether these versions are among those already. */
function says(cards: CardVersions = {}, some: CardVersions): boolean {
  for (const address in some) if (cards[address] !== some[address]) return false
  return true
}
