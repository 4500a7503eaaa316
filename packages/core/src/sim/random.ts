/**
 * Deterministic randomness from a seed: xoshiro128** over a splitmix32-filled state. For simulations only;
 * it is predictable by design.
 * @module
 */
import type { Random } from '../ports.ts'

/** A seeded generator with the draws that a simulation needs. */
export interface SimRandom extends Random {
  /** An integer in [0, below). */
  int(below: number): number
  /** True with the given probability. */
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
  /** An independent generator; what one part draws does not shift the others. */
  fork(label: string): SimRandom
}

export function createSimRandom(seed: number | string): SimRandom {
  const state = fill(String(seed))
  const next = (): number => {
    const [a, b, c, d] = state as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9)
    const shifted = b << 9
    const c2 = c ^ a
    const d2 = d ^ b
    state[1] = b ^ c2
    state[0] = a ^ d2
    state[2] = c2 ^ shifted
    state[3] = rotate(d2, 11)
    return result >>> 0
  }
  const random: SimRandom = {
    bytes(length) {
      const bytes = new Uint8Array(length)
      for (let i = 0; i < length; i += 4) {
        const word = next()
        for (let j = 0; j < 4 && i + j < length; j++) bytes[i + j] = (word >>> (8 * j)) & 0xff
      }
      return bytes
    },
    int: (below) => Math.floor((next() / 0x1_0000_0000) * below),
    chance: (probability) => next() / 0x1_0000_0000 < probability,
    pick: (from) => {
      if (from.length === 0) throw new RangeError('pick: from is empty')
      return from[random.int(from.length)] as never
    },
    fork: (label) => createSimRandom(`${seed}/${label}`),
  }
  return random
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

function fill(seed: string): Uint32Array {
  let h = 0x811c9dc5
  for (let i = 0; i < seed.length; i++) h = Math.imul(h ^ seed.charCodeAt(i), 0x01000193)
  const state = new Uint32Array(4)
  for (let i = 0; i < 4; i++) {
    h = (h + 0x9e3779b9) | 0
    let z = h
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    state[i] = z ^ (z >>> 15)
  }
  return state
}
