/**
 * Asking again for messages that did not come (design §7): the reader of a gap asks the sending device for the numbers, which
 * sends its sealed octets once more or says that it has them no more. What relays accepted last is kept for that, within limits.
 * @module
 */
import {
  type Address,
  type DeviceId,
  fromImUri,
  isJsonObject,
  type Json,
  type JsonObject,
  type StanzaId,
  toImUri,
  uuidUrnFrom,
} from '@parley/core'
import { askFor, markGone, type Sequence } from './counters.ts'
import type { AgentLimits } from './limits.ts'
import { enqueueAnswer, hasRoomForAnswer, type OutboxOptions } from './outbox.ts'
import type { StanzaRow } from './rows.ts'
import type { Tx } from './state.ts'

/** Type URIs of the request for messages, and of the answer that there are none. */
export const resendType = 'urn:parley:kernel:1:resend'
export const goneType = 'urn:parley:kernel:1:resend-gone'

const hourMs = 3_600_000
/** Devices that get one message again. */
const devicesMax = 64

/** The stanzas that relays accepted and that are kept: the newest. Their rows stay where they are. */
export interface Kept {
  /** This row's stanza was accepted: keeps it, or deletes it, and the oldest that there is no room for any more. */
  accept(tx: Tx, key: string, row: StanzaRow): void
  /** The store was read again. */
  reload(rows: Iterable<readonly [string, StanzaRow]>): void
  size(): number
}

export function createKept(limits: AgentLimits): Kept {
  let sizes = new Map<string, number>()
  let total = 0
  const forget = (key: string): void => {
    total -= sizes.get(key) ?? 0
    sizes.delete(key)
  }
  const add = (key: string, { bytes }: StanzaRow): void => {
    forget(key)
    sizes.set(key, bytes.length)
    total += bytes.length
  }
  return {
    accept(tx, key, row) {
      if (row.number === undefined || row.bytes.length > limits.resendBytesMax) {
        tx.del('stanza', key)
        return
      }
      add(key, row)
      for (const [oldest] of sizes) {
        if (sizes.size <= limits.resendMessagesMax && total <= limits.resendBytesMax) return
        // It may have expired meanwhile.
        if (tx.get('stanza', oldest) !== undefined) tx.del('stanza', oldest)
        forget(oldest)
      }
    },
    reload(rows) {
      sizes = new Map()
      total = 0
      for (const [key, row] of rows) add(key, row)
    },
    size: () => sizes.size,
  }
}

/** Whether a stanza was accepted, so that its row is kept only to be sent again. */
export function wasAccepted(of: Pick<Tx, 'get'>, { number, message }: StanzaRow): boolean {
  if (number === undefined || message === undefined) return false
  const sent = of.get('sent', message)
  return sent !== undefined && sent.state !== 'queued'
}

/** Asks the sending device for what is missing of its messages up to `seq`, each number once; `here` are those that wait here. */
export function askAgain(
  tx: Tx,
  sequence: Sequence,
  options: OutboxOptions & { readonly seq: number; readonly here: ReadonlySet<number> },
): void {
  const { from, device, inc, conversation } = sequence
  // A number is asked for once, so not while the request would be dropped.
  if (!hasRoomForAnswer(options)) return
  const numbers = askFor(tx, sequence, { ...options, numbersMax: options.limits.resendNumbersMax })
  if (numbers.length === 0) return
  enqueueAnswer(tx, { to: from, type: resendType, body: toBody({ conversation, inc, numbers }), devices: [device] }, options)
}

export type Asker = { readonly from: Address; readonly device: DeviceId }

/** Answers such a request. What still waits to be accepted comes by itself; what is neither there nor kept is gone. */
export function answerAgain(
  tx: Tx,
  asker: Asker,
  options: OutboxOptions & { readonly body: JsonObject; readonly self: Address; readonly inc: string; sealed(key: string): void },
): void {
  const { from, device } = asker
  const { limits, self } = options
  if (!hasRoomForAnswer(options)) {
    tx.after(() => options.dropped(from))
    return
  }
  const read = readBody(options.body, limits.resendNumbersMax)
  // Only whom the messages were for: the other side of the conversation, and the own devices.
  if (read === undefined || (from !== read.conversation && from !== self) || !isWithinQuota(tx, from, limits)) return
  const { conversation, inc } = read
  const isOurs = inc === options.inc
  const issued = tx.get('conversation', conversation)?.seq ?? 0
  const left = new Set(read.numbers.filter((number) => !isOurs || number <= issued))
  if (left.size === 0) return
  for (const [key, row] of [...tx.rows('stanza')]) {
    if (row.to !== conversation || row.number?.inc !== inc || !left.delete(row.number.seq)) continue
    const { again = [] } = row
    // What was not accepted yet is on its way.
    if (!wasAccepted(tx, row) || again.includes(device) || again.length >= devicesMax) continue
    tx.put('stanza', key, { ...row, again: [...again, device] })
    putAgain(tx, row, { ...options, from, device })
  }
  if (isOurs) for (const key of tx.group('outbox', conversation).keys) left.delete(tx.get('outbox', key)?.seq ?? 0)
  if (left.size === 0) return
  enqueueAnswer(
    tx,
    { to: from, type: goneType, body: toBody({ conversation, inc, numbers: [...left] }), devices: [device] },
    options,
  )
}

/** Takes in that messages are gone; answers the numbers that will not come. */
export function takeGone(
  tx: Tx,
  { from, device }: Asker,
  options: { readonly body: JsonObject; readonly numbersMax: number },
): readonly number[] {
  const read = readBody(options.body, options.numbersMax)
  return read === undefined ? [] : markGone(tx, { from, device, inc: read.inc, conversation: read.conversation }, read.numbers)
}

function putAgain(
  tx: Tx,
  { sent, expiry, entries: [entry], bytes }: StanzaRow,
  options: Asker & Pick<OutboxOptions, 'random'> & { sealed(key: string): void },
): void {
  // A brand: uuidUrnFrom makes what StanzaId stands for.
  const id = uuidUrnFrom(options.random.bytes(16)) as StanzaId
  const key = tx.next('stanza')
  tx.put('stanza', key, { id, to: options.from, sent, expiry, entries: [[options.device, entry?.[1] ?? 0]], bytes })
  tx.after(() => options.sealed(key))
}

// So many requests of an account are answered in an hour.
function isWithinQuota(tx: Tx, from: Address, limits: AgentLimits): boolean {
  const row = tx.get('asked', from)
  const isFresh = row !== undefined && tx.steady < row.since + hourMs
  const { since, count } = isFresh ? row : { since: tx.steady, count: 0 }
  if (count >= limits.resendRequestsPerHourMax) return false
  tx.put('asked', from, { since, count: count + 1 })
  return true
}

/** Forgets requests of more than an hour ago. */
export function eraseAsked(tx: Tx): void {
  for (const [key, { since }] of tx.rows('asked')) if (since + hourMs <= tx.steady) tx.del('asked', key)
}

type Numbers = { readonly conversation: Address; readonly inc: string; readonly numbers: readonly number[] }

function toBody({ conversation, inc, numbers }: Numbers): JsonObject {
  return { conversation: toImUri(conversation), inc, numbers }
}

function readBody(body: JsonObject, numbersMax: number): Numbers | undefined {
  const { conversation: uri, inc, numbers: list } = isJsonObject(body) ? body : {}
  const conversation = typeof uri === 'string' ? fromImUri(uri) : undefined
  if (conversation === undefined || typeof inc !== 'string' || !/^[A-Za-z0-9_-]{11}$/.test(inc)) return undefined
  if (!Array.isArray(list) || list.length === 0 || list.length > numbersMax) return undefined
  const numbers = list as readonly Json[]
  return numbers.every(isNumber) ? { conversation, inc, numbers } : undefined
}

function isNumber(value: Json): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}
