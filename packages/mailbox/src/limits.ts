/**
 * The limits of mailboxes: what one reader may hold, and what the process keeps in memory.
 * @module
 */

/** The limits of a mailbox. */
export type MailboxLimits = {
  /** Stanzas one reader may hold, where its quota does not say otherwise. */
  readonly countMax: number
  /** Octets (headers, entries and bodies) one reader may hold. A body that several readers share counts for each. */
  readonly bytesMax: number
  /** Positions reserved at once (design §5). What a crash leaves of a block is a hole. */
  readonly positionBlock: number
  /** Octets of the newest stanzas kept in memory, so that readers who are online need no read from the store. */
  readonly recentBytesMax: number
  /** Readers whose state is kept in memory. */
  readonly logsMax: number
  /** (origin, id) pairs remembered to suppress duplicates, about; an economy, no guarantee rests on it. */
  readonly duplicatesMax: number
  /**
   * Milliseconds for which a stanza that a reader was given at once may wait for its acknowledgement before it is stored; what is
   * acknowledged by then is not written. 0 stores everything.
   */
  readonly skipHoldMs: number
  /** Octets that may wait so, of all readers together. */
  readonly heldBytesMax: number
  /** Stanzas expire in steps of this many milliseconds, at most that much late in the store; `read` leaves them out at once. */
  readonly expiryStepMs: number
}

/** The defaults. */
export const mailboxLimits: MailboxLimits = {
  countMax: 10_000,
  bytesMax: 64 * 1024 * 1024,
  positionBlock: 1024,
  recentBytesMax: 16 * 1024 * 1024,
  logsMax: 20_000,
  duplicatesMax: 1024,
  skipHoldMs: 250,
  heldBytesMax: 16 * 1024 * 1024,
  expiryStepMs: 60_000,
}
