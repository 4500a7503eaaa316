/**
 * The keys of an account's rows in the relay's store. An address holds no space, and a space sorts before every character of
 * one, so the rows of an account stand together.
 * @module
 */
import { type Address, type DeviceId, sortable } from '@parley/core'

const prefix = 'account/'

export type Range = { readonly gt: string; readonly lt: string }

/** Every row of every account. */
export const accountsRange: Range = { gt: prefix, lt: `${prefix}~` }

/** The address in the key of an account's row. */
export function addressIn(key: string): Address {
  // Only this file makes such keys, out of addresses.
  return key.slice(prefix.length, key.indexOf(' ')) as Address
}

export function accountRange(address: Address): Range {
  return { gt: `${prefix}${address} `, lt: `${prefix}${address} ~` }
}

/** When the account was opened. */
export function aboutKey(address: Address): string {
  return `${prefix}${address} about`
}

export function cardKey(address: Address, version: number): string {
  return `${prefix}${address} card/${sortable(version)}`
}

export function cardRange(address: Address): Range {
  return { gt: `${prefix}${address} card/`, lt: `${prefix}${address} card/~` }
}

export function statementKey(address: Address, device: DeviceId | ''): string {
  return `${prefix}${address} statement/${device}`
}

/** Whom the account has blocked: an address or a domain. */
export function blockKey(address: Address, blocked: string): string {
  return `${prefix}${address} block/${blocked}`
}

/** Every row of an account that was removed. */
export const heldRange: Range = { gt: 'held/', lt: 'held/~' }

/** What remains of an account that was removed: since when its address is held. */
export function heldKey(address: Address): string {
  return `held/${address}`
}
