/**
 * One inbound stanza, one whole step (design §7): open.ts opens it, apply.ts does what it says, waits.ts keeps what cannot be opened
 * or handed over yet. What may never be opened is refused and counted.
 * @module
 */
import type { Address, StanzaId } from '@parley/core'
import { type ApplyParts, createApply } from './apply.ts'
import { openStanza, type Sealed } from './open.ts'
import type { Tx } from './state.ts'
import { createWaits, lockOf, type Waits, type WaitsParts } from './waits.ts'

export type InboundStanza = Sealed & { readonly id: StanzaId; readonly n: number | undefined; readonly expiry: number }

export type InboundParts = ApplyParts & Omit<WaitsParts, 'apply'>

export interface Inbound extends Pick<Waits, 'unlock' | 'decide' | 'expire'> {
  /** A stanza from the relay, at its position. */
  receive(tx: Tx, stanza: InboundStanza, epoch: string): void
}

export function createInbound(parts: InboundParts): Inbound {
  const { self, keyring } = parts
  const apply = createApply({ ...parts, unlock: (tx, from, which) => waits.unlock(tx, from, which) })
  const waits = createWaits({ ...parts, apply })

  const refuse = (tx: Tx, code: string, from: Address): void => {
    tx.after(() => parts.report(code, from))
  }

  return {
    receive(tx, stanza, epoch) {
      const { n, from, device } = stanza
      if (n !== undefined) tx.put('position', 'relay', { epoch, n })
      if (from === self.address && device === self.device) {
        refuse(tx, 'own-stanza', from)
        return
      }
      const opening = openStanza(stanza, { self, keyring, state: tx })
      if (opening.outcome === 'refused') {
        refuse(tx, opening.code, from)
        return
      }
      const lock = opening.outcome === 'locked' ? opening : lockOf(apply(tx, opening, { patient: true }), from)
      if (lock === undefined) waits.release(tx, from)
      else waits.lock(tx, stanza, lock)
    },
    unlock: waits.unlock,
    decide: waits.decide,
    expire: waits.expire,
  }
}
