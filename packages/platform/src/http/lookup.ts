/**
 * Looking up host names under guard: the addresses are put to the caller before a connection is made, and the connection goes to
 * those very addresses, so that a name cannot mean something else a moment later.
 * @module
 */
import { lookup as resolve } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'

/** Whether a connection to this address may be made. */
export type AllowAddress = (address: string) => boolean

/** The address in a URL whose host is none that is looked up. */
export function literalAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 0 ? undefined : host
}

export function guardedLookup(allowAddress: AllowAddress): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 4)
      const allowed = addresses.filter(({ address }) => allowAddress(address))
      const [first] = allowed
      if (first === undefined) return callback(Object.assign(new Error('no allowed address'), { code: 'ENOTFOUND' }), '', 4)
      if (lookupOptions.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
