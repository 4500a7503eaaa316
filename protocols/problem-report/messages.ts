/**
 * The message of problem-report 1: its type URI and body.
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

/** A comment has at most so many UTF-16 units. */
export const commentCharsMax = 256

/** A message could not be dealt with. `referent_id` names it. */
export const report = defineMessage({
  type: 'urn:parley:problem-report:1:report',
  body: z.strictObject({
    // Codes of other programs are taken too, so that new ones need no new version.
    code: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,63}$/)),
    comment: z.optional(z.string().check(z.maxLength(commentCharsMax))),
  }),
  bytesMax: 2048,
})

export const messages = { report }
