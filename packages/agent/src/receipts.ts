/**
 * Delivered receipts of the kernel (design §7): signed, gathered for a moment, sent to contacts only. A receipt names
 * messages by id and by the hash of their signed payload; it overrules a relay's bounce.
 * @module
 */
import { type Address, isJsonObject, type Json, type JsonObject } from '@parley/core'
import type { ReceiptRow } from './rows.ts'
import { settleSent } from './sent.ts'
import type { Tx } from './state.ts'

export const receiptType = 'urn:parley:kernel:1:receipt'
/** Messages in one receipt. */
const receiptMessagesMax = 256

/** Notes that a message reached this device. */
export function addReceipt(
  tx: Tx,
  receipt: { readonly to: Address; readonly id: string; readonly hash: string; readonly dueMs: number; wakeAt(ms: number): void },
): void {
  if (tx.get('conversation', receipt.to)?.contact !== true) return
  const row: ReceiptRow = tx.get('receipt', receipt.to) ?? { due: tx.now + receipt.dueMs, messages: [] }
  tx.put('receipt', receipt.to, { ...row, messages: [...row.messages, [receipt.id, receipt.hash]] })
  const { due } = row
  tx.after(() => receipt.wakeAt(due))
}

/** Takes the receipts that are due, as bodies to send. */
export function dueReceipts(tx: Tx): readonly { readonly to: Address; readonly body: JsonObject }[] {
  const bodies: { readonly to: Address; readonly body: JsonObject }[] = []
  for (const [key, row] of [...tx.rows('receipt')]) {
    if (row.due > tx.now) continue
    // Keys of this table are addresses.
    const to = key as Address
    for (let i = 0; i < row.messages.length; i += receiptMessagesMax) {
      bodies.push({ to, body: { delivered: row.messages.slice(i, i + receiptMessagesMax) as Json } })
    }
    tx.del('receipt', key)
  }
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
