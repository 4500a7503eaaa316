/**
 * Stanzas that the relay has no room for just now: tried again when it said, one recipient's one after another, then more at once as
 * they are taken. What waits behind a limit must not press against it.
 * @module
 */
import type { Address, Clock, StanzaId } from '@parley/core'

export interface Resending {
  /** The relay refused it, to be tried again in `waitMs`. */
  refused(id: StanzaId, to: Address, waitMs: number): void
  /** It has its end, whatever that is. */
  ended(id: StanzaId): void
  /** Everything that waits is sent anew anyway. */
  clear(): void
}

/** What waits for one recipient, in the order in which it was refused. */
type Lane = { readonly waiting: Set<StanzaId>; readonly tried: Set<StanzaId>; atOnce: number; cancel: (() => void) | undefined }

const atOnceMax = 64

export function createResending({ clock, offer }: { readonly clock: Clock; offer(id: StanzaId): void }): Resending {
  const lanes = new Map<Address, Lane>()
  const lanesOf = new Map<StanzaId, Address>()

  function laneOf(to: Address): Lane {
    const lane = lanes.get(to) ?? { waiting: new Set(), tried: new Set(), atOnce: 1, cancel: undefined }
    lanes.set(to, lane)
    return lane
  }

  function send(lane: Lane): void {
    lane.cancel = undefined
    for (const id of [...lane.waiting].slice(0, lane.atOnce)) {
      lane.waiting.delete(id)
      lane.tried.add(id)
      offer(id)
    }
  }

  function end(to: Address, lane: Lane): void {
    if (lane.waiting.size > 0 || lane.tried.size > 0) return
    lane.cancel?.()
    lanes.delete(to)
  }

  return {
    refused(id, to, waitMs) {
      const lane = laneOf(to)
      lanesOf.set(id, to)
      lane.tried.delete(id)
      lane.waiting.add(id)
      lane.atOnce = 1
      // The last word counts: it knows of all that came before.
      lane.cancel?.()
      lane.cancel = clock.at(clock.monotonic() + waitMs, () => send(lane))
    },
    ended(id) {
      const to = lanesOf.get(id)
      const lane = to === undefined ? undefined : lanes.get(to)
      if (to === undefined || lane === undefined) return
      lanesOf.delete(id)
      lane.waiting.delete(id)
      if (lane.tried.delete(id) && lane.tried.size === 0 && lane.cancel === undefined) {
        lane.atOnce = Math.min(2 * lane.atOnce, atOnceMax)
        send(lane)
      }
      end(to, lane)
    },
    clear() {
      for (const { cancel } of lanes.values()) cancel?.()
      lanes.clear()
      lanesOf.clear()
    },
  }
}
