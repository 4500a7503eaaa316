/**
 * Receipts in the agent (protocols/receipts, design §7): delivered ones by itself, gathered for a moment, to contacts only;
 * displayed ones for its application. A delivered receipt names messages by id and by the hash of their signed payload; it
 * overrules a relay's bounce.
 * @module
 */
import type { Address, Json, JsonObject } from '@parley/core'
import { readBody } from '@parley/kernel'
import { delivered, receiptMessagesMax } from '@parley/protocols/receipts'
import type { SentRow } from './rows.ts'
import { settleSent } from './sent.ts'
import type { Tx } from './state.ts'

/** Notes that a message reached this device; answers whether it is the first to be told of to this account. */
export function addReceipt(
  tx: Tx,
  receipt: {
    readonly to: Address
    readonly id: string
    readonly hash: string
    readonly due: number
    wakeAt(ms: number, name: string): void
  },
): boolean {
  const { to, id, hash, due } = receipt
  const isFirst = tx.group('receipt', to).keys.size === 0
  tx.put('receipt', tx.next('receipt'), { to, due, id, hash })
  if (isFirst) tx.after(() => receipt.wakeAt(due, `receipt ${to}`))
  return isFirst
}

/** Takes what an account is to be told, once the first of it is due, as bodies to send. */
export function dueReceipts(tx: Tx, to: Address): readonly JsonObject[] {
  const messages: Json[] = []
  for (const key of [...tx.group('receipt', to).keys]) {
    const row = tx.get('receipt', key)
    if (row === undefined) continue
    messages.push([row.id, row.hash])
    tx.del('receipt', key)
  }
  const bodies: JsonObject[] = []
  for (let i = 0; i < messages.length; i += receiptMessagesMax)
    bodies.push({ delivered: messages.slice(i, i + receiptMessagesMax) })
  return bodies
}

/** Takes in a delivered receipt: only for messages that went to its sender. */
export function takeReceipt(tx: Tx, { from, body }: { readonly from: Address; readonly body: JsonObject }): void {
  const read = readBody(delivered, body)
  if (!read.ok) return
  for (const [id, hash] of read.body.delivered) {
    const row = tx.get('sent', id)
    // The hash binds the receipt to what was signed; a row without one was never sealed.
    if (row?.to === from && row.hash === hash) settleSent(tx, id, { state: 'delivered' })
  }
}

/** Takes in that `from` was shown a message and all before it in its thread. */
export function takeDisplayed(tx: Tx, { from, upTo }: { readonly from: string; readonly upTo: string }): void {
  const newest = tx.get('sent', upTo)
  if (newest?.to !== from || newest.hash === undefined) return
  let row: SentRow | undefined = newest
  for (let id: string | undefined = upTo; id !== undefined && row !== undefined && row.state !== 'displayed'; ) {
    // An earlier one that never got there was not shown either.
    if (row === newest || (row.state !== 'failed' && row.state !== 'queued')) settleSent(tx, id, { state: 'displayed' })
    id = row.after
    row = id === undefined ? undefined : tx.get('sent', id)
  }
}
