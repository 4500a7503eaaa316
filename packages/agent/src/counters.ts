/**
 * Message numbers (design §7): `seq` counts per (device, inc, conversation), `prev` names the one before in the thread.
 * Duplicates are told by the numbers seen, not by time, so they are dropped however late they come.
 * @module
 */
import type { Address, DeviceId } from '@parley/core'
import type { CounterRow } from './rows.ts'
import type { Tx } from './state.ts'

/** Whose numbers: a message is (device, inc, seq) in a conversation. */
export type Sequence = {
  readonly from: Address
  readonly device: DeviceId
  readonly inc: string
  /** As the sender sees it: whom the message went to. */
  readonly conversation: Address
}

/** True when any number of this sequence came before. */
export function isKnown(tx: Tx, sequence: Sequence): boolean {
  return tx.get('counter', keyOf(sequence)) !== undefined
}

/** True when this number came before, or was given up. */
export function isSeen(tx: Tx, sequence: Sequence, seq: number): boolean {
  const row = tx.get('counter', keyOf(sequence))
  return row !== undefined && seq <= row.max && !row.holes.includes(seq)
}

/** True when a later message of its thread was handed over without this one: it is late now. */
export function wasMissed(tx: Tx, sequence: Sequence, seq: number): boolean {
  return tx.get('counter', keyOf(sequence))?.missed?.includes(seq) === true
}

/** Notes a number, and the one before it in its thread when that was not waited for any longer. The oldest holes are given up beyond `holesMax`. */
export function markSeen(
  tx: Tx,
  sequence: Sequence,
  { seq, holesMax, missed }: { readonly seq: number; readonly holesMax: number; readonly missed?: number },
): void {
  const key = keyOf(sequence)
  const row: CounterRow = tx.get('counter', key) ?? { max: 0, holes: [] }
  const given = missed === undefined ? row.missed : [...(row.missed ?? []), missed].slice(-holesMax)
  const known = given === undefined ? {} : { missed: given.filter((number) => number !== seq) }
  if (seq <= row.max) {
    tx.put('counter', key, { ...row, ...known, holes: row.holes.filter((hole) => hole !== seq) })
    return
  }
  const holes = [...row.holes]
  // Only the newest can be kept, so the older ones of a long leap are not even listed.
  for (let number = Math.max(row.max + 1, seq - holesMax); number < seq; number++) holes.push(number)
  tx.put('counter', key, { ...row, ...known, max: seq, holes: holes.slice(-holesMax) })
}

/** The next number of this device in a conversation, and the one before it in the thread. */
export function allot(tx: Tx, to: Address, threadId: string | undefined): { readonly seq: number; readonly prev: number } {
  const conversation = tx.get('conversation', to)
  const seq = (conversation?.seq ?? 0) + 1
  tx.put('conversation', to, { ...conversation, seq })
  if (threadId === undefined) return { seq, prev: 0 }
  const tail = `${to} ${threadId}`
  const prev = tx.get('tail', tail)?.seq ?? 0
  tx.put('tail', tail, { seq })
  return { seq, prev }
}

/** A store that is an older copy of itself took a new `inc`: its numbers begin anew, also those of what waits to be sealed. */
export function renumber(tx: Tx): void {
  for (const [key] of tx.rows('tail')) tx.del('tail', key)
  for (const [key, row] of tx.rows('conversation')) if (row.seq > 0) tx.put('conversation', key, { ...row, seq: 0 })
  for (const [key, row] of tx.rows('outbox'))
    if (row.seq > 0) tx.put('outbox', key, { ...row, ...allot(tx, row.to, row.threadId) })
}

function keyOf({ from, device, inc, conversation }: Sequence): string {
  return `${from} ${device} ${inc} ${conversation}`
}
