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
  let last = start
  let acked = start
  let c = 0

  return {
    get last() {
      return last
    },
    get acked() {
      return acked
    },
    get count() {
      return waiting.length
    },
    get space() {
      return Math.max(0, windowStanzas - waiting.length)
    },
    room: (bytes) => waiting.length === 0 || (waiting.length < windowStanzas && bytesWaiting + bytes <= windowBytes),
    add(n, bytes) {
      if (n <= last) throw new RangeError('n: positions of a stream only rise')
      c++
      last = n
      waiting.push({ n, bytes })
      bytesWaiting += bytes
      return { c, n }
    },
    pass() {
      c++
      return { c }
    },
    ack({ epoch: ackEpoch, h, after }) {
      if (ackEpoch !== epoch) return { outcome: 'ignored' }
      if (h > last) return { outcome: 'fatal', code: 'ack-beyond' }
      if (h <= acked) return { outcome: 'ignored' }
      // Bounces between what is known and `after` would be missed.
      if (after !== undefined && after > acked) return { outcome: 'fatal', code: 'stanza-gap' }
      const from = acked
      acked = h
      let released = 0
      for (const { n, bytes } of waiting) {
        if (n > h) break
        released++
        bytesWaiting -= bytes
      }
      waiting.splice(0, released)
      return { outcome: 'released', from, h }
    },
  }
}

/** Octets that a stanza takes of the window. */
export function sizeOf(stanza: { readonly entries: readonly StanzaEntry[]; readonly body: Uint8Array }): number {
  return stanza.entries.reduce((sum, { octets }) => sum + octets.length, stanza.body.length)
}
