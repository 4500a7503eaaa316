/**
 * The message of chat 1: its type URI and body.
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

/** A text has at most so many UTF-16 units; its body as JSON at most `bodyBytesMax` octets. */
export const textCharsMax = 16_384
const bodyBytesMax = 64 * 1024

/** A text that a person wrote. `referent_id` names the message it replies to. */
export const text = defineMessage({
  type: 'urn:parley:chat:1:text',
  body: z.strictObject({ text: z.string().check(z.minLength(1), z.maxLength(textCharsMax)) }),
  bytesMax: bodyBytesMax,
})

export const messages = { text }
