/**
 * What a payload is: any octets, or a JSON object, which then is an attributes set and must be a sound one. Making and
 * opening ask the same question.
 * @module
 */
import { type JsonErrorCode, type JsonObject, parseJsonObject, type Result } from '@parley/core'
import { attributesOf } from './attributes.ts'
import type { JwmLimits } from './limits.ts'

// These say that a JSON object was meant, and that it is not a sound one.
const unsound: readonly (JsonErrorCode | 'json-not-object')[] = ['json-duplicate-name', 'json-too-deep']

/** The JSON object that the payload is, or `undefined` when it is something else. */
export function objectOf(
  payload: Uint8Array,
  limits: JwmLimits,
): Result<{ readonly object: JsonObject | undefined }, 'attributes-malformed'> {
  const parsed = parseJsonObject(payload, limits.attributes)
  if (!parsed.ok)
    return unsound.includes(parsed.code) ? { ok: false, code: 'attributes-malformed' } : { ok: true, object: undefined }
  const attributes = attributesOf(parsed.value)
  return attributes.ok ? { ok: true, object: parsed.value } : attributes
}
