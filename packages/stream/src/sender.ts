/**
 * The sending half of a stream (design §5): numbered stanzas on their way, bounded by a window, released by cumulative
 * acknowledgements. An acknowledgement of another epoch releases nothing; one beyond what was sent is a fatal error.
 * @module
 */
import type { AckFrame, Place, StanzaEntry } from './frame.ts'

export type AckResult =
  | { readonly outcome: 'released'; readonly from: number; readonly h: number }
  | { readonly outcome: 'ignored' }
  | { readonly outcome: 'fatal'; readonly code: 'ack-beyond' | 'stanza-gap' }

export interface Sender {
  /** The highest position sent, or where the stream began. */
  readonly last: number
  /** The highest position acknowledged. */
  readonly acked: number
  /** Stanzas on their way. */
  readonly count: number
  /** Stanzas that the window may still take. */
  readonly space: number
  /** Whether a stanza of this many octets may go now. */
  room(bytes: number): boolean
  /** Enters a stanza; positions only rise. */
  add(n: number, bytes: number): Required<Place>
  /** Counts a stanza without a position. */
  pass(): Place
  ack(frame: AckFrame): AckResult
}

export type SenderOptions = {
  readonly epoch: string
  /** Everything up to here was handled before. */
  readonly start: number
  readonly windowStanzas: number
  readonly windowBytes: number
}

export function createSender(options: SenderOptions): Sender {
  const { epoch, start, windowStanzas, windowBytes } = options
  const waiting: { readonly n: number; readonly bytes: number }[] = []
  let bytesWaiting = 0
  let c = 0

  // Values and no getters: V8 keeps an object with getters of its own as a dictionary, and a relay has many of these.
  const sender: { -readonly [K in keyof Sender]: Sender[K] } = {
    last: start,
    acked: start,
    count: 0,
    space: windowStanzas,
    room: (bytes) => waiting.length === 0 || (waiting.length < windowStanzas && bytesWaiting + bytes <= windowBytes),
    add(n, bytes) {
      if (n <= sender.last) throw new RangeError('n: positions of a stream only rise')
      c++
      sender.last = n
      waiting.push({ n, bytes })
      bytesWaiting += bytes
      counted()
      return { c, n }
    },
    pass() {
      c++
      return { c }
    },
    ack({ epoch: ackEpoch, h, after }) {
      if (ackEpoch !== epoch) return { outcome: 'ignored' }
      if (h > sender.last) return { outcome: 'fatal', code: 'ack-beyond' }
      if (h <= sender.acked) return { outcome: 'ignored' }
      // Bounces between what is known and `after` would be missed.
      if (after !== undefined && after > sender.acked) return { outcome: 'fatal', code: 'stanza-gap' }
      const from = sender.acked
      sender.acked = h
      let released = 0
      for (const { n, bytes } of waiting) {
        if (n > h) break
        released++
        bytesWaiting -= bytes
      }
      waiting.splice(0, released)
      counted()
      return { outcome: 'released', from, h }
    },
  }

  function counted(): void {
    sender.count = waiting.length
    sender.space = Math.max(0, windowStanzas - waiting.length)
  }
  return sender
}

/** Octets that a stanza takes of the window. */
export function sizeOf(stanza: { readonly entries: readonly StanzaEntry[]; readonly body: Uint8Array }): number {
  return stanza.entries.reduce((sum, { octets }) => sum + octets.length, stanza.body.length)
}
