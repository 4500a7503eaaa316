/**
 * Contact links: `im:bob@b.example?k=…` (RFC 3860 with a header field), `k` the thumbprint of the account key, so that
 * first contact needs no trust in a relay.
 * @module
 */
import { type Address, fromImUri, toImUri } from '@parley/core'
import { IdentityError } from './errors.ts'
import { isThumbprint } from './json.ts'

export type ContactLink = {
  readonly address: Address
  /** Thumbprint of the account key; absent in a link that only names the address. */
  readonly account?: string
}

export function formatContactLink(link: ContactLink): string {
  return link.account === undefined ? toImUri(link.address) : `${toImUri(link.address)}?k=${link.account}`
}

/** Reads a link as people paste it; throws `ERR_IDENTITY_LINK_MALFORMED`. */
export function parseContactLink(text: string): ContactLink {
  const [uri = '', query, ...more] = text.trim().split('?')
  const address = fromImUri(uri)
  const account = query?.startsWith('k=') === true ? query.slice(2) : undefined
  if (address === undefined || more.length > 0 || (query !== undefined && !isThumbprint(account))) {
    throw new IdentityError('ERR_IDENTITY_LINK_MALFORMED', 'a contact link has the form im:local@domain?k=THUMBPRINT')
  }
  return account === undefined ? { address } : { address, account }
}
