/**
 * Other accounts' cards and statements: fetched through the relay, taken only along the chain from the pinned one. One
 * fetch per account at a time; failures are tried again with growing waits for as long as somebody wants the answer.
 * @module
 */
import {
  type Address,
  base64url,
  type Clock,
  isMessagingError,
  type Json,
  type JsonObject,
  type Random,
  utf8,
} from '@parley/core'
import { acceptCards } from '@parley/identity'
import { sha256 } from '@parley/jose'
import type { Commit } from './commit.ts'
import { AgentError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import { type Backoff, createBackoff } from './retry.ts'
import type { Self } from './self.ts'
import type { State, Tx } from './state.ts'

export interface Directory {
  /** Fetches the account's cards and statements, soon. */
  want(address: Address): void
  /** The same, and waits for the outcome; rejects when the relay says no or is away. */
  fetch(address: Address): Promise<void>
  /** When an account's cards are asked for again after a failure. */
  nextTry(address: Address): number | undefined
  /** The connection is up: what failed for the lack of it is tried now. */
  resume(): void
  close(): void
}

export type DirectoryParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly state: State
  readonly commit: Commit
  readonly clock: Clock
  readonly random: Random
  readonly limits: AgentLimits
  request(what: string, value: JsonObject): Promise<JsonObject>
  /** In the step that took new cards or statements. */
  taken(tx: Tx, address: Address): void
  /** Whoever waits for the account need not wait any longer: the relay says there is none, or it may not be trusted. */
  failed(tx: Tx, address: Address, code: string): void
  report(code: string, from: Address): void
  /** After the commit: what waited for the account's cards waits no longer. */
  wake(): void
}

/** Cards of one account that are read at once; a chain that goes on is fetched again. */
const cardsMax = 10_000
/** Hashes of taken cards that are remembered of one account. */
const headsMax = 256

type Wanted = { backoff: Backoff; running: Promise<void> | undefined; cancel: (() => void) | undefined; at?: number }

export function createDirectory(parts: DirectoryParts): Directory {
  const { self, commit, clock, random, limits } = parts
  const wanted = new Map<Address, Wanted>()
  let closed = false

  const load = async (address: Address): Promise<void> => {
    for (let round = 1; round <= 2; round++) {
      const pin = parts.state.get('pin', address)
      const known = parts.state.get('statements', address)?.heads
      // The pinned version is asked for again: another card of that version would be a fork.
      const since = pin === undefined || known === undefined ? 0 : pin.version - 1
      const [cards, statements] = await Promise.all([loadCards(address, since), parts.request('statements', { address })])
      const served = { cards, statements: strings(statements['statements']) }
      const taken = await commit((tx) => {
        const code = take(tx, address, served)
        const isBehind = code === undefined && isOutdated(tx, address, { isLast: round === 2 })
        if (isBehind && round === 2) tx.after(() => parts.report('card-withheld', address))
        return { code, isBehind }
      })
      if (taken.code !== undefined)
        throw new AgentError('ERR_AGENT_TRUST_HELD', `the cards of an account were not taken: ${taken.code}`)
      // A card that was published between the two answers is there at the second asking.
      if (!taken.isBehind) return
    }
  }

  // The newer card that messages wait for is the one that was turned down.
  const goOn = (tx: Tx, address: Address): void => {
    const { outdated, ...rest } = tx.get('statements', address) ?? { fetched: 0, list: [] }
    if (outdated === undefined) return
    tx.put('statements', address, rest)
    tx.after(parts.wake)
  }

  // Whether a newer card exists than the one the relay served: somebody named its version, or a statement names its hash.
  const isOutdated = (tx: Tx, address: Address, { isLast }: { readonly isLast: boolean }): boolean => {
    const pin = tx.get('pin', address)
    const row = tx.get('statements', address)
    if (pin === undefined || row === undefined) return false
    const { outdated = 0, ...rest } = row
    const isBehind =
      outdated > pin.version || parts.keyring.statements(row, pin, tx.now).some(({ head }) => row.heads?.includes(head) === false)
    // What the relay withholds twice is reported, and not waited for any longer.
    if (isBehind && !isLast) tx.put('statements', address, { ...rest, outdated: Math.max(outdated, pin.version + 1) })
    else if (row.outdated !== undefined) tx.put('statements', address, rest)
    return isBehind
  }

  // A long chain comes in several answers.
  const loadCards = async (address: Address, since: number): Promise<readonly string[]> => {
    const cards: string[] = []
    for (;;) {
      const answer = await parts.request('cards', { address, since: since + cards.length })
      const some = strings(answer['cards'])
      cards.push(...some)
      if (answer['more'] !== true || some.length === 0 || cards.length > cardsMax) return cards
    }
  }

  const take = (
    tx: Tx,
    address: Address,
    served: { readonly cards: readonly string[]; readonly statements: readonly string[] },
  ): string | undefined => {
    const pin = tx.get('pin', address)
    const account = address === self.address ? self.profile().expectedAccount : tx.get('conversation', address)?.account
    const acceptance = acceptCards(pin, served.cards, { address, ...(account === undefined ? {} : { account }) })
    if (acceptance.outcome === 'refused') {
      tx.after(() => parts.report(acceptance.code, address))
      if (pin === undefined) parts.failed(tx, address, acceptance.code)
      return acceptance.code
    }
    if (acceptance.outcome === 'held') {
      // A decision of the person stands until something else is offered.
      if (tx.get('conversation', address)?.declined !== cardHash(acceptance.held.proof[1])) tx.put('pin', address, acceptance.pin)
      else goOn(tx, address)
      tx.after(() => parts.report(acceptance.held.code, address))
      return acceptance.held.code
    }
    tx.put('pin', address, acceptance.pin)
    const before = tx.get('statements', address)
    const heads = new Set([...(before?.heads ?? []), ...served.cards.map(cardHash)])
    tx.put('statements', address, {
      fetched: tx.now,
      // The same list stays the same object, whose signatures were checked.
      list: isSame(before?.list, served.statements) ? before.list : served.statements,
      heads: [...heads].slice(-headsMax),
      ...(before?.outdated === undefined ? {} : { outdated: before.outdated }),
    })
    parts.taken(tx, address)
    return undefined
  }

  const run = (address: Address, { now }: { readonly now: boolean }): Promise<void> => {
    let entry = wanted.get(address)
    if (entry === undefined) {
      entry = {
        backoff: createBackoff({ random, msMin: limits.retryMsMin, msMax: limits.retryMsMax }),
        running: undefined,
        cancel: undefined,
      }
      wanted.set(address, entry)
    }
    const mine = entry
    // Every message to an account that cannot be reached wants it again; its next try is set already.
    if (!now && mine.cancel !== undefined) return Promise.resolve()
    mine.cancel?.()
    mine.cancel = undefined
    mine.running ??= load(address).then(
      () => {
        wanted.delete(address)
      },
      async (error: unknown) => {
        mine.running = undefined
        if (closed) throw error
        // Messages wait for a card that is known to exist: a refusal of today is no reason to forget it.
        const isAwaited = parts.state.get('statements', address)?.outdated !== undefined
        if (isMessagingError(error) && (error.retryable || (isAwaited && !isHeld(address)))) {
          const ms = mine.backoff.next()
          mine.at = clock.now() + ms
          mine.cancel = clock.at(clock.monotonic() + ms, () => want(address, { now: true }))
        } else {
          wanted.delete(address)
          if (isRefusal(error)) {
            // The relay's word for a card that is not there says nothing to whoever wrote to that address.
            const code = error.reason === 'item-not-found' ? 'recipient-unknown' : (error.reason ?? 'refused')
            await commit((tx) => parts.failed(tx, address, code)).catch(() => {})
          }
        }
        throw error
      },
    )
    return mine.running
  }

  const isHeld = (address: Address): boolean => parts.state.get('pin', address)?.held !== undefined

  const want = (address: Address, { now }: { readonly now: boolean }): void => {
    if (!closed) void run(address, { now }).catch(() => {})
  }

  return {
    want: (address) => want(address, { now: false }),
    fetch: (address) => run(address, { now: true }),
    nextTry(address) {
      const entry = wanted.get(address)
      return entry?.cancel === undefined ? undefined : entry.at
    },
    resume() {
      for (const [address, entry] of wanted) {
        entry.backoff.reset()
        if (entry.running === undefined) want(address, { now: true })
      }
    },
    close() {
      closed = true
      for (const { cancel } of wanted.values()) cancel?.()
    },
  }
}

/** Names a card, also one that was not taken. */
export function cardHash(jws: string): string {
  return base64url(sha256(utf8(jws)))
}

/** Somebody named a card version: when it is newer than the pinned one, this is remembered until the cards were asked for. */
export function noteVersion(tx: Tx, address: Address, version: number): boolean {
  const pin = tx.get('pin', address)
  if (pin === undefined || version <= pin.version) return false
  const row = tx.get('statements', address)
  if (row !== undefined && (row.outdated ?? 0) < version) tx.put('statements', address, { ...row, outdated: version })
  return true
}

function isSame(before: readonly string[] | undefined, now: readonly string[]): before is readonly string[] {
  return before?.length === now.length && before.every((jws, i) => jws === now[i])
}

function isRefusal(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code === 'ERR_AGENT_REQUEST_REFUSED'
}

function strings(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? (value as readonly Json[]).filter((item) => typeof item === 'string') : []
}
