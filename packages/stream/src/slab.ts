/**
 * Octets for frames and their parts, cut from larger pieces: an ArrayBuffer of its own costs a microsecond to make and to collect, more
 * than to fill it. A piece stays in memory as long as any part of it does, so it is small, and what is large has its own.
 * @module
 */

const slabBytes = 16 * 1024
const cutBytesMax = slabBytes / 4

let slab = new ArrayBuffer(slabBytes)
let used = 0

/** Octets to be written whole. */
export function allocate(length: number): Uint8Array {
  if (length > cutBytesMax) return new Uint8Array(length)
  if (used + length > slabBytes) {
    slab = new ArrayBuffer(slabBytes)
    used = 0
  }
  const octets = new Uint8Array(slab, used, length)
  used += length
  return octets
}
