/**
 * Invitations to open an account here: a secret token with an end and a number of uses (design §5, registration by invite).
 * The store holds only the token's hash, so neither a backup nor an operator who lists them can use one.
 * @module
 */
import {
  base64url,
  type Clock,
  fromUtf8,
  type JsonObject,
  parseJsonObject,
  type Random,
  type Store,
  type StoreOp,
  type Telemetry,
  utf8,
} from '@parley/core'
import { sha256 } from '@parley/jose'
import { RelayError } from './errors.ts'
import type { Serial } from './serial.ts'

/** An invitation that may still be used. */
export type Invite = {
  /** Names it to those who run the relay; it cannot be used. */
  readonly id: string
  /** Milliseconds since 1970. */
  readonly created: number
  /** From then on it is refused; milliseconds since 1970. */
  readonly expiry: number
  /** Accounts that may still be opened with it. */
  readonly uses: number
}

/** What an invitation is to be. */
export type NewInvite = {
  /** How long it is good for, in milliseconds. A week unless said otherwise. */
  readonly lifetimeMs?: number
  /** How many accounts may be opened with it; one unless said otherwise. */
  readonly uses?: number
}

/** The invitations of a relay. */
export interface Invites {
  /**
   * Makes one. The token is in the answer and nowhere else. Throws a `RangeError` for what is no positive whole number; rejects with
   * `ERR_RELAY_INVITES_FULL` when `invitesMax` are open.
   */
  create(invite?: NewInvite): Promise<Invite & { readonly token: string }>
  /** Those that may still be used, in no particular order. */
  list(): Promise<readonly Invite[]>
  /** Ends it; answers whether there was an open one of this id. Accounts that were opened with it stay. */
  revoke(id: string): Promise<boolean>
}

/** The invitations as the directory uses them. */
export type InviteBook = Invites & {
  /** What takes one use off the invitation of this token, or `undefined` when it is none that is good now. */
  spend(token: string | undefined): Promise<StoreOp | undefined>
}

const prefix = 'invite/'
const weekMs = 7 * 86_400_000
const tokenBytes = 18
const tokenForm = /^[A-Za-z0-9_-]{24}$/

export function createInvites(options: {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  readonly invitesMax: number
  /** What changes accounts and invitations goes through here, so that none is used while it is revoked. */
  readonly inTurn: Serial
}): InviteBook {
  const { store, clock, random, telemetry, invitesMax, inTurn } = options

  async function load(id: string): Promise<Invite | undefined> {
    const value = await store.get(prefix + id)
    const invite = value === undefined ? undefined : decode(id, value)
    return invite !== undefined && invite.expiry > clock.now() && invite.uses > 0 ? invite : undefined
  }

  async function list(): Promise<readonly Invite[]> {
    const good: Invite[] = []
    const ended: StoreOp[] = []
    for await (const [key, value] of store.iterate({ gt: prefix, lt: `${prefix}~` })) {
      const invite = decode(key.slice(prefix.length), value)
      if (invite.expiry > clock.now()) good.push(invite)
      else ended.push({ type: 'del', key })
    }
    if (ended.length > 0) await store.batch(ended, { durable: false })
    return good
  }

  async function create({ lifetimeMs = weekMs, uses = 1 }: NewInvite): Promise<Invite & { readonly token: string }> {
    if ((await list()).length >= invitesMax) {
      telemetry.count('relay.limit.invitesMax')
      throw new RelayError('ERR_RELAY_INVITES_FULL', 'there are too many open invitations; revoke some, or wait for their end')
    }
    const token = base64url(random.bytes(tokenBytes))
    const created = clock.now()
    const invite: Invite = { id: idOf(token), created, expiry: created + lifetimeMs, uses }
    await store.batch([put(invite)], { durable: true })
    return { ...invite, token }
  }

  async function revoke(id: string): Promise<boolean> {
    const found = (await load(id)) !== undefined
    if (found) await store.batch([{ type: 'del', key: prefix + id }], { durable: true })
    return found
  }

  return {
    create(invite = {}) {
      for (const value of [invite.lifetimeMs ?? 1, invite.uses ?? 1])
        if (!Number.isSafeInteger(value) || value < 1) throw new RangeError('lifetimeMs and uses must be positive whole numbers')
      return inTurn(() => create(invite))
    },
    list: () => inTurn(list),
    revoke: (id) => inTurn(() => revoke(id)),
    async spend(token) {
      if (token === undefined || !tokenForm.test(token)) return undefined
      const invite = await load(idOf(token))
      if (invite === undefined) return undefined
      return invite.uses === 1 ? { type: 'del', key: prefix + invite.id } : put({ ...invite, uses: invite.uses - 1 })
    },
  }
}

// 96 bits of the hash of a 144 bit token: enough to tell them apart, and no help to find one.
function idOf(token: string): string {
  return base64url(sha256(utf8(`parley/invite/1 ${token}`)).subarray(0, 12))
}

function put({ id, ...rest }: Invite): StoreOp {
  return { type: 'put', key: prefix + id, value: utf8(JSON.stringify(rest)) }
}

function decode(id: string, value: Uint8Array): Invite {
  const read = parseJsonObject(fromUtf8(value) ?? '')
  const { created, expiry, uses } = (read.ok ? read.value : {}) as JsonObject
  if (typeof created !== 'number' || typeof expiry !== 'number' || typeof uses !== 'number')
    throw new RelayError('ERR_RELAY_STORE_CORRUPT', 'an invitation in the store is damaged')
  return { id, created, expiry, uses }
}
