/**
 * Trust in an account over time (design §2): the account key is pinned at first use, and a newer card is taken only
 * with the chain from the pinned one. Whatever else is offered is refused, or held with the proof until the person
 * decides. State in, state out; the pin is plain JSON.
 * @module
 */
import type { Address } from '@parley/core'
import { thumbprint } from '@parley/jose'
import { type Card, type CardCode, type ReadCard, readCard } from './card.ts'

/** What is remembered of an account. */
export type Pin = {
  readonly address: Address
  /** Thumbprint of the account key. */
  readonly account: string
  /** The newest card taken, as compact JWS. */
  readonly jws: string
  readonly version: number
  /** Milliseconds; when the person compared the safety number, of this account key. */
  readonly verifiedAt?: number
  /** Set while something waits for the person's decision; nothing is sent or taken meanwhile. */
  readonly held?: Held
}

/** Two signed statements that contradict one another, kept as proof. */
export type Held = { readonly code: HeldCode; readonly proof: readonly [pinned: string, offered: string] }
export type HeldCode = 'card-fork' | 'account-key-changed'

export type RefusedCode = CardCode | 'card-rollback' | 'card-chain-broken' | 'card-other-account'

export type Acceptance =
  | { readonly outcome: 'accepted'; readonly pin: Pin; readonly card: ReadCard }
  | { readonly outcome: 'unchanged'; readonly pin: Pin; readonly card: ReadCard }
  | { readonly outcome: 'held'; readonly pin: Pin; readonly held: Held }
  | { readonly outcome: 'refused'; readonly code: RefusedCode }

/**
 * Takes cards of one account in ascending order of version, as a relay serves them.
 * Without a pin they must begin at version 1, and if `account` is given (out of a link) the newest must bear that account key.
 */
export function acceptCards(
  pin: Pin | undefined,
  cards: readonly string[],
  expected: { readonly address: Address; readonly account?: string },
): Acceptance {
  const read: ReadCard[] = []
  for (const jws of cards) {
    const result = readCard(jws)
    if (!result.ok) return { outcome: 'refused', code: result.code }
    if (result.card.address !== expected.address) return { outcome: 'refused', code: 'card-other-account' }
    read.push(result)
  }
  return pin === undefined ? firstUse(read, expected) : advance(pin, read)
}

function firstUse(cards: readonly ReadCard[], expected: { readonly address: Address; readonly account?: string }): Acceptance {
  let head: ReadCard | undefined
  for (const next of cards) {
    const problem =
      head === undefined ? (next.card.version === 1 ? undefined : 'card-chain-broken') : successorProblem(head, next)
    if (problem !== undefined) return { outcome: 'refused', code: 'card-chain-broken' }
    head = next
  }
  if (head === undefined) return { outcome: 'refused', code: 'card-chain-broken' }
  const pin: Pin = { address: expected.address, account: head.account, jws: head.jws, version: head.card.version }
  if (expected.account !== undefined && head.account !== expected.account) {
    // The link is what the person brought; the relay's word does not outweigh it.
    return { outcome: 'refused', code: 'card-other-account' }
  }
  return { outcome: 'accepted', pin, card: head }
}

function advance(pin: Pin, cards: readonly ReadCard[]): Acceptance {
  const pinned = readCard(pin.jws)
  // The pin was read once before it was stored.
  if (!pinned.ok) return { outcome: 'refused', code: pinned.code }
  let head: ReadCard = pinned
  for (const next of cards) {
    if (next.card.version < pinned.card.version) continue
    if (next.card.version === head.card.version) {
      if (next.hash === head.hash) continue
      return hold(pin, 'card-fork', head, next)
    }
    const problem = successorProblem(head, next)
    if (problem === 'account-key-changed') return hold(pin, problem, head, next)
    if (problem !== undefined) return { outcome: 'refused', code: problem }
    head = next
  }
  const newest = cards.at(-1)
  if (newest !== undefined && newest.card.version < pinned.card.version) return { outcome: 'refused', code: 'card-rollback' }
  if (head === pinned) return { outcome: 'unchanged', pin, card: head }
  const { verifiedAt, ...rest } = pin
  const sameKey = head.account === pin.account
  // A verified safety number speaks of the old account key only.
  const kept = sameKey && verifiedAt !== undefined ? { verifiedAt } : {}
  return {
    outcome: 'accepted',
    pin: { ...rest, ...kept, account: head.account, jws: head.jws, version: head.card.version },
    card: head,
  }
}

function hold(pin: Pin, code: HeldCode, pinned: ReadCard, offered: ReadCard): Acceptance {
  const held: Held = { code, proof: [pinned.jws, offered.jws] }
  return { outcome: 'held', pin: { ...pin, held }, held }
}

/** The person decided: `keep` what was pinned, or `trust` what was offered. Verification is lost either way with the key. */
export function decideHeld(pin: Pin, decision: 'keep' | 'trust'): Pin {
  const { held, ...rest } = pin
  if (held === undefined || decision === 'keep') return rest
  const offered = readCard(held.proof[1])
  if (!offered.ok) return rest
  const { verifiedAt: _, ...unverified } = rest
  return { ...unverified, account: offered.account, jws: offered.jws, version: offered.card.version }
}

/** Why `next` may not follow `head`; `undefined` when it may. Relays ask this before they publish a card, agents before they pin one. */
export function successorProblem(
  head: ReadCard,
  next: ReadCard,
): 'card-chain-broken' | 'card-rollback' | 'account-key-changed' | undefined {
  if (next.card.version <= head.card.version) return 'card-rollback'
  // Only the pinned `next` may take over: it is the key that was shown once and kept on no device.
  if (next.account !== head.account && next.account !== head.card.next) return 'account-key-changed'
  if (next.card.address !== head.card.address || next.card.version !== head.card.version + 1 || next.card.prev !== head.hash) {
    return 'card-chain-broken'
  }
  return devicesKept(head.card, next.card) ? undefined : 'card-chain-broken'
}

// Removed devices stay on the card with time and reason, and nobody comes back from the dead.
function devicesKept(before: Card, after: Card): boolean {
  return before.devices.every((old) => {
    const now = after.devices.find(({ id }) => id === old.id)
    if (now === undefined || thumbprint(now.signingKey) !== thumbprint(old.signingKey) || now.added !== old.added) return false
    return old.removed === undefined || (now.removed === old.removed && now.reason === old.reason)
  })
}
