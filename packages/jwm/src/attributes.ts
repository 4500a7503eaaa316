/**
 * The attributes of a message (draft-looker-jwm-01 §3): snake_case on the wire, camelCase here, unknown ones kept.
 * Texts are compared code point by code point; nothing is normalised.
 * @module
 */
import {
  isJsonObject,
  type Json,
  type JsonLimits,
  type JsonObject,
  jsonLimits,
  parseJsonObject,
  type Result,
  utf8,
} from '@parley/core'
import { JwmError } from './errors.ts'

/** The attributes of a message, all optional. */
export type Attributes = {
  readonly id?: string
  readonly type?: string
  readonly body?: JsonObject
  readonly from?: string
  readonly to?: readonly string[]
  readonly threadId?: string
  readonly referentId?: string
  /** Seconds since 1970-01-01T00:00:00Z, fractions allowed. */
  readonly timeStamp?: number
  /** Seconds since 1970-01-01T00:00:00Z; without it a message does not expire. */
  readonly expiry?: number
  readonly replyUrl?: string
  readonly replyTo?: string | readonly string[]
  /** Public and private attributes this page does not name, by their names on the wire, untouched. */
  readonly others?: JsonObject
}

/** Why an attributes set is not taken. */
export type AttributesCode = 'attributes-malformed'

type Kind = 'uri' | 'uris' | 'uri-or-uris' | 'object' | 'date'
type Row = { readonly wire: string; readonly name: Exclude<keyof Attributes, 'others'>; readonly kind: Kind }

// In the order they are written.
const rows: readonly Row[] = [
  { wire: 'id', name: 'id', kind: 'uri' },
  { wire: 'type', name: 'type', kind: 'uri' },
  { wire: 'from', name: 'from', kind: 'uri' },
  { wire: 'to', name: 'to', kind: 'uris' },
  { wire: 'thread_id', name: 'threadId', kind: 'uri' },
  { wire: 'referent_id', name: 'referentId', kind: 'uri' },
  { wire: 'time_stamp', name: 'timeStamp', kind: 'date' },
  { wire: 'expiry', name: 'expiry', kind: 'date' },
  { wire: 'reply_url', name: 'replyUrl', kind: 'uri' },
  { wire: 'reply_to', name: 'replyTo', kind: 'uri-or-uris' },
  { wire: 'body', name: 'body', kind: 'object' },
]
const byWire: ReadonlyMap<string, Row> = new Map(rows.map((row) => [row.wire, row]))

/** The names on the wire of the attributes that the draft registers. */
export const attributeNames: ReadonlySet<string> = new Set(byWire.keys())

/** The UTF-8 octets of the JSON text that gets signed. Throws `ERR_JWM_ATTRIBUTES_MALFORMED`. */
export function encodeAttributes(attributes: Attributes): Uint8Array {
  const wire: { [name: string]: Json } = {}
  for (const { wire: member, name, kind } of rows) {
    const value: Json | undefined = attributes[name]
    if (value === undefined) continue
    if (!isOfKind(value, kind)) throw new JwmError('ERR_JWM_ATTRIBUTES_MALFORMED', `the attribute ${name} is malformed`)
    wire[member] = value
  }
  for (const [member, value] of Object.entries(attributes.others ?? {})) {
    if (byWire.has(member))
      throw new JwmError('ERR_JWM_ATTRIBUTES_MALFORMED', `the attribute ${member} does not stand among the others`)
    // Assigned, a member of this name would be the object's prototype; a definition of any makes the object a slow one.
    if (member === '__proto__') Object.defineProperty(wire, member, { value, enumerable: true })
    else wire[member] = value
  }
  // One level is the attributes set itself.
  if (!Object.values(wire).every((value) => isJson(value, jsonLimits.depthMax - 1))) {
    throw new JwmError('ERR_JWM_ATTRIBUTES_MALFORMED', 'an attribute is no JSON value or nests too deeply')
  }
  const text = JSON.stringify(wire)
  // JSON.stringify writes \ud… for half of a surrogate pair, which no strict reader takes; the parser settles the doubt.
  if (text.includes('\\ud') && !parseJsonObject(text).ok) {
    throw new JwmError('ERR_JWM_ATTRIBUTES_MALFORMED', 'a text holds half of a surrogate pair')
  }
  return utf8(text)
}

/** Reads attributes, strictly: one JSON object, no name twice, every named attribute of its kind. */
export function decodeAttributes(
  bytes: Uint8Array,
  limits: JsonLimits = jsonLimits,
): Result<{ readonly attributes: Attributes }, AttributesCode> {
  const parsed = parseJsonObject(bytes, limits)
  return parsed.ok ? attributesOf(parsed.value) : { ok: false, code: 'attributes-malformed' }
}

/** The attributes in a JSON object that has been parsed strictly. */
export function attributesOf(object: JsonObject): Result<{ readonly attributes: Attributes }, AttributesCode> {
  const attributes: { -readonly [Name in Row['name']]?: Json } & { others?: JsonObject } = {}
  const others: { [name: string]: Json } = {}
  for (const [member, value] of Object.entries(object)) {
    const row = byWire.get(member)
    if (row === undefined) {
      // Not an assignment: a member may be named __proto__.
      Object.defineProperty(others, member, { value, enumerable: true })
    } else if (isOfKind(value, row.kind)) {
      attributes[row.name] = value
    } else {
      return { ok: false, code: 'attributes-malformed' }
    }
  }
  if (Object.keys(others).length > 0) attributes.others = others
  // Every member was checked against the kind its type stands for.
  return { ok: true, attributes: attributes as Attributes }
}

/** Whether the message has expired at `nowMs`; `skewMs` is what the clocks may differ by. */
export function isExpired(
  attributes: Attributes,
  { nowMs, skewMs }: { readonly nowMs: number; readonly skewMs: number },
): boolean {
  return attributes.expiry !== undefined && attributes.expiry * 1000 + skewMs <= nowMs
}

/**
 * The names of `object` that may collide with those of others (draft-looker-jwm-01 §3.13, §3.14): neither registered, nor
 * a URI, a UUID, an OID or a domain name.
 */
export function privateNames(object: JsonObject): readonly string[] {
  return Object.keys(object).filter((name) => !attributeNames.has(name) && !isCollisionResistant(name))
}

/**
 * Whether an attribute such as `reply_url` may be called: an absolute URL of one of `schemes` with a host. Whether the
 * host is one to call is the caller's to decide; the draft's StringOrURI would let any text through (§3.11).
 */
export function isReplyUrl(value: string, schemes: readonly string[] = ['https', 'http', 'wss', 'ws']): boolean {
  const [, scheme = '', host = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/.exec(value) ?? []
  // A user part names another host to a hasty reader; only a host and a port are left.
  return (
    schemes.includes(scheme.toLowerCase()) &&
    /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?$/.test(host) &&
    isStringOrUri(value)
  )
}

function isOfKind(value: Json, kind: Kind): boolean {
  switch (kind) {
    case 'uri':
      return isStringOrUri(value)
    case 'uris':
      return Array.isArray(value) && value.every(isStringOrUri)
    case 'uri-or-uris':
      return isStringOrUri(value) || (Array.isArray(value) && value.every(isStringOrUri))
    case 'object':
      return isJsonObject(value)
    case 'date':
      // JSON can say 1e999.
      return typeof value === 'number' && Number.isFinite(value)
  }
}

// RFC 7519 §2: any text, but one with a colon is a URI (RFC 3986).
const uri = /^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$/

function isStringOrUri(value: unknown): boolean {
  return typeof value === 'string' && (!value.includes(':') || uri.test(value))
}

// RFC 7519 §2: domain names, object identifiers and UUIDs are allocated so that they do not collide.
const allocated = /^(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:[/:].*)?|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/

function isCollisionResistant(name: string): boolean {
  return allocated.test(name) || (name.includes(':') && uri.test(name))
}

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth === 0) return false
  return Object.values(value).every((member: unknown) => member === undefined || isJson(member, depth - 1))
}
