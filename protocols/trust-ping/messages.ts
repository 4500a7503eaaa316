/**
 * Messages of trust-ping 1: their type URIs and bodies.
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

/** Asks for a sign of life. */
export const ping = defineMessage({
  type: 'urn:parley:trust-ping:1:ping',
  body: z.strictObject({ response_requested: z._default(z.boolean(), true) }),
  bytesMax: 256,
})

/** The sign of life; `referent_id` names the ping. */
export const pingResponse = defineMessage({
  type: 'urn:parley:trust-ping:1:ping-response',
  body: z.strictObject({}),
  bytesMax: 256,
})

export const messages = { ping, 'ping-response': pingResponse }
