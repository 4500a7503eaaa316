/**
 * Messages of discover-features 1: their type URIs and bodies, and the patterns that a query may hold.
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

/** Patterns in one query. */
export const patternsMax = 16
/** Protocols in one answer, and roles of one protocol. */
export const protocolsMax = 64
export const rolesMax = 16

const uri = z.string().check(z.regex(/^[a-z][a-z0-9+.-]*:[!-~]{1,200}$/))
const pattern = z.string().check(z.regex(/^[!-)+-~]{0,200}\*?$/), z.minLength(1))
const role = z.string().check(z.minLength(1), z.maxLength(64))

/** Asks which of these protocols are spoken: URIs, or beginnings of URIs that end in `*`. */
export const query = defineMessage({
  type: 'urn:parley:discover-features:1:query',
  body: z.strictObject({ protocols: z.array(pattern).check(z.minLength(1), z.maxLength(patternsMax)) }),
  bytesMax: 4096,
})

/** Lists those that the answering side is willing to name. `referent_id` names the query. */
export const disclose = defineMessage({
  type: 'urn:parley:discover-features:1:disclose',
  body: z.strictObject({
    protocols: z
      .array(z.strictObject({ uri, roles: z.array(role).check(z.maxLength(rolesMax)) }))
      .check(z.maxLength(protocolsMax)),
  }),
})

export const messages = { query, disclose }

/** Whether a protocol's URI fits one of the patterns of a query. */
export function fitsPattern(protocolUri: string, patterns: readonly string[]): boolean {
  return patterns.some((each) => (each.endsWith('*') ? protocolUri.startsWith(each.slice(0, -1)) : protocolUri === each))
}
