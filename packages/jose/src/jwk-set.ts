/**
 * JWK Sets (RFC 7517 §5): keys that are not understood or not sound are ignored one by one, as the RFC says, and named.
 * Two keys may bear one `kid`. Nothing is fetched.
 * @module
 */
import { type Json, type JsonObject, parseJsonObject, type Result } from '@parley/core'
import { type ImportOptions, type KeyCode, readKey } from './import-key.ts'
import type { Key } from './key.ts'
import { type JoseLimits, joseLimits } from './limits.ts'

/** Why a JWK Set as a whole is not taken. */
export type JwkSetCode = 'jwk-set-malformed' | 'limit-exceeded'

/** A member of the set that was passed over. */
export type IgnoredKey = { readonly position: number; readonly code: KeyCode }

/** How the keys of a set are prepared. */
export type ReadJwkSetOptions = Omit<ImportOptions, 'kid'> & { readonly limits?: JoseLimits }

/** Reads a JWK Set and prepares the keys in it. */
export function readJwkSet(
  input: string | Uint8Array | JsonObject,
  { limits = joseLimits, ...options }: ReadJwkSetOptions = {},
): Result<{ readonly keys: readonly Key[]; readonly ignored: readonly IgnoredKey[] }, JwkSetCode> {
  const set = isText(input) ? parseText(input, limits) : ({ ok: true, value: input } as const)
  if (!set.ok) return set
  const members = set.value['keys']
  if (!Array.isArray(members)) return { ok: false, code: 'jwk-set-malformed' }
  if (members.length > limits.keysMax) return { ok: false, code: 'limit-exceeded' }
  const keys: Key[] = []
  const ignored: IgnoredKey[] = []
  for (const [position, member] of (members as readonly Json[]).entries()) {
    const read = readKey(member, options)
    if (read.ok) keys.push(read.key)
    else ignored.push({ position, code: read.code })
  }
  return { ok: true, keys, ignored }
}

function isText(input: string | Uint8Array | JsonObject): input is string | Uint8Array {
  return typeof input === 'string' || input instanceof Uint8Array
}

function parseText(input: string | Uint8Array, limits: JoseLimits): Result<{ readonly value: JsonObject }, JwkSetCode> {
  if (input.length > limits.keysBytesMax) return { ok: false, code: 'limit-exceeded' }
  const parsed = parseJsonObject(input, { bytesMax: limits.keysBytesMax, depthMax: limits.headerDepthMax })
  return parsed.ok ? parsed : { ok: false, code: 'jwk-set-malformed' }
}
