import type { Random } from '@parley/core'
import { type Backend, backend as node } from '@parley/jose'
import { noble } from '@parley/jose/noble'

/** Both implementations; every suite runs its loop over them. */
export const backends: readonly Backend[] = [node, noble]

/** A reproducible stream of octets (splitmix32): good enough to test with, and for nothing else. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return {
    bytes(length) {
      const out = new Uint8Array(length)
      for (let i = 0; i < length; i++) {
        state = (state + 0x9e3779b9) >>> 0
        let word = state
        word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
        word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
        out[i] = (word ^ (word >>> 15)) >>> 24
      }
      return out
    },
  }
}

export function mustRead<T extends { readonly ok: boolean }>(result: T): Extract<T, { readonly ok: true }> {
  if (!result.ok) throw new Error(`not read: ${JSON.stringify(result)}`)
  return result as Extract<T, { readonly ok: true }>
}
