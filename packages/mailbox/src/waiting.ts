/**
 * Appends on their way to the store (design §5). What goes to a reader who is there is given to it at once, under a position that
 * is reserved already, and waits a moment: when the acknowledgement comes before the store is handed the append, and nothing of
 * that reader is in the store, it is not written. Whoever waits for the append waits for every reader's acknowledgement or the sync.
 * @module
 */
import type { Clock, Telemetry } from '@parley/core'
import { createHeld } from './held.ts'
import type { MailboxLimits } from './limits.ts'
import type { Log, Logs } from './logs.ts'
import type { AppendListener, MailboxContent, MailboxEntry, MailboxItem } from './mailbox.ts'
import { fullBy } from './quota.ts'
import type { Seen } from './seen.ts'

export type Append = {
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly expiry: number
  readonly isEarly: boolean
  readonly places: readonly Place[]
  readonly bytes: number
  /** Places that are neither acknowledged nor stored. */
  open: number
  /** What its readers were given waits for their acknowledgement. */
  isHeld: boolean
  /** When that goes to the store at the latest. */
  due: number
  /** Its neighbours in `Held`. */
  before: Append | undefined
  after: Append | undefined
  /** Where it is remembered, to suppress it when it comes again. */
  slot: number
  readonly listener: AppendListener
  /** Those who came with the same content again while it was under way. */
  others: AppendListener[] | undefined
}

/** What goes to the store of an append: all of its places, or those whose readers are away, and later the others. */
export type AppendJob = { readonly kind: 'append'; readonly append: Append; readonly places: readonly Place[] }

/** What one reader gets of an append. */
export type Place = {
  readonly append: Append
  readonly reader: string
  readonly entry: Uint8Array
  log: Log | undefined
  /** Its position; 0 while it has none. */
  n: number
  /** It was given to the reader. */
  isGiven: boolean
  /** It is in a turn, or on its way to one. */
  isSent: boolean
  /** It is acknowledged or stored. */
  isSettled: boolean
}

/** Gives a stanza to a reader who is there; false when it is not, or its connection did not carry everything up to `after`. */
export type Give = (reader: string, item: MailboxItem, after: number) => boolean

export interface Waiting {
  /** Takes an append: gives it to the readers who are there, lets that wait, and sends the rest to the store. */
  enter(append: Append): void
  /** The position of a place at the moment it goes to the store. */
  issue(place: Place, log: Log): number
  /** The reader has everything up to `upTo`: answers whether the store has nothing to do with it. */
  handled(log: Log, upTo: number): boolean
  /** A place is acknowledged or stored; after the last one whoever waits for the append is answered. */
  settle(place: Place): void
  /** The append is not taken; nothing more of it is written. */
  refuse(append: Append, error: unknown): void
  /** A turn is over: what had no position may have one now. */
  advance(): void
  /** Sends everything to the store. */
  flush(): void
}

export type WaitingOptions = {
  readonly logs: Logs
  readonly clock: Clock
  readonly limits: MailboxLimits
  readonly telemetry: Telemetry
  readonly give: Give | undefined
  readonly seen: Seen
  /** Sends an append to the store. */
  push(job: AppendJob): void
  /** Asks for more positions of a log. */
  reserve(log: Log): void
}

/** How much longer than usual a reader may take. */
const patience = 3
/** Between two looks at what waits. */
const looksMs = 2
/** What a reader whose pace is not known yet is given, and the least that anyone is. */
const holdMsMin = 4

/** An append before anything is done with it. */
export function makeAppend(entries: readonly MailboxEntry[], content: MailboxContent, listener: AppendListener): Append {
  const places: Place[] = []
  // Only what is needed until it ends: thousands wait for an acknowledgement.
  const { header, body, expiry, isEarly = false } = content
  let bytes = header.length + body.length
  for (const { entry } of entries) bytes += entry.length
  const append: Append = {
    header,
    body,
    expiry,
    isEarly,
    places,
    bytes,
    open: entries.length,
    isHeld: false,
    due: 0,
    before: undefined,
    after: undefined,
    slot: -1,
    listener,
    others: undefined,
  }
  for (const { reader, entry } of entries)
    places.push({ append, reader, entry, log: undefined, n: 0, isGiven: false, isSent: false, isSettled: false })
  return append
}

export function createWaiting(options: WaitingOptions): Waiting {
  const { logs, clock, limits, telemetry, give, seen, push, reserve } = options
  const { skipHoldMs } = limits
  const held = createHeld()
  // Appends in a turn, or on their way to one, with places that have no position: later ones must not overtake them.
  const unplaced = new Set<Place>()
  const blocked = new Map<string, number>()
  let heldBytes = 0
  let nextLook = Number.POSITIVE_INFINITY
  let cancelLook = (): void => {}

  function enter(append: Append): void {
    const isEarly = give !== undefined && skipHoldMs > 0 && append.isEarly
    if (!isEarly || !fits(append)) {
      for (const place of append.places) block(place)
      send(append, append.places)
      return
    }
    const now = clock.monotonic()
    const rest: Place[] = []
    let longest = 0
    for (const place of append.places) {
      const isGiven = !blocked.has(place.reader) && tryGiving(place, now)
      const hold = isGiven ? holdFor(place.log as Log, now) : 0
      if (!isGiven) block(place)
      if (hold === 0) rest.push(place)
      longest = Math.max(longest, hold)
    }
    if (longest === 0 || heldBytes + append.bytes > limits.heldBytesMax) {
      send(append, append.places)
      return
    }
    append.isHeld = true
    append.due = now + longest
    held.add(append)
    heldBytes += append.bytes
    lookAt(append.due)
    if (rest.length > 0) send(append, rest)
  }

  /** Whether every reader's log is in memory and has room: what one cannot take none is given. */
  function fits({ places, header, body }: Append): boolean {
    for (const { reader, entry } of places) {
      const log = logs.get(reader)
      if (log === undefined) return false
      const size = header.length + body.length + entry.length
      if (fullBy(log, size) !== undefined) return false
    }
    return true
  }

  function tryGiving(place: Place, now: number): boolean {
    const log = logs.get(place.reader)
    if (log === undefined || log.issued >= log.safe || give === undefined) return false
    const { header, body, expiry } = place.append
    const n = log.issued + 1
    if (!give(place.reader, { n, header, entry: place.entry, body, expiry }, log.last)) return false
    log.issued = n
    log.last = n
    log.waiting.push(place)
    log.waitingBytes += sizeOf(place)
    place.log = log
    place.n = n
    place.isGiven = true
    log.probe ??= { n, at: now }
    if (log.safe - n < limits.positionBlock / 4 && !log.isReserving) {
      log.isReserving = true
      reserve(log)
    }
    return true
  }

  /** How long a reader's acknowledgement is worth waiting for. */
  function holdFor({ paceMs, probe }: Log, now: number): number {
    // One that has been silent for so long does not keep others waiting.
    if (probe !== undefined && now - probe.at > skipHoldMs) return 0
    if (paceMs === undefined) return Math.min(skipHoldMs, 4 * holdMsMin)
    return paceMs > skipHoldMs ? 0 : Math.min(skipHoldMs, Math.max(holdMsMin, patience * paceMs))
  }

  function block(place: Place): void {
    unplaced.add(place)
    blocked.set(place.reader, (blocked.get(place.reader) ?? 0) + 1)
  }

  function unblock(place: Place): void {
    if (!unplaced.delete(place)) return
    const left = (blocked.get(place.reader) ?? 1) - 1
    if (left > 0) blocked.set(place.reader, left)
    else blocked.delete(place.reader)
  }

  /** Sends places to the store, and before them what their readers were given earlier: a log is written in order. */
  function send(append: Append, places: readonly Place[]): void {
    for (const { log, reader } of places) {
      const waiting = (log ?? logs.get(reader))?.waiting
      if (waiting === undefined) continue
      for (const { append: earlier } of waiting) {
        if (earlier === append) break
        if (earlier.isHeld) release(earlier)
      }
    }
    for (const place of places) place.isSent = true
    push({ kind: 'append', append, places })
  }

  /** Sends to the store what was given and is not acknowledged. */
  function release(append: Append): void {
    unhold(append)
    send(
      append,
      append.places.filter(({ isSent, isSettled }) => !isSent && !isSettled),
    )
  }

  function unhold(append: Append): void {
    if (!append.isHeld) return
    append.isHeld = false
    held.delete(append)
    heldBytes -= append.bytes
  }

  function lookAt(ms: number): void {
    if (nextLook <= ms) return
    cancelLook()
    nextLook = ms
    cancelLook = clock.at(ms, look)
  }

  function look(): void {
    const now = clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    nextLook = next
    for (let each = held.first; each !== undefined; ) {
      // Nothing behind one goes to the store with it.
      const { after } = each
      if (each.due <= now) release(each)
      else next = Math.min(next, each.due)
      each = after
    }
    if (held.first !== undefined) lookAt(Math.max(now + looksMs, next))
  }

  /** Takes a place out; answers whether it was still in. */
  function takeOut(place: Place): boolean {
    if (place.isSettled) return false
    place.isSettled = true
    unblock(place)
    const { log, append } = place
    if (place.isGiven && log !== undefined) {
      // Nearly always the first.
      log.waiting.splice(log.waiting.indexOf(place), 1)
      log.waitingBytes -= sizeOf(place)
    }
    append.open--
    return true
  }

  function settle(place: Place): void {
    const { append } = place
    if (!takeOut(place) || append.open > 0) return
    unhold(append)
    seen.end(append)
    append.listener.stored(append.places)
    if (append.others !== undefined) for (const { stored } of append.others) stored(append.places)
  }

  return {
    enter,
    settle,
    refuse(append, error) {
      for (const place of append.places) takeOut(place)
      unhold(append)
      seen.delete(append)
      append.listener.refused(error)
      if (append.others !== undefined) for (const { refused } of append.others) refused(error)
    },
    issue(place, log) {
      unblock(place)
      if (place.n === 0) {
        place.n = log.issued + 1
        log.issued = place.n
        log.last = place.n
      }
      return place.n
    },
    handled(log, upTo) {
      const { probe } = log
      if (probe !== undefined && probe.n <= upTo) {
        const took = clock.monotonic() - probe.at
        log.paceMs = log.paceMs === undefined ? took : (3 * log.paceMs + took) / 4
        log.probe = undefined
      }
      log.handled = Math.max(log.handled, upTo)
      // What is in the store, or going there just now, has to leave it first.
      if (log.count > 0 || log.writing > 0) return false
      for (;;) {
        const [first] = log.waiting
        if (first === undefined || first.n > upTo) break
        telemetry.count('mailbox.skipped')
        settle(first)
      }
      log.acked = Math.max(log.acked, upTo)
      return true
    },
    advance() {
      if (unplaced.size === 0) return
      const now = clock.monotonic()
      const stuck = new Set<string>()
      for (const place of unplaced) {
        if (stuck.has(place.reader)) continue
        if (place.append.isEarly && tryGiving(place, now)) unblock(place)
        else stuck.add(place.reader)
      }
    },
    flush() {
      while (held.first !== undefined) release(held.first)
      cancelLook()
      nextLook = Number.POSITIVE_INFINITY
    },
  }
}

/** Octets that count for a reader's quota. */
export function sizeOf({ append, entry }: Place): number {
  return append.header.length + entry.length + append.body.length
}
