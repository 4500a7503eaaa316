/**
 * Reading the members of a request of `parley jwm`: each of its kind or the request is malformed.
 * @module
 */
import { fromBase64url, isJsonObject, type Json, type JsonObject, type Result } from '@parley/core'
import { type Jwk, type Key, type KeyCode, type Recipient, readKey, type Signer } from '@parley/jose'
import { mlDsa } from '@parley/jose/ml-dsa'
import { type AllowList, isBinary } from '@parley/jwm'

/** What a request cannot be read as. */
export const malformed = { ok: false, code: 'request-malformed' } as const

export type RequestCode = 'request-malformed' | KeyCode

/** Reads a value, or answers `undefined` for one of another kind. */
export type Reader<T> = (value: Json) => T | undefined

export const text: Reader<string> = (value) => (typeof value === 'string' ? value : undefined)
export const flag: Reader<boolean> = (value) => (typeof value === 'boolean' ? value : undefined)
export const count: Reader<number> = (value) => (typeof value === 'number' && value >= 0 ? value : undefined)
/** PBKDF2 iterations: RFC 7518 §4.8.1.2 asks for 1000, and each ten millions take seconds. */
export const iterations: Reader<number> = (value) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1000 && value <= 10_000_000 ? value : undefined
export const object: Reader<JsonObject> = (value) => (isJsonObject(value) ? value : undefined)
export const octets: Reader<Uint8Array> = (value) => (typeof value === 'string' ? fromBase64url(value) : undefined)
export const names: Reader<readonly string[]> = (value) => (isNames(value) ? value : undefined)

/** One of a few texts. */
export function oneOf<T extends string>(...values: readonly T[]): Reader<T> {
  return (value) => values.find((known) => known === value)
}

/** Which member of the request gives which option, and of what kind it is. */
export type Table = readonly (readonly [member: string, option: string, reader: Reader<unknown>])[]

/** The options that a request names; `undefined` when one is of another kind. The table vouches for their types. */
export function optionsOf<T>(request: JsonObject, table: Table): Partial<T> | undefined {
  const options: { [name: string]: unknown } = {}
  for (const [member, option, read] of table) {
    const value = request[member]
    if (value === undefined) continue
    const known = read(value)
    if (known === undefined) return undefined
    options[option] = known
  }
  return options as Partial<T>
}

/** A message as text, object or octets, from `jwm` or `jwm_b64u`. */
export function messageOf({ jwm, jwm_b64u: bytes }: JsonObject): string | Uint8Array | JsonObject | undefined {
  if (bytes !== undefined) return jwm === undefined ? octets(bytes) : undefined
  if (typeof jwm === 'string') {
    // The binary serialization as text is its base64url, as `make` shows it.
    const decoded = fromBase64url(jwm)
    return decoded !== undefined && isBinary(decoded) ? decoded : jwm
  }
  return isJsonObject(jwm) ? jwm : undefined
}

/** Prepared keys of a list of JWKs; a key of a type that is not known may be passed over. */
export function keysOf(
  jwks: Json | undefined,
  { skipUnsupported = false } = {},
): Result<{ readonly keys: readonly Key[] }, RequestCode> {
  if (jwks === undefined) return { ok: true, keys: [] }
  if (!Array.isArray(jwks)) return malformed
  const keys: Key[] = []
  for (const jwk of jwks as readonly Json[]) {
    const read = prepare(jwk)
    if (read.ok) keys.push(read.key)
    else if (!(skipUnsupported && read.code === 'key-unsupported')) return read
  }
  return { ok: true, keys }
}

/** Signers of a list of JWKs, or of `{key, alg, protected, header}`. */
export function signersOf(list: Json | undefined): Result<{ readonly all: readonly Signer[] }, RequestCode> {
  return partsOf<Signer>(list, [
    ['alg', 'alg', text],
    ['protected', 'protected', object],
    ['header', 'unprotected', object],
  ])
}

/** Recipients of a list of JWKs, or of `{key, alg, kid}`. */
export function recipientsOf(list: Json | undefined): Result<{ readonly all: readonly Recipient[] }, RequestCode> {
  return partsOf<Recipient>(list, [
    ['alg', 'alg', text],
    ['kid', 'kid', text],
  ])
}

/** A JWK of any type that this program has. */
export function prepare(jwk: Json): Result<{ readonly key: Key }, KeyCode> {
  return readKey(jwk as unknown as Jwk, { extensions: [mlDsa] })
}

function partsOf<T extends { readonly key: Key }>(
  list: Json | undefined,
  table: Table,
): Result<{ readonly all: readonly T[] }, RequestCode> {
  if (list === undefined) return { ok: true, all: [] }
  if (!Array.isArray(list)) return malformed
  const all: T[] = []
  for (const item of list as readonly Json[]) {
    // A JWK has no member `key`, and the long form no `kty`.
    const long = isJsonObject(item) && item['kty'] === undefined && item['key'] !== undefined ? item : undefined
    const options = long === undefined ? {} : optionsOf<T>(long, table)
    if (options === undefined) return malformed
    const read = prepare(long?.['key'] ?? item)
    if (!read.ok) return read
    all.push({ ...options, key: read.key } as T)
  }
  return { ok: true, all }
}

const listNames = ['jws', 'jwe', 'enc'] as const

/** One list of algorithms for everything, or one per kind; `alg` stands for jws and jwe together. */
export const allowList: Reader<AllowList> = (value) => {
  if (isNames(value)) return { jws: value, jwe: value, enc: value }
  if (!isJsonObject(value)) return undefined
  const lists: { -readonly [Name in keyof AllowList]: AllowList[Name] } = {}
  for (const [name, list] of Object.entries(value)) {
    if (!isNames(list)) return undefined
    const kind = listNames.find((known) => known === name)
    if (kind !== undefined) lists[kind] = list
    else if (name !== 'alg') return undefined
  }
  const { alg } = value
  return isNames(alg) ? { jws: alg, jwe: alg, ...lists } : lists
}

/** One allow list, or one for each layer from the outside in. */
export const allowLists: Reader<AllowList | readonly AllowList[]> = (value) => {
  if (!Array.isArray(value) || !value.some(isJsonObject)) return allowList(value)
  const lists = (value as readonly Json[]).map(allowList)
  return lists.every((list) => list !== undefined) ? lists : undefined
}

function isNames(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}
