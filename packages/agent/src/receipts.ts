/**
 * Delivered receipts of the kernel (design §7): signed, gathered for a moment, sent to contacts only. A receipt names
 * messages by id and by the hash of their signed payload; it overrules a relay's bounce.
 * @module
 */
import { type Address, isJsonObject, type Json, type JsonObject } from '@parley/core'
import { settleSent } from './sent.ts'
import type { Tx } from './state.ts'

export const receiptType = 'urn:parley:kernel:1:receipt'
/** Messages in one receipt. */
const receiptMessagesMax = 256

/** Notes that a message reached this device. */
export function addReceipt(
  tx: Tx,
  receipt: {
    readonly to: Address
    readonly id: string
    readonly hash: string
    readonly dueMs: number
    wakeAt(ms: number, name: string): void
  },
): void {
  const { to, id, hash, dueMs } = receipt
  if (tx.get('conversation', to)?.contact !== true) return
  const due = tx.now + dueMs
  const isFirst = tx.group('receipt', to).keys.size === 0
  tx.put('receipt', tx.next('receipt'), { to, due, id, hash })
  if (isFirst) tx.after(() => receipt.wakeAt(due, `receipt ${to}`))
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

/** Takes in a receipt: only for messages that went to its sender. */
export function takeReceipt(tx: Tx, { from, body }: { readonly from: Address; readonly body: JsonObject }): void {
  const list = isJsonObject(body) ? body['delivered'] : undefined
  if (!Array.isArray(list) || list.length > receiptMessagesMax) return
  for (const item of list as readonly Json[]) {
    const [id, hash] = Array.isArray(item) ? (item as readonly Json[]) : []
    if (typeof id !== 'string' || typeof hash !== 'string') continue
    const row = tx.get('sent', id)
    // The hash binds the receipt to what was signed; a row without one was never sealed.
    if (row?.to === from && row.hash === hash) settleSent(tx, id, { state: 'delivered' })
  }
}
