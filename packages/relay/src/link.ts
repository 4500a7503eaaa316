/**
 * A connection with what the relay keeps about each: when something was last heard, how much waits, and the observer of the wire.
 * @module
 */
import type { Clock, Connection } from '@parley/core'
import { createLinkMeter, type LinkMeter } from './rate.ts'

/** Who is at the other end, as far as it is proved. */
export type WirePeer = { readonly kind: 'device' | 'relay'; readonly name: string }

/** Sees every frame. For development and demonstrations: frames name addresses, and they hold ciphertext. */
export type OnWire = (direction: 'in' | 'out', frame: Uint8Array, peer: WirePeer) => void

/** A connection and what is known of it: a record without functions of its own, because a relay has one for each connection. */
export type Link = {
  readonly connection: Connection
  /** The name under which the observer sees this connection from now on. */
  name: string
  /** Monotonic time of the last frame that came in. */
  heard: number
  closed: boolean
  /** It is not read until this monotonic time; 0 while it is. */
  heldUntil: number
  readonly meter: LinkMeter
}

/** All connections of one kind; each is kept with what its owner has of it. */
export interface Links<Own> {
  open(connection: Connection, own: Own): Link & Own
  /** Frames come from now on: once everything is there that the handlers need. */
  start(link: Link & Own): void
  send(link: Link, frames: readonly Uint8Array[]): void
}

export type LinksOptions<Own> = {
  readonly kind: WirePeer['kind']
  readonly clock: Clock
  readonly onWire: OnWire | undefined
  /** Counts a frame that came in; answers for how many milliseconds the connection is not to be read. */
  charge?(meter: LinkMeter, bytes: number, now: number): number
  onFrame(link: Link & Own, frame: Uint8Array): void
  onClose(link: Link & Own): void
  onDrain(link: Link & Own): void
  /** It brings more than one may who has not proved anything. */
  onExcess?(link: Link & Own): void
}

export function createLinks<Own>(options: LinksOptions<Own>): Links<Own> {
  const { kind, clock, onWire, charge, onFrame, onClose, onDrain, onExcess } = options

  // Frames that were read already still come while the connection is held: they make the same hold longer.
  function hold(link: Link, until: number): void {
    const isHeld = link.heldUntil > 0
    link.heldUntil = Math.max(link.heldUntil, until)
    if (isHeld) return
    link.connection.pause()
    release(link)
  }

  function release(link: Link): void {
    clock.at(link.heldUntil, () => {
      if (link.closed) return
      if (clock.monotonic() < link.heldUntil) return release(link)
      link.heldUntil = 0
      link.connection.resume()
    })
  }

  function take(link: Link & Own, frame: Uint8Array): void {
    link.heard = clock.monotonic()
    onWire?.('in', frame, { kind, name: link.name })
    onFrame(link, frame)
    const wait = charge?.(link.meter, frame.length, link.heard) ?? 0
    if (wait > 0 && !link.closed) hold(link, link.heard + wait)
  }

  return {
    open(connection, own) {
      const meter = createLinkMeter()
      return { connection, name: '', heard: clock.monotonic(), closed: false, heldUntil: 0, meter, ...own }
    },
    start(link) {
      link.connection.start({
        onFrame: (frame) => take(link, frame),
        onClose() {
          link.closed = true
          onClose(link)
        },
        onDrain: () => onDrain(link),
        onExcess: () => onExcess?.(link),
      })
    },
    send({ connection, name }, frames) {
      for (const frame of frames) {
        onWire?.('out', frame, { kind, name })
        connection.send(frame)
      }
    },
  }
}
