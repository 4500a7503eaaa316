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

/** The state of an end: a record without functions of its own, because a relay has one for each connection. */
export type Endpoint<Event, State extends string, By extends string> = Memo & {
  /** How far the stream is; its owner moves it on, and nothing moves it back from `ended`. */
  state: State | 'ended'
  /** The name of the other end in `fatal` events. */
  readonly other: By
  /** What has been gathered since the last `output`, if anything was. */
  frames: Uint8Array[] | undefined
  events: (Event | FatalEvent<By>)[] | undefined
}

/** The orderly close of RFC 6455 §7.4.1: the other end has said why in its frame. */
const normalClosure = 1000

/** An end that stands where the stream begins. */
export function createEndpoint<Event, State extends string, By extends string>(options: {
  readonly state: State
  readonly other: By
}): Endpoint<Event, State, By> {
  return { ...options, middles: undefined, frames: undefined, events: undefined }
}

type Gathering = { frames: Uint8Array[] | undefined }

/** A frame to send. */
export function put(endpoint: Gathering, frame: Frame): undefined {
  write(endpoint, writeFrame(frame))
}

/** A frame to send that is octets already. */
export function write(endpoint: Gathering, octets: Uint8Array): undefined {
  if (endpoint.frames === undefined) endpoint.frames = [octets]
  else endpoint.frames.push(octets)
}

export function tell<Event>(endpoint: { events: Event[] | undefined }, event: Event): undefined {
  if (endpoint.events === undefined) endpoint.events = [event]
  else endpoint.events.push(event)
}

/** Ends the stream from here. */
export function fatal<Event, State extends string, By extends string>(
  endpoint: Endpoint<Event, State, By>,
  code: StreamCode,
  more: { readonly wait?: number } = {},
): undefined {
  if (endpoint.state === 'ended') return
  const { close, retryable } = streamCodes[code]
  put(endpoint, { t: 'error', code, retryable, ...more })
  endpoint.state = 'ended'
  tell(endpoint, { kind: 'fatal', code, retryable, close, by: 'here' })
}

/** The frame in these octets; malformed ones and the other end's last word end the stream and give nothing. */
export function readNext<Event, State extends string, By extends string>(
  endpoint: Endpoint<Event, State, By>,
  octets: Uint8Array,
  limits: StreamLimits,
): Frame | undefined {
  const result = readFrame(octets, limits, endpoint)
  if (!result.ok) return fatal(endpoint, result.code)
  if (result.frame.t !== 'error') return result.frame
  const { code, retryable, wait } = result.frame
  endpoint.state = 'ended'
  const more = wait === undefined ? {} : { wait }
  tell(endpoint, { kind: 'fatal', code, retryable, ...more, close: normalClosure, by: endpoint.other })
  return undefined
}

const nothing: Output<never> = { frames: [], events: [] }

/** What has been gathered since the last time. */
export function output<Event, State extends string, By extends string>(
  endpoint: Endpoint<Event, State, By>,
): Output<Event | FatalEvent<By>> {
  const { frames, events } = endpoint
  if (frames === undefined && events === undefined) return nothing
  endpoint.frames = undefined
  endpoint.events = undefined
  return { frames: frames ?? nothing.frames, events: events ?? nothing.events }
}
