/**
 * The media type of a message in `typ` and `cty` (draft-looker-jwm-01 §4, RFC 7515 §4.1.9).
 * @module
 */

/** Whether a header value says JWM: in any case, with or without "application/". */
export function isJwm(value: unknown): boolean {
  return typeof value === 'string' && /^(?:application\/)?jwm$/i.test(value)
}
