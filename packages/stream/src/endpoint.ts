/**
 * What all four ends of a stream share: frames and events gathered for the caller, frames read, and the two ways a stream is over.
 * @module
 */
import { type StreamCode, streamCodes } from './codes.ts'
import { type Frame, readFrame, writeFrame } from './frame.ts'
import type { StreamLimits } from './limits.ts'
import type { Memo } from './quick-frame.ts'

/** The stream is over: send the frames that came with it, then close the connection with `close` and `code`. */
export type FatalEvent<By extends string> = {
  readonly kind: 'fatal'
  readonly code: string
  readonly retryable: boolean
  /** Milliseconds until trying again makes sense, as far as the other end said. */
  readonly wait?: number
  readonly close: number
  /** Who ended it. */
  readonly by: By | 'here'
}

export type Output<Event> = { readonly frames: readonly Uint8Array[]; readonly events: readonly Event[] }

export interface Endpoint<Event, State extends string> {
  /** How far the stream is; its owner moves it on, and nothing moves it back from `ended`. */
  state: State | 'ended'
  /** A frame to send. */
  put(frame: Frame): undefined
  /** A frame that is octets already. */
  write(octets: Uint8Array): undefined
  tell(event: Event): undefined
  /** Ends the stream from here. */
  fatal(code: StreamCode, options?: { readonly wait?: number }): undefined
  /** The frame in these octets; malformed ones and the other end's last word end the stream and give nothing. */
  read(octets: Uint8Array, limits: StreamLimits): Frame | undefined
  /** What has been gathered since the last time. */
  output(): Output<Event>
}

/** The orderly close of RFC 6455 §7.4.1: the other end has said why in its frame. */
const normalClosure = 1000

export function createEndpoint<Event, State extends string, By extends string>(options: {
  /** Where the stream begins. */
  readonly state: State
  /** The name of the other end in `fatal` events. */
  readonly other: By
}): Endpoint<Event | FatalEvent<By>, State> {
  let memo: Memo | undefined
  let frames: Uint8Array[] = []
  let events: (Event | FatalEvent<By>)[] = []

  const endpoint: Endpoint<Event | FatalEvent<By>, State> = {
    state: options.state,
    put(frame) {
      frames.push(writeFrame(frame))
    },
    write(octets) {
      frames.push(octets)
    },
    tell(event) {
      events.push(event)
    },
    fatal(code, more = {}) {
      if (endpoint.state === 'ended') return
      const { close, retryable } = streamCodes[code]
      endpoint.put({ t: 'error', code, retryable, ...more })
      endpoint.state = 'ended'
      events.push({ kind: 'fatal', code, retryable, close, by: 'here' })
    },
    read(octets, limits) {
      memo ??= new Map()
      const read = readFrame(octets, limits, memo)
      if (!read.ok) return endpoint.fatal(read.code)
      if (read.frame.t !== 'error') return read.frame
      const { code, retryable, wait } = read.frame
      endpoint.state = 'ended'
      const more = wait === undefined ? {} : { wait }
      events.push({ kind: 'fatal', code, retryable, ...more, close: normalClosure, by: options.other })
      return undefined
    },
    output() {
      const made = { frames, events }
      frames = []
      events = []
      return made
    },
  }
  return endpoint
}
