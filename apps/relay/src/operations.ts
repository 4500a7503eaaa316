/**
 * What an operator can ask of a relay, running or not: the same functions answer over the control socket, and on a store that no relay has
 * open. Arguments come from a command or from whoever opened the socket, so they are looked at here.
 * @module
 */
import { type Json, type JsonObject, type Store, toAddress, toDomain } from '@parley/core'
import { formatInviteLink } from '@parley/identity'
import { checkStore, type Relay } from '@parley/relay'
import { ProgramError } from './program-error.ts'
import { backUp } from './store/backup.ts'

/** What the operations work on. */
export type Parts = {
  readonly store: Store
  readonly relay: Relay
  /** Where invitations send people, if not to `wss://` and the domain. */
  readonly url: string | undefined
  /** The configuration file, which a backup takes along. */
  readonly configFile: string | undefined
  now(): number
  /** Tells the log who did what. */
  note(what: string, on?: string): void
}

type Operation = (parts: Parts, given: JsonObject) => Promise<Json>

/** By name; a running relay has `status`, `reload` and `doctor` beside them. */
export const operations: Readonly<Record<string, Operation>> = {
  'account.list': async ({ relay }, given) => {
    const after = optional(given, 'after', toAddress)
    const limit = optional(given, 'limit', positive) ?? 100
    return plain(await relay.accounts.list({ ...(after === undefined ? {} : { after }), limit }))
  },
  'account.show': async ({ relay }, given) => {
    const account = await relay.accounts.get(needed(given, 'address', toAddress))
    if (account === undefined) throw noAccount()
    return plain(account)
  },
  'account.remove': async ({ relay, note }, given) => {
    const address = needed(given, 'address', toAddress)
    if (!(await relay.accounts.remove(address))) throw noAccount()
    note('account removed', address)
    return { removed: address }
  },
  'invite.create': async ({ relay, url, note }, given) => {
    const lifetimeMs = optional(given, 'lifetimeMs', positive)
    const uses = optional(given, 'uses', positive)
    const made = await relay.invites.create({
      ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
      ...(uses === undefined ? {} : { uses }),
    })
    note('invitation made', made.id)
    const link = formatInviteLink({ domain: relay.domain, token: made.token, ...(url === undefined ? {} : { relay: url }) })
    return plain({ ...made, link })
  },
  'invite.list': async ({ relay }) => plain(await relay.invites.list()),
  'invite.revoke': async ({ relay, note }, given) => {
    const id = needed(given, 'id', text)
    if (!(await relay.invites.revoke(id))) throw new ProgramError('not-found', 'there is no open invitation of this id')
    note('invitation revoked', id)
    return { revoked: id }
  },
  'block.list': async ({ relay }) => plain(relay.blocklist.list()),
  'block.add': async ({ relay, note }, given) => {
    const name = needed(given, 'name', text)
    await relay.blocklist.add(name).catch((error: unknown) => {
      throw error instanceof TypeError ? new ProgramError('usage', 'name: neither an address nor a domain') : error
    })
    note('blocked', name)
    return { blocked: name }
  },
  'block.remove': async ({ relay, note }, given) => {
    const name = needed(given, 'name', text)
    if (!(await relay.blocklist.remove(name))) throw new ProgramError('not-found', 'it is not on the block list')
    note('unblocked', name)
    return { unblocked: name }
  },
  'queue.list': async ({ relay }) => plain(await relay.queues.list()),
  'queue.retry': async ({ relay, note }, given) => {
    const domain = needed(given, 'domain', toDomain)
    if (!relay.queues.retry(domain)) throw noDomain()
    note('queue tried again', domain)
    return { retried: domain }
  },
  'queue.drop': async ({ relay, note }, given) => {
    const domain = needed(given, 'domain', toDomain)
    const dropped = await relay.queues.drop(domain)
    note('queue dropped', domain)
    return { domain, dropped }
  },
  'key.change': async ({ relay, note }) => {
    const key = await relay.changeKey()
    note('key changed')
    return { key }
  },
  backup: async ({ store, configFile, now, note }, given) => {
    const folder = needed(given, 'folder', text)
    const made = await backUp(store, { folder, configFile, now: now() })
    note('backed up')
    return plain(made)
  },
  doctor: async ({ store, now }) => {
    const { findings, ...sums } = await checkStore(store, { now: now() })
    // What would be written is for whoever repairs, and nobody repairs the store of a relay that runs.
    const told = findings.map(({ row, problem, repair }) => ({
      row,
      problem,
      ...(repair === undefined ? {} : { repair: { says: repair.says } }),
    }))
    return plain({ ...sums, findings: told })
  },
}

/** Reads a member that must be there. */
function needed<T>(given: JsonObject, name: string, read: (value: string) => T | undefined): T {
  const value = optional(given, name, read)
  if (value === undefined) throw new ProgramError('usage', `${name}: is needed`)
  return value
}

function optional<T>(given: JsonObject, name: string, read: (value: string) => T | undefined): T | undefined {
  const value = given[name]
  if (value === undefined || value === null) return undefined
  const found = typeof value === 'string' || typeof value === 'number' ? read(String(value)) : undefined
  if (found === undefined) throw new ProgramError('usage', `${name}: cannot be ${JSON.stringify(value).slice(0, 80)}`)
  return found
}

function text(value: string): string | undefined {
  return value === '' ? undefined : value
}

function positive(value: string): number | undefined {
  return /^[1-9]\d{0,15}$/.test(value) ? Number(value) : undefined
}

function noAccount(): ProgramError {
  return new ProgramError('not-found', 'there is no account of this address here')
}

function noDomain(): ProgramError {
  return new ProgramError('not-found', 'this relay has nothing to do with that domain')
}

// What has been made of plain data here is JSON; absent members stay absent.
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}
