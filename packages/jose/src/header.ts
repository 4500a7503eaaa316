/**
 * JOSE headers (RFC 7515 §4, RFC 7516 §4): strict parsing, disjoint names, `crit`, and the members this package reads.
 * A header never supplies a key that is trusted: jwk, jku, x5u and x5c are left alone.
 * @module
 */
import { isJsonObject, type Json, type JsonObject, parseJsonObject, type Result } from '@parley/core'
import { backend } from '#backend'
import type { JoseLimits } from './limits.ts'

/** Why a header is not taken. */
export type HeaderCode = 'header-malformed' | 'crit-unsupported' | 'zip-unsupported' | 'limit-exceeded'

/** A base64url-encoded protected header with its parsed form; the text is what gets signed. */
export type ProtectedHeader = { readonly text: string; readonly header: JsonObject }

const nothing: JsonObject = {}

/** Reads the protected member; absent or empty text is an empty header. */
export function readProtected(
  text: string | undefined,
  limits: JoseLimits,
): Result<{ readonly value: ProtectedHeader }, HeaderCode> {
  if (text === undefined) return { ok: true, value: { text: '', header: nothing } }
  if (text.length > limits.headerBytesMax * 2) return { ok: false, code: 'limit-exceeded' }
  const octets = backend.fromBase64url(text)
  if (octets === undefined) return { ok: false, code: 'header-malformed' }
  if (octets.length > limits.headerBytesMax) return { ok: false, code: 'limit-exceeded' }
  const parsed = parseJsonObject(octets, { bytesMax: limits.headerBytesMax, depthMax: limits.headerDepthMax })
  if (!parsed.ok) return { ok: false, code: 'header-malformed' }
  return { ok: true, value: { text, header: parsed.value } }
}

/**
 * Joins the parts of one JOSE header. Names must be disjoint, and `crit` and `zip` protected; no extension is
 * understood, so any `crit` is refused, as its producer demands.
 */
export function joinHeader(
  protectedHeader: JsonObject,
  ...others: readonly (JsonObject | undefined)[]
): Result<{ readonly header: JsonObject }, HeaderCode> {
  // Most headers have one part, which needs no copy.
  const header = others.every((other) => other === undefined) ? protectedHeader : joined(protectedHeader, others)
  if (header === undefined) return { ok: false, code: 'header-malformed' }
  if (header['crit'] !== undefined)
    return { ok: false, code: isCrit(header['crit'], protectedHeader) ? 'crit-unsupported' : 'header-malformed' }
  if (header['zip'] !== undefined) return { ok: false, code: 'zip-unsupported' }
  // RFC 7797 §6: b64 without crit is not allowed.
  if (header['b64'] !== undefined) return { ok: false, code: 'header-malformed' }
  for (const name of stringMembers) {
    if (header[name] !== undefined && typeof header[name] !== 'string') return { ok: false, code: 'header-malformed' }
  }
  return { ok: true, header }
}

function joined(protectedHeader: JsonObject, others: readonly (JsonObject | undefined)[]): JsonObject | undefined {
  // Without a prototype a member named __proto__ is a member like any other.
  const header: { [name: string]: Json } = Object.create(null) as { [name: string]: Json }
  for (const [name, value] of Object.entries(protectedHeader)) header[name] = value
  for (const other of others) {
    if (other === undefined) continue
    for (const [name, value] of Object.entries(other)) {
      if (Object.hasOwn(header, name) || protectedOnly.includes(name)) return undefined
      header[name] = value
    }
  }
  return header
}

const protectedOnly: readonly string[] = ['crit', 'zip', 'b64']

/** Joins the parts of one JWS header; of all extensions only `b64` is understood there (RFC 7797 §3, §6). */
export function joinJwsHeader(
  protectedHeader: JsonObject,
  unprotected: JsonObject | undefined,
): Result<{ readonly header: JsonObject }, HeaderCode> {
  const { crit, b64, ...others } = protectedHeader
  const isUnderstood = Array.isArray(crit) && crit.length === 1 && crit[0] === 'b64' && typeof b64 === 'boolean'
  return joinHeader(isUnderstood ? others : protectedHeader, unprotected)
}

/**
 * Joins the parts of one JWE header. `zip` says that the caller takes compressed content: then DEF is understood, in the
 * protected header (RFC 7516 §4.1.3).
 */
export function joinJweHeader(
  protectedHeader: JsonObject,
  others: readonly (JsonObject | undefined)[],
  { zip }: { readonly zip: boolean },
): Result<{ readonly header: JsonObject }, HeaderCode> {
  if (!zip || protectedHeader['zip'] !== 'DEF') return joinHeader(protectedHeader, ...others)
  const { zip: _, ...rest } = protectedHeader
  return joinHeader(rest, ...others)
}

/** A member of a joined header, by its name. */
export type HeaderLookup = (name: string) => Json | undefined

/**
 * Adds a recipient's own header to what all share, which was joined before: the work is that of its own members, however
 * many entries there are and however much they share.
 */
export function joinOwnHeader(
  shared: JsonObject,
  own: JsonObject | undefined,
): Result<{ readonly header: HeaderLookup }, HeaderCode> {
  const inShared: HeaderLookup = (name) => (Object.hasOwn(shared, name) ? shared[name] : undefined)
  if (own === undefined) return { ok: true, header: inShared }
  for (const name of Object.keys(own)) {
    if (Object.hasOwn(shared, name) || protectedOnly.includes(name)) return { ok: false, code: 'header-malformed' }
    if (stringMembers.includes(name) && typeof own[name] !== 'string') return { ok: false, code: 'header-malformed' }
  }
  return { ok: true, header: (name) => (Object.hasOwn(own, name) ? own[name] : inShared(name)) }
}

const stringMembers: readonly string[] = ['alg', 'enc', 'kid', 'typ', 'cty']

/** Whether the payload is signed as it is, without base64url (RFC 7797). */
export function isUnencoded(protectedHeader: JsonObject): boolean {
  return protectedHeader['b64'] === false && Object.hasOwn(protectedHeader, 'b64')
}

// RFC 7515 §4.1.11: a non-empty array of distinct names that are present.
function isCrit(value: Json, header: JsonObject): boolean {
  if (!Array.isArray(value) || value.length === 0 || new Set(value).size !== value.length) return false
  return value.every((name: unknown) => typeof name === 'string' && Object.hasOwn(header, name))
}

/** A string member of a header, or `undefined`. */
export function text(header: JsonObject, name: string): string | undefined {
  const value = header[name]
  return typeof value === 'string' && Object.hasOwn(header, name) ? value : undefined
}

/** A value that is a string, or `undefined`. */
export function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** An object member of a header, or `undefined`. */
export function object(header: JsonObject, name: string): JsonObject | undefined {
  const value = header[name]
  return isJsonObject(value) && Object.hasOwn(header, name) ? value : undefined
}
