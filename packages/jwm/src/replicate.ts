/**
 * Attributes replicated as header parameters of a JWE (draft-looker-jwm-01 §4.3): readable before decryption, and
 * authenticated. Which ones is the maker's choice, none by default; a reader takes them only when they equal the
 * attributes inside, compared as parsed JSON values.
 * @module
 */
import { isJsonObject, type Json, type JsonObject, parseJsonObject, type Result } from '@parley/core'
import { commitmentName } from '@parley/jose'
import { attributeNames } from './attributes.ts'

// Header parameters that mean something else than an attribute of their name (RFC 7515 §4.1, RFC 7516 §4.1, RFC 7518 §4,
// RFC 7797 §3): never replicated, never compared.
const headerNames: ReadonlySet<string> = new Set(
  `alg enc zip kid typ cty crit b64 jwk jku x5u x5c x5t x5t#S256 epk apu apv iv tag p2s p2c ${commitmentName}`.split(' '),
)

/** The header members that replicate the attributes `names` of `payload`. */
export function replicas(
  payload: Uint8Array,
  names: readonly string[],
): Result<{ readonly header: JsonObject }, 'replica-impossible'> {
  if (names.length === 0) return { ok: true, header: {} }
  const parsed = parseJsonObject(payload)
  if (!parsed.ok) return { ok: false, code: 'replica-impossible' }
  const header: { [name: string]: Json } = {}
  for (const name of names) {
    const value = Object.hasOwn(parsed.value, name) ? parsed.value[name] : undefined
    if (value === undefined || headerNames.has(name)) return { ok: false, code: 'replica-impossible' }
    // Not an assignment: an attribute may be named __proto__.
    Object.defineProperty(header, name, { value, enumerable: true })
  }
  return { ok: true, header }
}

/**
 * Whether what a header says of attributes is what they are. A member with the name of a registered attribute is a
 * replica even if there is no such attribute inside; one with another name is, if there is.
 */
export function areReplicas(header: JsonObject, object: JsonObject): boolean {
  return Object.entries(header).every(([name, value]) => {
    if (headerNames.has(name)) return true
    if (!Object.hasOwn(object, name)) return !attributeNames.has(name)
    return equalJson(value, object[name])
  })
}

/** Whether two parsed JSON values are the same: the order of members does not count, that of lists does. */
function equalJson(a: Json, b: Json | undefined): boolean {
  if (isJsonObject(a)) {
    if (!isJsonObject(b)) return false
    const names = Object.keys(a)
    return (
      names.length === Object.keys(b).length &&
      names.every((name) => Object.hasOwn(b, name) && equalJson(a[name] as Json, b[name]))
    )
  }
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((value: Json, i) => equalJson(value, b[i] as Json))
  return a === b
}
