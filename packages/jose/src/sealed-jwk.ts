/**
 * Encrypted keys and key sets (RFC 7517 §7): a JWK or a JWK Set as the plaintext of a JWE, to recipients or under a
 * password. What the JWK says about its use holds for the key that comes out. Attributes may also stand in the protected
 * header, so that a store can be searched without opening; a key that says otherwise inside is refused (RFC 7165 F6).
 * @module
 */
import { type JsonObject, parseJsonObject, type Result, utf8 } from '@parley/core'
import { object, text } from './header.ts'
import { type ImportOptions, type KeyCode, readKey } from './import-key.ts'
import { type Jwe, type SealOptions, sealJwe } from './jwe.ts'
import { type JweCode, type OpenedJwe, type OpenOptions, type OpenResult, openJwe, openJweAsync } from './jwe-open.ts'
import type { Jwk } from './jwk.ts'
import { type IgnoredKey, type JwkSetCode, readJwkSet } from './jwk-set.ts'
import type { Key } from './key.ts'
import { joseLimits } from './limits.ts'

/** What may be shown of a wrapped key. */
export type JwkAttribute = 'kty' | 'kid' | 'alg' | 'use' | 'key_ops'

/** Whom a key is encrypted to, and what is shown of it. */
export type SealJwkOptions = SealOptions & {
  /** Attributes of the key that are repeated in the protected header, as members of `wrapped`. By default none. */
  readonly shown?: readonly JwkAttribute[]
}

/** What there is to open an encrypted set with. */
export type OpenJwkSetOptions = OpenOptions & {
  /** How the keys that come out are prepared. */
  readonly import?: Omit<ImportOptions, 'kid'>
}

/** What there is to open an encrypted key with, and which keys are taken. */
export type OpenJwkOptions = OpenJwkSetOptions & {
  /** The key types that are taken; by default all. */
  readonly kty?: readonly string[]
}

/** `content-mismatch`: it does not hold what was asked for, or shows another key than it holds. */
export type OpenJwkCode = JweCode | KeyCode | 'content-mismatch' | 'kty-not-allowed'

type Opened<T> = T & { readonly opened: OpenedJwe }

const jwkType = 'jwk+json'
const jwkSetType = 'jwk-set+json'
const wrappedName = 'wrapped'

/** Encrypts a private, symmetric or public key; `cty` is written. */
export function sealJwk(jwk: Jwk, { shown = [], ...options }: SealJwkOptions): Jwe {
  const attributes = shown.flatMap((name) => (jwk[name] === undefined ? [] : [[name, jwk[name]] as const]))
  const wrapped = attributes.length === 0 ? {} : { [wrappedName]: Object.fromEntries(attributes) }
  const members = { ...options.protected, cty: jwkType, ...wrapped }
  return sealJwe(utf8(JSON.stringify(jwk)), { ...options, protected: members })
}

/** Encrypts several keys as one JWK Set; `cty` is written. */
export function sealJwkSet(jwks: readonly Jwk[], options: SealOptions): Jwe {
  return sealJwe(utf8(JSON.stringify({ keys: jwks })), { ...options, protected: { ...options.protected, cty: jwkSetType } })
}

type OpenJwkResult = Result<Opened<{ readonly jwk: Jwk; readonly key: Key }>, OpenJwkCode>
type OpenJwkSetResult = Result<
  Opened<{ readonly keys: readonly Key[]; readonly ignored: readonly IgnoredKey[] }>,
  OpenJwkCode | JwkSetCode
>

/** Decrypts what `sealJwk` made and prepares the key: it can do what its own `use`, `key_ops` and `alg` say, and no more. */
export function openJwk(jwe: Jwe, options: OpenJwkOptions): OpenJwkResult {
  return holds(jwe, jwkType) ? readOpenedJwk(openJwe(jwe, options), options) : mismatch
}

/** `openJwk` with keys that may answer later. */
export async function openJwkAsync(jwe: Jwe, options: OpenJwkOptions): Promise<OpenJwkResult> {
  return holds(jwe, jwkType) ? readOpenedJwk(await openJweAsync(jwe, options), options) : mismatch
}

/** Decrypts what `sealJwkSet` made and prepares its keys, as `readJwkSet` does. */
export function openJwkSet(jwe: Jwe, options: OpenJwkSetOptions): OpenJwkSetResult {
  return holds(jwe, jwkSetType) ? readOpenedSet(openJwe(jwe, options), options) : mismatch
}

/** `openJwkSet` with keys that may answer later. */
export async function openJwkSetAsync(jwe: Jwe, options: OpenJwkSetOptions): Promise<OpenJwkSetResult> {
  return holds(jwe, jwkSetType) ? readOpenedSet(await openJweAsync(jwe, options), options) : mismatch
}

const mismatch = { ok: false, code: 'content-mismatch' } as const

function holds(jwe: Jwe, type: string): boolean {
  // RFC 7515 §4.1.10: without case, and with or without "application/". Unprotected, anybody could have written it.
  const claimed = text(jwe.protected.header, 'cty')
    ?.toLowerCase()
    .replace(/^application\//, '')
  return claimed === type
}

function readOpenedJwk(result: OpenResult, options: OpenJwkOptions): OpenJwkResult {
  if (!result.ok) return { ok: false, code: result.code }
  const { ok: _, ...opened } = result
  const { keysBytesMax, headerDepthMax } = options.limits ?? joseLimits
  if (opened.plaintext.length > keysBytesMax) return { ok: false, code: 'limit-exceeded' }
  const parsed = parseJsonObject(opened.plaintext, { bytesMax: keysBytesMax, depthMax: headerDepthMax })
  if (!parsed.ok) return { ok: false, code: 'key-malformed' }
  const value = parsed.value
  if (options.kty?.includes(text(value, 'kty') ?? '') === false) return { ok: false, code: 'kty-not-allowed' }
  if (!showsOwn(opened.protectedHeader, value)) return mismatch
  const read = readKey(value, options.import)
  if (!read.ok) return read
  // readKey has checked the members.
  return { ok: true, jwk: value as Jwk, key: read.key, opened }
}

function readOpenedSet(result: OpenResult, options: OpenJwkSetOptions): OpenJwkSetResult {
  if (!result.ok) return { ok: false, code: result.code }
  const { ok: _, ...opened } = result
  const read = readJwkSet(opened.plaintext, { ...options.import, limits: options.limits ?? joseLimits })
  return read.ok ? { ...read, opened } : read
}

// The sealed attributes are strings and lists of strings, which are equal when their JSON is.
function showsOwn(header: JsonObject, jwk: JsonObject): boolean {
  if (!Object.hasOwn(header, wrappedName)) return true
  const shown = object(header, wrappedName)
  if (shown === undefined) return false
  return Object.entries(shown).every(
    ([name, value]) => Object.hasOwn(jwk, name) && JSON.stringify(jwk[name]) === JSON.stringify(value),
  )
}
