/**
 * Strict JSON (RFC 8259, RFC 7515 §10.12): one complete text, no duplicate member names, no BOM, no lone
 * surrogates, bounded depth and size. JSON.parse alone keeps the last duplicate and takes a million levels.
 * @module
 */
import { fromUtf8 } from './bytes.ts'
import type { Result } from './errors.ts'

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

export type JsonLimits = {
  readonly bytesMax: number
  readonly depthMax: number
  /** Member names in all objects together; by default as many as there are. */
  readonly namesMax?: number
}
export type JsonErrorCode = 'json-too-large' | 'json-not-utf8' | 'json-malformed' | 'json-duplicate-name' | 'json-too-deep'

/** Default limits for JSON texts: headers and attributes sets. */
export const jsonLimits: JsonLimits = { bytesMax: 16 * 1024 * 1024, depthMax: 32 }

/** Parses a JSON text, strictly. */
export function parseJson(
  input: Uint8Array | string,
  limits: JsonLimits = jsonLimits,
): Result<{ readonly value: Json }, JsonErrorCode> {
  if (input.length > limits.bytesMax) return { ok: false, code: 'json-too-large' }
  const text = typeof input === 'string' ? input : fromUtf8(input)
  if (text === undefined) return { ok: false, code: 'json-not-utf8' }
  // What was UTF-8 has no lone surrogates.
  if (typeof input === 'string' && !isWellFormed(text)) return { ok: false, code: 'json-malformed' }
  // The scan comes first: it bounds the depth before JSON.parse recurses.
  const problem = scan(text, limits)
  if (problem !== undefined) return { ok: false, code: problem }
  try {
    // JSON.parse answers Json by definition.
    return { ok: true, value: JSON.parse(text) as Json }
  } catch {
    return { ok: false, code: 'json-malformed' }
  }
}

/** Parses a JSON text that must be an object. */
export function parseJsonObject(
  input: Uint8Array | string,
  limits: JsonLimits = jsonLimits,
): Result<{ readonly value: JsonObject }, JsonErrorCode | 'json-not-object'> {
  const result = parseJson(input, limits)
  if (!result.ok) return result
  if (!isJsonObject(result.value)) return { ok: false, code: 'json-not-object' }
  return { ok: true, value: result.value }
}

/** Tells a JSON object from the other JSON values. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Walks the text once. Syntax errors that it passes over are left to JSON.parse.
function scan(text: string, { depthMax, namesMax = Number.POSITIVE_INFINITY }: JsonLimits): JsonErrorCode | undefined {
  let namesLeft = namesMax
  // One set of names per open object, undefined per open array.
  const open: (Set<string> | undefined)[] = []
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x7b || code === 0x5b) {
      if (open.length >= depthMax) return 'json-too-deep'
      open.push(code === 0x7b ? new Set() : undefined)
    } else if (code === 0x7d || code === 0x5d) {
      open.pop()
    } else if (code === 0x22) {
      const end = endOfString(text, i)
      if (end < 0) return 'json-malformed'
      const raw = text.slice(i, end + 1)
      const escaped = raw.includes('\\')
      const names = open[open.length - 1]
      const isName = names !== undefined && text.charCodeAt(skipSpace(text, end + 1)) === 0x3a
      if (escaped || isName) {
        const value = escaped ? unquote(raw) : raw.slice(1, -1)
        if (value === undefined) return 'json-malformed'
        if (isName) {
          if (names.has(value)) return 'json-duplicate-name'
          if (namesLeft-- <= 0) return 'json-too-large'
          names.add(value)
        }
      }
      i = end
    }
  }
  return undefined
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++
    // A quotation mark behind an odd number of backslashes is part of the string.
    if (escapes % 2 === 0) return end
  }
  return -1
}

function skipSpace(text: string, start: number): number {
  let i = start
  for (; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break
  }
  return i
}

function unquote(raw: string): string | undefined {
  try {
    const value: unknown = JSON.parse(raw)
    return typeof value === 'string' && isWellFormed(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** True when every surrogate in `text` is half of a pair. */
function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text)
}

const loneSurrogate = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/
