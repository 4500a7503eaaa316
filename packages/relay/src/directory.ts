/**
 * The directory: accounts of this domain with their chain of cards and their devices' key statements (design §2).
 * A card is taken only if it follows the head; everything is signed by those it speaks of, the relay adds nothing.
 * @module
 */
import {
  type Address,
  type Clock,
  type DeviceId,
  domainOf,
  fromUtf8,
  parseJsonObject,
  type Store,
  type StoreOp,
  type Telemetry,
  utf8,
} from '@parley/core'
import { activeDevices, type ReadCard, readCard, readStatement, successorProblem } from '@parley/identity'
import type { RequestCode } from '@parley/stream'
import {
  aboutKey,
  accountRange,
  accountsRange,
  addressIn,
  blockKey,
  cardKey,
  cardRange,
  heldKey,
  heldRange,
  statementKey,
} from './account-keys.ts'
import { RelayError } from './errors.ts'
import type { InviteBook } from './invites.ts'
import type { Serial } from './serial.ts'

export type DirectoryOptions = {
  readonly store: Store
  readonly clock: Clock
  readonly invites: InviteBook
  /** Changes are few and come one after another, so that two cards of one version cannot both follow the head. */
  readonly inTurn: Serial
  readonly telemetry: Telemetry
  readonly accountsMax: number
  readonly cardsInMemoryMax: number
  readonly devicesPerAccountMax: number
  readonly cardBytesMax: number
  readonly cardsPerAccountMax: number
  readonly blocksPerAccountMax: number
  readonly addressHeldMs: number
}

export type PublishedCard =
  | { readonly ok: true; readonly card: ReadCard; readonly removed: readonly DeviceId[] }
  | { readonly ok: false; readonly code: RequestCode }

export interface Directory {
  /** The current card of an account, or `undefined` when there is no such account here. */
  head(address: Address): Promise<ReadCard | undefined>
  /** The same at once, if it is in memory. */
  headInMemory(address: Address): ReadCard | undefined
  /** Cards with a version above `since`, in ascending order, as many as fit. */
  cards(address: Address, since: number, bytesMax: number): Promise<{ readonly cards: readonly string[]; readonly more: boolean }>
  /** Statements of the devices on the current card, expired ones included. */
  statements(address: Address): Promise<readonly string[]>
  register(account: Registration): Promise<'registered' | 'known' | 'invite-refused' | 'address-taken' | 'registration-refused'>
  publishCard(jws: string, address: Address): Promise<PublishedCard>
  publishStatement(
    jws: string,
    from: { readonly address: Address; readonly device: DeviceId; readonly now: number },
  ): Promise<{ readonly ok: true; readonly n: number } | { readonly ok: false; readonly code: RequestCode }>
  /** Whether the account takes nothing from this sender. Known once `head` has resolved. */
  refuses(address: Address, from: Address): boolean
  /** Addresses and domains that the account has blocked. */
  blocked(address: Address): Promise<readonly string[]>
  /** Answers `false` when the list is full. */
  block(address: Address, blocked: string): Promise<boolean>
  unblock(address: Address, blocked: string): Promise<void>
  /** Accounts in the order of their addresses, those behind `after`. */
  list(options: { readonly after?: Address; readonly limit: number }): Promise<readonly Address[]>
  /** When the account was opened, in milliseconds; `undefined` where that was never written down. */
  registered(address: Address): Promise<number | undefined>
  /** Deletes everything of the account and holds its address. Answers the devices that its card named. */
  remove(address: Address): Promise<readonly DeviceId[] | undefined>
}

export type Registration = {
  readonly address: Address
  readonly device: DeviceId
  readonly card: ReadCard
  readonly statement: string
  /** Whether an invitation is needed. */
  readonly needsInvite: boolean
  readonly invite?: string | undefined
  readonly now: number
}

const countKey = 'relay/accounts'
// Each removal holds one address and looks at so many others: what is held no longer goes sooner than it gathers.
const heldLooks = 16

function removedDevices({ card }: ReadCard): readonly DeviceId[] {
  return card.devices.flatMap(({ id, removed }) => (removed === undefined ? [] : [id]))
}

export function createDirectory(options: DirectoryOptions): Directory {
  const { store, clock, invites, inTurn, telemetry, accountsMax, cardsInMemoryMax, devicesPerAccountMax } = options
  const heads = new Map<Address, Promise<ReadCard | undefined>>()
  // What those have resolved to.
  const inMemory = new Map<Address, ReadCard>()
  // Beside the cards in memory: only accounts that have blocked somebody.
  const blocks = new Map<Address, Set<string>>()
  let heldUpTo = heldRange.gt

  async function loadHead(address: Address): Promise<ReadCard | undefined> {
    const list = await loadBlocked(address)
    if (list.length > 0) blocks.set(address, new Set(list))
    for await (const [, value] of store.iterate({ ...cardRange(address), reverse: true, limit: 1 })) {
      const read = readCard(fromUtf8(value) ?? '')
      if (!read.ok) throw new RelayError('ERR_RELAY_STORE_CORRUPT', 'a card in the store is damaged')
      return read
    }
    return undefined
  }

  async function loadBlocked(address: Address): Promise<readonly string[]> {
    const prefix = blockKey(address, '')
    const list: string[] = []
    for await (const [key] of store.iterate({ gt: prefix, lt: `${prefix}~` })) list.push(key.slice(prefix.length))
    return list
  }

  function head(address: Address): Promise<ReadCard | undefined> {
    const known = heads.get(address)
    if (known !== undefined) return known
    const loading = loadHead(address)
    remember(address, loading)
    loading.then(
      // Whether an account is absent is asked anew each time: anybody can ask for any name.
      (card) => card === undefined && heads.delete(address),
      () => heads.delete(address),
    )
    return loading
  }

  function remember(address: Address, card: Promise<ReadCard | undefined>): void {
    heads.set(address, card)
    inMemory.delete(address)
    card.then(
      (read) => read !== undefined && heads.get(address) === card && inMemory.set(address, read),
      () => {},
    )
    for (const oldest of heads.keys()) {
      if (heads.size <= cardsInMemoryMax) break
      heads.delete(oldest)
      inMemory.delete(oldest)
      blocks.delete(oldest)
    }
  }

  async function accountCount(): Promise<number> {
    const value = await store.get(countKey)
    return value === undefined ? 0 : Number(fromUtf8(value))
  }

  /** Lets go of addresses that are held no longer, a few of them in turn. */
  async function letGo(): Promise<readonly StoreOp[]> {
    const ops: StoreOp[] = []
    let looked = 0
    for await (const [key, value] of store.iterate({ ...heldRange, gt: heldUpTo, limit: heldLooks })) {
      looked++
      heldUpTo = key
      if (clock.now() - Number(fromUtf8(value)) >= options.addressHeldMs) ops.push({ type: 'del', key })
    }
    if (looked < heldLooks) heldUpTo = heldRange.gt
    return ops
  }

  async function isHeld(address: Address): Promise<boolean> {
    const value = await store.get(heldKey(address))
    return value !== undefined && clock.now() - Number(fromUtf8(value)) < options.addressHeldMs
  }

  function hasTooManyDevices(count: number): boolean {
    if (count > devicesPerAccountMax) telemetry.count('relay.limit.devicesPerAccountMax')
    return count > devicesPerAccountMax
  }

  function over(limit: string, code: RequestCode): PublishedCard {
    telemetry.count(`relay.limit.${limit}`)
    return { ok: false, code }
  }

  async function register({ address, device, card, statement, needsInvite, invite, now }: Registration) {
    const current = await head(address)
    // The answer to an earlier attempt may have been lost.
    if (current !== undefined && current.hash === card.hash) return 'known' as const
    // Asked first: who was not invited does not learn which addresses are taken.
    const spent = needsInvite ? await invites.spend(invite) : undefined
    if (needsInvite && spent === undefined) return 'invite-refused' as const
    if (current !== undefined || (await isHeld(address))) return 'address-taken' as const
    if (card.card.address !== address || card.card.version !== 1) return 'registration-refused' as const
    const read = readStatement(statement, { card, now })
    if (!read.ok || read.statement.device !== device) return 'registration-refused' as const
    const count = await accountCount()
    if (count >= accountsMax) telemetry.count('relay.limit.accountsMax')
    const isCrowded = hasTooManyDevices(activeDevices(card.card).length)
    if (count >= accountsMax || isCrowded) return 'registration-refused' as const
    const ops: StoreOp[] = [
      { type: 'put', key: cardKey(address, 1), value: utf8(card.jws) },
      { type: 'put', key: statementKey(address, device), value: utf8(statement) },
      { type: 'put', key: aboutKey(address), value: utf8(JSON.stringify({ registered: now })) },
      { type: 'put', key: countKey, value: utf8(String(count + 1)) },
      { type: 'del', key: heldKey(address) },
      ...(spent === undefined ? [] : [spent]),
    ]
    await store.batch(ops, { durable: true })
    remember(address, Promise.resolve(card))
    return 'registered' as const
  }

  async function publishCard(jws: string, address: Address): Promise<PublishedCard> {
    const read = jws.length > options.cardBytesMax ? ({ ok: false, code: 'card-too-large' } as const) : readCard(jws)
    if (!read.ok && read.code === 'card-too-large') return over('cardBytesMax', 'card-too-large')
    if (!read.ok) return { ok: false, code: 'card-invalid' }
    const current = await head(address)
    if (current === undefined || read.card.address !== address) return { ok: false, code: 'forbidden' }
    // The first answer was lost, perhaps in a crash that kept the mail of those whom it removed.
    if (read.hash === current.hash) return { ok: true, card: current, removed: removedDevices(current) }
    if (read.card.version === current.card.version) return { ok: false, code: 'card-fork' }
    const problem = successorProblem(current, read)
    if (problem === 'card-rollback') return { ok: false, code: problem }
    // Another account key that the card before did not announce does not follow the head either.
    if (problem !== undefined) return { ok: false, code: 'card-chain-broken' }
    const active = new Set(activeDevices(read.card).map(({ id }) => id))
    if (hasTooManyDevices(active.size)) return { ok: false, code: 'too-many-devices' }
    // Versions follow one another from 1, so the number is the count.
    if (read.card.version > options.cardsPerAccountMax) return over('cardsPerAccountMax', 'too-many-cards')
    const removed = activeDevices(current.card).flatMap(({ id }) => (active.has(id) ? [] : [id]))
    const ops: StoreOp[] = [
      { type: 'put', key: cardKey(address, read.card.version), value: utf8(jws) },
      ...removed.map((id): StoreOp => ({ type: 'del', key: statementKey(address, id) })),
    ]
    await store.batch(ops, { durable: true })
    // If others have taken its place in memory meanwhile, it is loaded again together with what the account has blocked.
    if (heads.has(address)) remember(address, Promise.resolve(read))
    return { ok: true, card: read, removed }
  }

  async function remove(address: Address): Promise<readonly DeviceId[] | undefined> {
    const current = await head(address)
    if (current === undefined) return undefined
    const ops: StoreOp[] = [...(await letGo())]
    for await (const [key] of store.iterate(accountRange(address))) ops.push({ type: 'del', key })
    const count = await accountCount()
    ops.push(
      { type: 'put', key: heldKey(address), value: utf8(String(clock.now())) },
      { type: 'put', key: countKey, value: utf8(String(Math.max(0, count - 1))) },
    )
    await store.batch(ops, { durable: true })
    heads.delete(address)
    inMemory.delete(address)
    blocks.delete(address)
    return current.card.devices.map(({ id }) => id)
  }

  async function block(address: Address, blocked: string): Promise<boolean> {
    const list = await loadBlocked(address)
    if (!list.includes(blocked)) {
      if (list.length >= options.blocksPerAccountMax) {
        telemetry.count('relay.limit.blocksPerAccountMax')
        return false
      }
      await store.batch([{ type: 'put', key: blockKey(address, blocked), value: utf8('') }], { durable: true })
    }
    // What is being loaded just now may not have seen it.
    await heads.get(address)?.catch(() => {})
    if (heads.has(address)) blocks.set(address, new Set([...list, blocked]))
    return true
  }

  async function unblock(address: Address, blocked: string): Promise<void> {
    await store.batch([{ type: 'del', key: blockKey(address, blocked) }], { durable: true })
    blocks.get(address)?.delete(blocked)
  }

  return {
    head,
    headInMemory: (address) => inMemory.get(address),
    async cards(address, since, bytesMax) {
      const cards: string[] = []
      let bytes = 0
      for await (const [, value] of store.iterate({ ...cardRange(address), gt: cardKey(address, since) })) {
        bytes += value.length
        if (cards.length > 0 && bytes > bytesMax) return { cards, more: true }
        cards.push(fromUtf8(value) ?? '')
      }
      return { cards, more: false }
    },
    async statements(address) {
      const statements: string[] = []
      const prefix = statementKey(address, '')
      for await (const [, value] of store.iterate({ gt: prefix, lt: `${prefix}~` })) statements.push(fromUtf8(value) ?? '')
      return statements
    },
    register: (account) => inTurn(() => register(account)),
    publishCard: (jws, address) => inTurn(() => publishCard(jws, address)),
    publishStatement: (jws, { address, device, now }) =>
      inTurn(async () => {
        const card = await head(address)
        const read = card === undefined ? undefined : readStatement(jws, { card, now })
        if (card === undefined || read?.ok !== true || read.statement.device !== device)
          return { ok: false, code: 'statement-invalid' }
        const stored = await store.get(statementKey(address, device))
        const before = stored === undefined ? undefined : readStatement(fromUtf8(stored) ?? '', { card, now })
        if (before?.ok === true && before.statement.n > read.statement.n) return { ok: false, code: 'statement-invalid' }
        await store.batch([{ type: 'put', key: statementKey(address, device), value: utf8(jws) }], { durable: true })
        return { ok: true, n: read.statement.n }
      }),
    refuses(address, from) {
      const list = blocks.get(address)
      return list !== undefined && (list.has(from) || list.has(domainOf(from)))
    },
    blocked: loadBlocked,
    block: (address, blocked) => inTurn(() => block(address, blocked)),
    unblock: (address, blocked) => inTurn(() => unblock(address, blocked)),
    async list({ after, limit }) {
      const found: Address[] = []
      let gt: string = after === undefined ? accountsRange.gt : accountRange(after).lt
      while (found.length < limit) {
        let next: Address | undefined
        for await (const [key] of store.iterate({ gt, lt: accountsRange.lt, limit: 1 })) next = addressIn(key)
        if (next === undefined) break
        found.push(next)
        gt = accountRange(next).lt
      }
      return found
    },
    async registered(address) {
      const value = await store.get(aboutKey(address))
      const read = value === undefined ? undefined : parseJsonObject(fromUtf8(value) ?? '')
      return read?.ok === true && typeof read.value['registered'] === 'number' ? read.value['registered'] : undefined
    },
    remove: (address) => inTurn(() => remove(address)),
  }
}
