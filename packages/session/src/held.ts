/**
 * Session keys of other devices as this one keeps them. A key that came by dial-back is a candidate until it opens a
 * message, and nothing ever replaces a key that works (design §4).
 * @module
 */
import { type SessionLimits, sessionLimits } from './limits.ts'
import { erasureDue, type Smk } from './smk.ts'

/** A session key that another device owns. Plain JSON with a secret in it. */
export type HeldSession = {
  readonly smk: Smk
  /** `ahead`: signed by its owner. `answer`: given by some device of the owner's account or the own one. */
  readonly source: 'ahead' | 'answer'
  readonly status: 'candidate' | 'working'
  readonly taken: number
}

export type TakeOutcome = {
  /** To store; the given one when nothing changed. */
  readonly held: HeldSession
  /** `kept`: there was one already that is better or the same. */
  readonly outcome: 'taken' | 'kept'
}

/** Takes in a key that `readKeyBody` or `readKeyAnswer` passed, beside what is held under the same owner account and SID. */
export function takeKey(
  held: HeldSession | undefined,
  smk: Smk,
  options: { readonly source: HeldSession['source']; readonly now: number },
): TakeOutcome {
  const { source, now } = options
  // What the owner signed itself needs no trial; a candidate gives way to it.
  const fresh: HeldSession = { smk, source, status: source === 'ahead' ? 'working' : 'candidate', taken: now }
  if (held === undefined) return { held: fresh, outcome: 'taken' }
  if (held.status === 'working') return { held, outcome: 'kept' }
  return source === 'ahead' || held.smk.key.k !== smk.key.k ? { held: fresh, outcome: 'taken' } : { held, outcome: 'kept' }
}

/** The key opened a message: it works from now on. */
export function confirmKey(held: HeldSession): HeldSession {
  return held.status === 'working' ? held : { ...held, status: 'working' }
}

/** When a held key is erased. */
export function heldErasureDue(held: HeldSession, limits: SessionLimits = sessionLimits): number {
  return erasureDue(held.smk, { limits })
}
