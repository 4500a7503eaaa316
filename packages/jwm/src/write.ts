/**
 * The serializations of a made message, and what an application may have to know of them: their size, and a text that
 * is safe inside XML (RFC 7165 §5.4).
 * @module
 */
import { base64url, type JsonObject, utf8 } from '@parley/core'
import {
  JoseError,
  type Jwe,
  type Jws,
  toCompactJwe,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
  toUrlSafe,
} from '@parley/jose'
import { writeBinary } from './binary.ts'

/**
 * The serialization. In `compact`, `flattened` and `binary` headers come before the content and a signature behind it, so
 * that both ends can work in one pass; the `general` one of signatures has headers and signatures in one member.
 */
export type JwmForm = 'general' | 'flattened' | 'compact' | 'urlsafe' | 'binary'

/** A text, the members of a JSON serialization, or the octets of the binary one. */
export type MadeJwm = string | JsonObject | Uint8Array

/** One layer of a message, in no particular serialization. */
export type JwmLayer = { readonly kind: 'jws'; readonly jws: Jws } | { readonly kind: 'jwe'; readonly jwe: Jwe }

/** Writes the outermost layer. Throws `ERR_JOSE_FORM_IMPOSSIBLE`. */
export function serialize(layer: JwmLayer, form: JwmForm): MadeJwm {
  switch (form) {
    case 'general':
      return layer.kind === 'jws' ? toGeneralJws(layer.jws) : toGeneralJwe(layer.jwe)
    case 'flattened':
      return layer.kind === 'jws' ? toFlattenedJws(layer.jws) : toFlattenedJwe(layer.jwe)
    case 'compact':
      return layer.kind === 'jws' ? toCompactJws(layer.jws) : toCompactJwe(layer.jwe)
    case 'urlsafe':
      return toUrlSafe(layer.kind === 'jws' ? toGeneralJws(layer.jws) : toGeneralJwe(layer.jwe))
    case 'binary':
      return binaryOf(layer)
  }
}

/** Octets that the message takes: of a JSON serialization, its text without white space. */
export function sizeOf(jwm: MadeJwm): number {
  if (jwm instanceof Uint8Array) return jwm.length
  return utf8(typeof jwm === 'string' ? jwm : JSON.stringify(jwm)).length
}

/**
 * The message as text that stands inside XML as it is, without CDATA: `<`, `>` and `&` in a JSON serialization are
 * written as escapes, the binary one as base64url. `undefined` for an unencoded compact payload with one of the three.
 */
export function toXmlText(jwm: MadeJwm): string | undefined {
  if (jwm instanceof Uint8Array) return base64url(jwm)
  if (typeof jwm === 'string') return /[<>&]/.test(jwm) ? undefined : jwm
  // In a JSON text these stand inside strings alone; the last two are no characters of XML.
  return JSON.stringify(jwm).replace(
    /[<>&\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function binaryOf(layer: JwmLayer): Uint8Array {
  // The binary serialization stands for a Flattened JWE and nothing else.
  if (layer.kind === 'jws' || layer.jwe.recipients.length !== 1) {
    throw new JoseError('ERR_JOSE_FORM_IMPOSSIBLE', 'the binary form holds an encrypted message for one recipient')
  }
  return writeBinary(layer.jwe)
}
