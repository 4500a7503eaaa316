/**
 * Octet strings: joining, comparing, UTF-8, base64url and fixed integers.
 * Decoders are strict (RFC 4648 §3.5, RFC 7515 §2) and answer `undefined` for anything else than the canonical form.
 * @module
 */

const encoder = new TextEncoder()
// ignoreBOM keeps a BOM in the text, so that the JSON parser sees and refuses it; the default strips it silently.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** UTF-8 octets of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Writes the UTF-8 octets of `text` into `target`, as many whole characters as fit; answers how many of both were taken. */
export function utf8Into(text: string, target: Uint8Array): { readonly read: number; readonly written: number } {
  return encoder.encodeInto(text, target)
}

/** Text of UTF-8 octets, or `undefined` when they are not well-formed UTF-8. A BOM is kept. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Joins octet strings. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const all = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

/** Equality in time that depends on the lengths only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  // In bounds by the loop condition.
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number)
  return difference === 0
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const sixBits = new Int8Array(128).fill(-1)
for (let i = 0; i < alphabet.length; i++) sixBits[alphabet.charCodeAt(i)] = i

/** Base64url without padding (RFC 7515 §2). */
export function base64url(bytes: Uint8Array): string {
  let text = ''
  let i = 0
  for (; i + 2 < bytes.length; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number)
    text +=
      alphabet.charAt(word >> 18) +
      alphabet.charAt((word >> 12) & 63) +
      alphabet.charAt((word >> 6) & 63) +
      alphabet.charAt(word & 63)
  }
  if (i + 1 === bytes.length) {
    const word = (bytes[i] as number) << 16
    text += alphabet.charAt(word >> 18) + alphabet.charAt((word >> 12) & 63)
  } else if (i + 2 === bytes.length) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8)
    text += alphabet.charAt(word >> 18) + alphabet.charAt((word >> 12) & 63) + alphabet.charAt((word >> 6) & 63)
  }
  return text
}

// Two characters of base64url for each twelve bits.
const pairs = new Uint16Array(4096)
for (let i = 0; i < pairs.length; i++) pairs[i] = (alphabet.charCodeAt(i >> 6) << 8) | alphabet.charCodeAt(i & 63)

/** Characters of base64url for so many octets. */
export function base64urlLength(bytes: number): number {
  return Math.ceil((bytes * 4) / 3)
}

/**
 * Writes base64url without padding as ASCII octets into `target` and answers where it ends. For contents of many kilobytes
 * this costs half of what a string in between does.
 */
export function writeBase64url(bytes: Uint8Array, target: Uint8Array, at: number): number {
  const whole = bytes.length - (bytes.length % 3)
  let to = at
  for (let i = 0; i < whole; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number)
    const first = pairs[word >> 12] as number
    const second = pairs[word & 4095] as number
    target[to] = first >> 8
    target[to + 1] = first
    target[to + 2] = second >> 8
    target[to + 3] = second
    to += 4
  }
  return writeAscii(base64url(bytes.subarray(whole)), target, to)
}

/** Writes a text of ASCII characters into `target` and answers where it ends. */
export function writeAscii(text: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i)
  return at + text.length
}

/** Digits of a non-negative safe integer. */
export function digitsIn(value: number): number {
  let digits = 1
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++
  return digits
}

/** Writes the digits of a non-negative safe integer into `target` and answers where they end. */
export function writeDigits(value: number, target: Uint8Array, at: number): number {
  const end = at + digitsIn(value)
  let rest = value
  for (let i = end - 1; i >= at; i--) {
    const next = Math.floor(rest / 10)
    target[i] = rest - next * 10 + 0x30
    rest = next
  }
  return end
}

/** Octets of canonical base64url, or `undefined`: padding, white space, other characters and unused bits are refused. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const tail = text.length % 4
  if (tail === 1) return undefined
  const bytes = new Uint8Array((text.length >> 2) * 3 + (tail === 0 ? 0 : tail - 1))
  let word = 0
  let bits = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? (sixBits[code] as number) : -1
    if (value < 0) return undefined
    word = ((word << 6) | value) & 0xffffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (word >> bits) & 0xff
    }
  }
  if ((word & ((1 << bits) - 1)) !== 0) return undefined
  return bytes
}

/** Big-endian unsigned 32-bit integer as four octets. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}

/** Reads a big-endian unsigned 32-bit integer, or `undefined` when fewer than four octets are left. */
export function readU32(bytes: Uint8Array, offset: number): number | undefined {
  if (offset < 0 || offset + 4 > bytes.length) return undefined
  // In bounds by the check above.
  return (
    (bytes[offset] as number) * 0x1000000 +
    (((bytes[offset + 1] as number) << 16) | ((bytes[offset + 2] as number) << 8) | (bytes[offset + 3] as number))
  )
}

/** A non-negative safe integer as sixteen hexadecimal digits, so that keys sort by number. */
export function sortable(value: number): string {
  return value.toString(16).padStart(16, '0')
}
