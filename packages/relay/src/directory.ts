/**
 * The directory: accounts of this domain with their chain of cards and their devices' key statements (design §2).
 * A card is taken only if it follows the head; everything is signed by those it speaks of, the relay adds nothing.
 * @module
 */
import { type Address, type DeviceId, fromUtf8, type Store, type StoreOp, sortable, utf8 } from '@parley/core'
import { activeDevices, type ReadCard, readCard, readStatement, successorProblem } from '@parley/identity'
import type { RequestCode } from '@parley/stream'
import { RelayError } from './errors.ts'

export type DirectoryOptions = {
  readonly store: Store
  readonly accountsMax: number
  readonly cardsInMemoryMax: number
}

export type PublishedCard =
  | { readonly ok: true; readonly card: ReadCard; readonly removed: readonly DeviceId[] }
  | { readonly ok: false; readonly code: RequestCode }

export interface Directory {
  /** The current card of an account, or `undefined` when there is no such account here. */
  head(address: Address): Promise<ReadCard | undefined>
  /** Cards with a version above `since`, in ascending order, as many as fit. */
  cards(address: Address, since: number, bytesMax: number): Promise<{ readonly cards: readonly string[]; readonly more: boolean }>
  /** Statements of the devices on the current card, expired ones included. */
  statements(address: Address): Promise<readonly string[]>
  register(account: Registration): Promise<'registered' | 'known' | 'address-taken' | 'registration-refused'>
  publishCard(jws: string, address: Address): Promise<PublishedCard>
  publishStatement(
    jws: string,
    from: { readonly address: Address; readonly device: DeviceId; readonly now: number },
  ): Promise<{ readonly ok: true; readonly n: number } | { readonly ok: false; readonly code: RequestCode }>
}

export type Registration = {
  readonly address: Address
  readonly device: DeviceId
  readonly card: ReadCard
  readonly statement: string
  readonly now: number
}

const countKey = 'relay/accounts'

export function createDirectory(options: DirectoryOptions): Directory {
  const { store, accountsMax, cardsInMemoryMax } = options
  const heads = new Map<Address, Promise<ReadCard | undefined>>()
  // Changes are few and come one after another, so that two cards of one version cannot both follow the head.
  let changes: Promise<unknown> = Promise.resolve()

  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = changes.then(change)
    changes = done.catch(() => undefined)
    return done
  }

  async function loadHead(address: Address): Promise<ReadCard | undefined> {
    for await (const [, value] of store.iterate({ ...cardRange(address), reverse: true, limit: 1 })) {
      const read = readCard(fromUtf8(value) ?? '')
      if (!read.ok) throw new RelayError('ERR_RELAY_STORE_CORRUPT', 'a card in the store is damaged')
      return read
    }
    return undefined
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
    for (const oldest of heads.keys()) {
      if (heads.size <= cardsInMemoryMax) break
      heads.delete(oldest)
    }
  }

  async function accountCount(): Promise<number> {
    const value = await store.get(countKey)
    return value === undefined ? 0 : Number(fromUtf8(value))
  }

  async function register({ address, device, card, statement, now }: Registration) {
    const current = await head(address)
    // The answer to an earlier attempt may have been lost.
    if (current !== undefined) return current.hash === card.hash ? ('known' as const) : ('address-taken' as const)
    if (card.card.address !== address || card.card.version !== 1) return 'registration-refused' as const
    const read = readStatement(statement, { card, now })
    if (!read.ok || read.statement.device !== device) return 'registration-refused' as const
    const count = await accountCount()
    if (count >= accountsMax) return 'registration-refused' as const
    const ops: StoreOp[] = [
      { type: 'put', key: cardKey(address, 1), value: utf8(card.jws) },
      { type: 'put', key: statementKey(address, device), value: utf8(statement) },
      { type: 'put', key: countKey, value: utf8(String(count + 1)) },
    ]
    await store.batch(ops, { durable: true })
    remember(address, Promise.resolve(card))
    return 'registered' as const
  }

  async function publishCard(jws: string, address: Address): Promise<PublishedCard> {
    const read = readCard(jws)
    if (!read.ok) return { ok: false, code: read.code === 'card-too-large' ? 'card-too-large' : 'card-invalid' }
    const current = await head(address)
    if (current === undefined || read.card.address !== address) return { ok: false, code: 'forbidden' }
    if (read.hash === current.hash) return { ok: true, card: current, removed: [] }
    if (read.card.version === current.card.version) return { ok: false, code: 'card-fork' }
    const problem = successorProblem(current, read)
    if (problem === 'card-rollback') return { ok: false, code: problem }
    // Another account key that the card before did not announce does not follow the head either.
    if (problem !== undefined) return { ok: false, code: 'card-chain-broken' }
    const active = new Set(activeDevices(read.card).map(({ id }) => id))
    const removed = activeDevices(current.card).flatMap(({ id }) => (active.has(id) ? [] : [id]))
    const ops: StoreOp[] = [
      { type: 'put', key: cardKey(address, read.card.version), value: utf8(jws) },
      ...removed.map((id): StoreOp => ({ type: 'del', key: statementKey(address, id) })),
    ]
    await store.batch(ops, { durable: true })
    remember(address, Promise.resolve(read))
    return { ok: true, card: read, removed }
  }

  return {
    head,
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
  }
}

// An address holds no space, and a space sorts before every character of one.
function cardKey(address: Address, version: number): string {
  return `account/${address} card/${sortable(version)}`
}

function cardRange(address: Address): { gt: string; lt: string } {
  return { gt: `account/${address} card/`, lt: `account/${address} card/~` }
}

function statementKey(address: Address, device: DeviceId | ''): string {
  return `account/${address} statement/${device}`
}
