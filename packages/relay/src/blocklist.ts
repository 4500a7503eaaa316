/**
 * The relay's own block list: addresses and domains from which nobody here takes anything. What an account has blocked for
 * itself is in the directory.
 * @module
 */
import { type Address, type Domain, domainOf, type Store, toAddress, toDomain, utf8 } from '@parley/core'

/** Whom nobody here hears. */
export interface Blocklist {
  /** Addresses and domains, in no particular order. */
  list(): readonly string[]
  /** Takes an address or a domain; rejects with a `TypeError` for anything else. Takes effect at once. */
  add(blocked: string): Promise<void>
  /** Answers whether it was on the list. */
  remove(blocked: string): Promise<boolean>
  /** Whether the address or its domain is on the list. */
  has(from: Address): boolean
  /** Whether the whole domain is. */
  hasDomain(domain: Domain): boolean
}

const prefix = 'block/'

export async function openBlocklist({ store }: { readonly store: Store }): Promise<Blocklist> {
  const blocked = new Set<string>()
  for await (const [key] of store.iterate({ gt: prefix, lt: `${prefix}~` })) blocked.add(key.slice(prefix.length))
  return {
    list: () => [...blocked],
    async add(text) {
      const name = readBlocked(text)
      if (name === undefined) throw new TypeError('neither an address nor a domain')
      await store.batch([{ type: 'put', key: prefix + name, value: utf8('') }], { durable: true })
      blocked.add(name)
    },
    async remove(text) {
      const name = readBlocked(text)
      if (name === undefined || !blocked.has(name)) return false
      await store.batch([{ type: 'del', key: prefix + name }], { durable: true })
      return blocked.delete(name)
    },
    has: (from) => blocked.size > 0 && (blocked.has(from) || blocked.has(domainOf(from))),
    hasDomain: (domain) => blocked.has(domain),
  }
}

/** An address or a domain as it stands on a block list. */
export function readBlocked(text: unknown): Address | Domain | undefined {
  if (typeof text !== 'string') return undefined
  return text.includes('@') ? toAddress(text) : toDomain(text)
}
