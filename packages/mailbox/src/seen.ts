/**
 * The newest appends by origin and id, to suppress those that come again: an economy, no guarantee rests on it. Ids are kept as numbers in
 * arrays that are made once, because thousands of small things that live for a moment longer than the rest are what V8's garbage
 * collector is worst at.
 * @module
 */
import type { Append } from './waiting.ts'

export interface Seen {
  /** The append with this id from this origin: itself while it is under way, `ended` once its readers have it. */
  get(origin: string, id: string): Append | 'ended' | undefined
  set(origin: string, id: string, append: Append): void
  /** The append's readers have it. */
  end(append: Append): void
  /** The append was refused: what comes with its id is new. */
  delete(append: Append): void
}

/** Ids with the same last bits that are remembered at once. */
const ways = 4
/** 32-bit numbers in a UUID. */
const words = 4

/** Remembers about `max`, a power of two. An id that is no UUID (`urn:uuid:` and 36 characters) is not remembered. */
export function createSeen(max: number): Seen {
  const rows = Math.max(1, 2 ** Math.floor(Math.log2(max / ways)))
  const ids = new Uint32Array(rows * ways * words)
  const origins = new Array<string | undefined>(rows * ways).fill(undefined)
  const appends = new Array<Append | 'ended' | undefined>(rows * ways).fill(undefined)
  /** Where the next one goes in each row: in place of the oldest. */
  const next = new Uint8Array(rows)
  const asked = new Uint32Array(words)

  function rowOf(): number {
    return ((asked[words - 1] as number) & (rows - 1)) * ways
  }

  function find(): number {
    const row = rowOf()
    for (let slot = row; slot < row + ways; slot++) {
      let isSame = appends[slot] !== undefined
      for (let i = 0; isSame && i < words; i++) isSame = ids[slot * words + i] === asked[i]
      if (isSame) return slot
    }
    return -1
  }

  return {
    get(origin, id) {
      if (!readUuid(id, asked)) return undefined
      const slot = find()
      return slot >= 0 && origins[slot] === origin ? appends[slot] : undefined
    },
    set(origin, id, append) {
      if (!readUuid(id, asked)) return
      // One id has one origin here: whoever takes another's gains nothing.
      let slot = find()
      if (slot < 0) {
        const row = rowOf()
        const turn = next[row / ways] as number
        next[row / ways] = (turn + 1) % ways
        slot = row + turn
      }
      ids.set(asked, slot * words)
      origins[slot] = origin
      appends[slot] = append
      append.slot = slot
    },
    end(append) {
      if (appends[append.slot] === append) appends[append.slot] = 'ended'
    },
    delete(append) {
      if (appends[append.slot] === append) appends[append.slot] = undefined
    },
  }
}

const prefix = 'urn:uuid:'
const uuidLength = 36
const hyphen = 0x2d

/** Reads the number that a UUID is; false when the text is none. */
function readUuid(id: string, into: Uint32Array): boolean {
  if (id.length !== prefix.length + uuidLength || !id.startsWith(prefix)) return false
  let digits = 0
  let word = 0
  for (let i = prefix.length; i < id.length; i++) {
    const code = id.charCodeAt(i)
    const at = i - prefix.length
    if (at === 8 || at === 13 || at === 18 || at === 23) {
      if (code !== hyphen) return false
      continue
    }
    const value = code >= 0x30 && code <= 0x39 ? code - 0x30 : code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
    if (value < 0) return false
    word = (word << 4) | value
    digits++
    if (digits % 8 === 0) {
      into[digits / 8 - 1] = word
      word = 0
    }
  }
  return true
}
