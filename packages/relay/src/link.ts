/**
 * A connection with what the relay keeps about each: when something was last heard, how much waits, and the observer of the wire.
 * @module
 */
import type { Clock, Connection } from '@parley/core'

/** Who is at the other end, as far as it is proved. */
export type WirePeer = { readonly kind: 'device' | 'relay'; readonly name: string }

/** Sees every frame. For development and demonstrations: frames name addresses, and they hold ciphertext. */
export type OnWire = (direction: 'in' | 'out', frame: Uint8Array, peer: WirePeer) => void

export interface Link {
  /** The network address of the other end. */
  readonly peer: string
  /** Monotonic time of the last frame that came in. */
  readonly heard: number
  readonly closed: boolean
  readonly bufferedBytes: number
  /** The name under which the observer sees this connection from now on. */
  name: string
  send(frames: readonly Uint8Array[]): void
  close(code: number, reason: string): void
}

export type LinkOptions = {
  readonly connection: Connection
  readonly kind: WirePeer['kind']
  readonly clock: Clock
  readonly onWire: OnWire | undefined
  /** Counts a frame that came in; answers for how many milliseconds the connection is not to be read. */
  meter?(bytes: number, now: number): number
  onFrame(frame: Uint8Array): void
  onClose(): void
  onDrain(): void
}

/** Call `start` once everything that the handlers need is there. */
export function createLink(options: LinkOptions): Link & { start(): void } {
  const { connection, kind, clock, onWire, meter, onFrame, onClose, onDrain } = options
  let heard = clock.monotonic()
  let closed = false
  let heldUntil = 0
  // Frames that were read already still come while the connection is held: they make the same hold longer.
  function hold(until: number): void {
    const isHeld = heldUntil > 0
    heldUntil = Math.max(heldUntil, until)
    if (isHeld) return
    connection.pause()
    release()
  }

  function release(): void {
    clock.at(heldUntil, () => {
      if (closed) return
      if (clock.monotonic() < heldUntil) return release()
      heldUntil = 0
      connection.resume()
    })
  }

  const link = {
    name: '',
    get peer() {
      return connection.peer
    },
    get heard() {
      return heard
    },
    get closed() {
      return closed
    },
    get bufferedBytes() {
      return connection.bufferedBytes
    },
    send(frames: readonly Uint8Array[]) {
      for (const frame of frames) {
        onWire?.('out', frame, { kind, name: link.name })
        connection.send(frame)
      }
    },
    close(code: number, reason: string) {
      connection.close(code, reason)
    },
    start() {
      connection.start({
        onFrame(frame) {
          heard = clock.monotonic()
          onWire?.('in', frame, { kind, name: link.name })
          onFrame(frame)
          const wait = meter?.(frame.length, heard) ?? 0
          if (wait > 0 && !closed) hold(heard + wait)
        },
        onClose() {
          closed = true
          onClose()
        },
        onDrain,
      })
    },
  }
  return link
}
