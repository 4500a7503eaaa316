/**
 * Messages of receipts 1: what the agents tell one another by themselves (`delivered`, a kernel type), and what a person's
 * application may tell (`displayed`).
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

/** Messages in one delivered receipt. */
export const receiptMessagesMax = 256

// Whatever its writer chose for an id (draft-looker-jwm-01 §3).
const messageId = z.string().check(z.minLength(1), z.maxLength(200))
const hash = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/))

/** These messages are durable on a device of the recipient: pairs of message id and base64url(SHA-256) of the signed payload. */
export const delivered = defineMessage({
  type: 'urn:parley:kernel:1:receipt',
  body: z.strictObject({
    delivered: z.array(z.tuple([messageId, hash])).check(z.minLength(1), z.maxLength(receiptMessagesMax)),
  }),
  bytesMax: 128 * 1024,
})

/** The messages of a thread up to this one were shown to the person. */
export const displayed = defineMessage({
  type: 'urn:parley:receipts:1:displayed',
  body: z.strictObject({ up_to: messageId }),
  bytesMax: 256,
})

export const messages = { displayed }
