/**
 * Data frames as they go on the wire (RFC 6455 §5.2): binary, whole, from a client masked. Many are put into one piece of memory, which
 * is one write; `ws` makes two writes of each.
 * @module
 */
import { randomFillSync } from 'node:crypto'

/** A key for each masked frame, from a supply: drawing four octets costs as much as drawing many. */
const keys = new Uint8Array(8192)
let keysUsed = keys.length

const key = new Uint8Array(4)
/** The key as it meets the next four octets, whatever the machine's order of octets is. */
const turned = new Uint8Array(4)
const turnedWord = new Uint32Array(turned.buffer)

/** Octets of a frame on the wire. */
export function frameLength(payload: number, isMasked: boolean): number {
  return (payload < 126 ? 2 : payload < 0x10000 ? 4 : 10) + (isMasked ? 4 : 0) + payload
}

/** All frames one behind another; `bytes` is the sum of their lengths. */
export function joinFrames(
  frames: readonly Uint8Array[],
  { bytes, isMasked }: { readonly bytes: number; readonly isMasked: boolean },
): Buffer {
  const octets = Buffer.allocUnsafe(bytes)
  const words =
    isMasked && octets.byteOffset % 4 === 0 ? new Uint32Array(octets.buffer, octets.byteOffset, bytes >>> 2) : undefined
  let at = 0
  for (const frame of frames) {
    at = writeHead(octets, at, { length: frame.length, isMasked })
    if (isMasked) {
      drawKey()
      octets.set(key, at)
      at += 4
    }
    octets.set(frame, at)
    const end = at + frame.length
    if (isMasked) mask(octets, words, { at, end })
    at = end
  }
  return octets
}

function writeHead(octets: Buffer, at: number, { length, isMasked }: { length: number; isMasked: boolean }): number {
  const flag = isMasked ? 0x80 : 0
  octets[at] = 0x82
  if (length < 126) {
    octets[at + 1] = flag | length
    return at + 2
  }
  if (length < 0x10000) {
    octets[at + 1] = flag | 126
    return octets.writeUInt16BE(length, at + 2)
  }
  octets[at + 1] = flag | 127
  octets.writeUInt32BE(0, at + 2)
  return octets.writeUInt32BE(length, at + 6)
}

function drawKey(): void {
  if (keysUsed === keys.length) {
    randomFillSync(keys)
    keysUsed = 0
  }
  for (let i = 0; i < 4; i++) key[i] = keys[keysUsed + i] ?? 0
  keysUsed += 4
}

/** Four octets at a time where they lie together. */
function mask(octets: Uint8Array, words: Uint32Array | undefined, { at, end }: { at: number; end: number }): void {
  const from = words === undefined ? end : Math.min(end, (at + 3) & ~3)
  const to = words === undefined ? end : Math.max(from, end & ~3)
  for (let i = at; i < from; i++) octets[i] = (octets[i] ?? 0) ^ (key[(i - at) & 3] ?? 0)
  if (words !== undefined) {
    for (let j = 0; j < 4; j++) turned[j] = key[(from - at + j) & 3] ?? 0
    const word = turnedWord[0] ?? 0
    for (let w = from >>> 2; w < to >>> 2; w++) words[w] = (words[w] ?? 0) ^ word
  }
  for (let i = to; i < end; i++) octets[i] = (octets[i] ?? 0) ^ (key[(i - at) & 3] ?? 0)
}
