/**
 * Message numbers (design §7): `seq` counts per (device, inc, conversation), `prev` names the one before in the thread.
 * Duplicates are told by the numbers seen, not by time, so they are dropped however late they come.
 * @module
 */
import type { Address, DeviceId, MessageId } from '@parley/core'
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

/** Signed payloads are remembered in runs of so many numbers, and so many runs, so that two under one number are told from a repetition. */
const runLength = 32
const runsMax = 8
/** Threads of a sequence that went on without a message. */
const brokenMax = 64

/** True when any number of this sequence came before. */
export function isKnown(tx: Tx, sequence: Sequence): boolean {
  return tx.get('counter', keyOf(sequence)) !== undefined
}

/** True when this number came before, or was given up. */
export function isSeen(tx: Tx, sequence: Sequence, seq: number): boolean {
  const row = tx.get('counter', keyOf(sequence))
  return row !== undefined && seq <= row.max && !row.holes.includes(seq)
}

/** True when a later message of its thread was handed over without this one. */
export function wasMissed(tx: Tx, sequence: Sequence, seq: number): boolean {
  return tx.get('counter', keyOf(sequence))?.missed?.includes(seq) === true
}

/** True when nobody waits for this number: it came, a later message of its thread went on without it, or its sender has it no more. */
export function isSettled(tx: Tx, sequence: Sequence, seq: number): boolean {
  const row = tx.get('counter', keyOf(sequence))
  return isSeen(tx, sequence, seq) || row?.missed?.includes(seq) === true || row?.gone?.includes(seq) === true
}

/** A run of numbers: the first and the last. */
export type NumberRange = readonly [first: number, last: number]

/**
 * What is missing up to `prev`, the number before in a thread: all that no gap has named. Numbers do not say of which thread they are, so
 * what another thread waits for may be among them.
 */
export function missingUpTo(
  tx: Tx,
  sequence: Sequence,
  { prev, here }: { readonly prev: number; readonly here: ReadonlySet<number> },
): readonly NumberRange[] {
  const { max = 0, holes = [], named = 0, first = 1 } = tx.get('counter', keyOf(sequence)) ?? {}
  const from = Math.max(first, named + 1)
  const ranges: [number, number][] = []
  const add = (start: number, end: number): void => {
    const last = ranges.at(-1)
    if (start > end) return
    if (last !== undefined && last[1] === start - 1) last[1] = end
    else ranges.push([start, end])
  }
  for (const hole of holes) if (hole >= from && hole <= prev && !here.has(hole)) add(hole, hole)
  // Nothing above the highest number came, but for what waits itself.
  let start = Math.max(from, max + 1)
  for (const number of [...here].sort((a, b) => a - b)) {
    if (number < start || number > prev) continue
    add(start, number - 1)
    start = number + 1
  }
  add(start, prev)
  // It is of this thread, whoever named it before.
  return prev < from ? [[prev, prev]] : ranges
}

/** True when its thread went on without this number: it is late now. */
export function isLate(
  tx: Tx,
  sequence: Sequence,
  { threadId, seq }: { readonly threadId: string; readonly seq: number },
): boolean {
  const broken = tx.get('counter', keyOf(sequence))?.broken
  return broken?.some(([thread, later]) => thread === threadId && seq < later) === true
}

export type Noted = {
  readonly seq: number
  readonly holesMax: number
  /** base64url(SHA-256) of the signed payload. */
  readonly hash: string
  readonly threadId: string
  /** The number before it in its thread, when that was not waited for any longer. */
  readonly missed?: number
  /** A gap named what is missing up to `missed`. */
  readonly isNamed?: boolean
  /** Nothing of this sequence was for this device before. */
  readonly begins?: boolean
}

/** Notes a number. The oldest holes are given up beyond `holesMax`. */
export function markSeen(tx: Tx, sequence: Sequence, noted: Noted): void {
  const { seq, holesMax, missed, isNamed, threadId } = noted
  const key = keyOf(sequence)
  noteDigest(tx, key, noted)
  let row: CounterRow = { ...(tx.get('counter', key) ?? { max: 0, holes: [] }), last: ageOf(tx) }
  if (noted.begins === true) row = { ...row, first: seq }
  if (isNamed === true && missed !== undefined && missed > (row.named ?? 0)) row = { ...row, named: missed }
  if (row.missed?.includes(seq) === true) row = { ...row, missed: row.missed.filter((number) => number !== seq) }
  if (missed !== undefined) {
    const others = (row.broken ?? []).filter(([thread]) => thread !== threadId)
    const highest = Math.max(seq, ...(row.broken ?? []).flatMap(([thread, later]) => (thread === threadId ? [later] : [])))
    row = {
      ...row,
      missed: [...(row.missed ?? []), missed].slice(-holesMax),
      broken: [...others, [threadId, highest] as const].slice(-brokenMax),
    }
  }
  if (seq <= row.max) {
    tx.put('counter', key, { ...row, holes: row.holes.filter((hole) => hole !== seq) })
    return
  }
  if (seq === row.max + 1) {
    tx.put('counter', key, { ...row, max: seq })
    return
  }
  const holes = [...row.holes]
  // Only the newest can be kept, so the older ones of a long leap are not even listed.
  for (let number = Math.max(row.max + 1, seq - holesMax); number < seq; number++) holes.push(number)
  tx.put('counter', key, { ...row, max: seq, holes: holes.slice(-holesMax) })
}

/** The hash under which this number came before, when it was another one: the same triple with two contents (design §3.1). */
export function otherDigest(
  tx: Tx,
  sequence: Sequence,
  { seq, hash }: { readonly seq: number; readonly hash: string },
): string | undefined {
  const run = Math.floor(seq / runLength)
  const row = tx.get('digest', `${keyOf(sequence)} ${run % runsMax}`)
  const before = row?.run === run ? row.hashes[seq] : undefined
  return before === hash ? undefined : before
}

function noteDigest(tx: Tx, key: string, { seq, hash }: { readonly seq: number; readonly hash: string }): void {
  const run = Math.floor(seq / runLength)
  const slot = `${key} ${run % runsMax}`
  const row = tx.get('digest', slot)
  // What is older than all that is remembered stays forgotten.
  if (row !== undefined && row.run > run) return
  tx.put('digest', slot, { run, hashes: { ...(row?.run === run ? row.hashes : {}), [seq]: hash } })
}

/** The newest numbers up to `seq` that did not come and were not asked for yet; they count as asked for now. */
export function askFor(
  tx: Tx,
  sequence: Sequence,
  { seq, here, numbersMax }: { readonly seq: number; readonly here: ReadonlySet<number>; readonly numbersMax: number },
): readonly number[] {
  const key = keyOf(sequence)
  const row: CounterRow = tx.get('counter', key) ?? { max: 0, holes: [] }
  const numbers: number[] = []
  for (let number = seq; number >= Math.max(1, row.first ?? 1, seq - numbersMax + 1); number--) {
    if (!here.has(number) && !isSettled(tx, sequence, number) && row.asked?.includes(number) !== true) numbers.unshift(number)
  }
  if (numbers.length > 0)
    tx.put('counter', key, { ...row, last: ageOf(tx), asked: [...(row.asked ?? []), ...numbers].slice(-2 * numbersMax) })
  return numbers
}

/** The sending device says that it has these no more; answers which of them it was asked for. */
export function markGone(tx: Tx, sequence: Sequence, numbers: readonly number[]): readonly number[] {
  const key = keyOf(sequence)
  const row = tx.get('counter', key)
  const asked = numbers.filter((number) => row?.asked?.includes(number) === true && !isSettled(tx, sequence, number))
  if (row === undefined || asked.length === 0) return []
  tx.put('counter', key, { ...row, gone: [...(row.gone ?? []), ...asked].slice(-(row.asked?.length ?? 0)) })
  return asked
}

/** For how long this agent has run. */
export function ageOf(tx: Pick<Tx, 'get'>): number {
  return tx.get('age', 'agent')?.ms ?? 0
}

/** Forgets sequences and threads of which nothing came since this age: what is older than the lifetime is stale anyway. */
export function eraseCounters(tx: Tx, before: number): void {
  for (const [key, { last }] of tx.rows('counter')) {
    if (last === undefined || last > before) continue
    tx.del('counter', key)
    for (let slot = 0; slot < runsMax; slot++)
      if (tx.get('digest', `${key} ${slot}`) !== undefined) tx.del('digest', `${key} ${slot}`)
  }
  for (const [key, { last }] of tx.rows('tail')) if (last !== undefined && last <= before) tx.del('tail', key)
}

/** The next number of this device in a conversation, and the one before it in the thread. */
export function allot(
  tx: Tx,
  { to, threadId, id }: { readonly to: Address; readonly threadId?: string; readonly id: MessageId },
): { readonly seq: number; readonly prev: number } {
  const conversation = tx.get('conversation', to)
  const seq = (conversation?.seq ?? 0) + 1
  tx.put('conversation', to, { ...conversation, seq })
  if (threadId === undefined) return { seq, prev: 0 }
  const tail = tailKey(to, threadId)
  const prev = tx.get('tail', tail)?.seq ?? 0
  tx.put('tail', tail, { seq, last: ageOf(tx), id })
  return { seq, prev }
}

/** Where the last message of this device in a thread is noted. */
export function tailKey(to: Address, threadId: string): string {
  return `${to} ${threadId}`
}

/** A store that is an older copy of itself took a new `inc`: its numbers begin anew, also those of what waits to be sealed. */
export function renumber(tx: Tx): void {
  for (const [key] of tx.rows('tail')) tx.del('tail', key)
  for (const [key, row] of tx.rows('conversation')) if (row.seq > 0) tx.put('conversation', key, { ...row, seq: 0 })
  for (const [key, row] of tx.rows('outbox')) if (row.seq > 0) tx.put('outbox', key, { ...row, ...allot(tx, row) })
}

function keyOf({ from, device, inc, conversation }: Sequence): string {
  return `${from} ${device} ${inc} ${conversation}`
}
