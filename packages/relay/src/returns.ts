/**
 * What comes back of the stanzas that went towards another relay: it is told to the sender's mailbox, as a bounce, before the stanza leaves
 * the queue; or the other relay could not store it just now, and it goes again.
 * @module
 */
import { type Domain, isMessagingError } from '@parley/core'
import type { Bounce } from '@parley/stream'
import { deviceReader, type Origin, originOf, storeBounce } from './bounces.ts'
import type { RelayContext } from './context.ts'

/** A stanza on its way to the other relay. */
export type Sent = { readonly n: number; readonly header: Uint8Array }

export interface Returns {
  /** The position of the first stanza that the other relay could not store just now: it goes again, and all behind it, in order. */
  refusedNow(sent: readonly Sent[], bounced: readonly Bounce[]): number | undefined
  /** Tells the sender. */
  handBack(sent: readonly Sent[], bounce: Bounce): Promise<void>
}

export type ReturnsParts = {
  readonly domain: Domain
  /** The sender's mailbox got a bounce. */
  onBounce(origin: Origin): void
}

export function createReturns(context: RelayContext, { domain, onBounce }: ReturnsParts): Returns {
  const { limits } = context
  let refused: { readonly id: Bounce['id']; readonly times: number } | undefined
  return {
    refusedNow(sent, bounced) {
      for (const { id, code } of bounced) {
        const n = code === 'unavailable' ? positionOf(sent, id) : undefined
        if (n === undefined) continue
        refused = { id, times: refused?.id === id ? refused.times + 1 : 1 }
        // One that is never taken must not stand before the others for ever.
        if (refused.times <= limits.refusalsMax) return n
      }
      return undefined
    },
    async handBack(sent, bounce) {
      const origin = sent.map(({ header }) => originOf(header)).find((each) => each?.id === bounce.id)
      if (origin === undefined) return
      const to = bounce.to?.filter((address) => address.endsWith(`@${domain}`))
      const { id, code, retryable } = bounce
      await tellSender(context, origin, { id, ...(to === undefined || to.length === 0 ? {} : { to }), code, retryable })
      onBounce(origin)
    },
  }
}

/** Where the stanza stands in the queue. */
export function positionOf(sent: readonly Sent[], id: Bounce['id']): number | undefined {
  return sent.find(({ header }) => originOf(header)?.id === id)?.n
}

/** Puts a bounce into the mailbox of the device that sent the stanza. */
export async function tellSender(
  { mailbox, clock, limits, telemetry }: RelayContext,
  { from, device }: Origin,
  bounce: Bounce,
): Promise<void> {
  try {
    await storeBounce(mailbox, { reader: deviceReader(from, device), bounce, expiry: clock.now() + limits.lifetimeMs })
  } catch (error) {
    // A sender who does not read cannot be told, and must not hold up what others send, nor keep what has ended in the store.
    if (!isMessagingError(error) || error.code !== 'ERR_MAILBOX_FULL') throw error
    telemetry.count('relay.peer.bounce_dropped')
  }
}
