/**
 * What a mutation is: a change of one subject, with what must come of it where that is known.
 * @module
 */
import type { SimRandom } from '@parley/core/sim'
import type { Form, Subject } from './corpus.ts'
import type { Ring } from './keys.ts'
import type { Must, Truth } from './verdict.ts'

export type Mutant = {
  readonly parts: readonly (string | Uint8Array)[]
  readonly must?: Must
  /** Truths that were mixed in. */
  readonly truths?: readonly Truth[]
  /** The reader's keys: its own unless said; impostors bear the same names. */
  readonly held?: 'impostors' | 'both' | { readonly kid: string }
}

export type Surroundings = { readonly random: SimRandom; readonly donor: Subject; readonly ring: Ring }

export type Mutation = {
  readonly name: string
  /** How often, among the others. */
  readonly weight: number
  /** The forms it has a meaning for; all unless said. */
  readonly forms?: readonly Form[]
  /** May be one of several on one subject. */
  readonly stackable: boolean
  /** `undefined` when it does not apply. */
  apply(subject: Subject, surroundings: Surroundings): Mutant | undefined
}
