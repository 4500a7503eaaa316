/**
 * The named bounds of this package, beside those of `@parley/jose` and of the JSON parser.
 * @module
 */
import { type JsonLimits, jsonLimits } from '@parley/core'
import { type JoseLimits, joseLimits } from '@parley/jose'

/** The bounds of what is read. */
export type JwmLimits = {
  readonly jose: JoseLimits
  readonly attributes: JsonLimits
  /** JWS and JWE layers around one payload (draft-looker-jwm-01 §6.2 step 7). */
  readonly layersMax: number
}

/** The defaults. */
export const jwmLimits: JwmLimits = { jose: joseLimits, attributes: jsonLimits, layersMax: 4 }
