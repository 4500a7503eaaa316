/**
 * Static routes: where another domain's relay listens, and optionally which key it must have. A domain without one may be found
 * under its own name (RFC 8615).
 * @module
 */
import { type Domain, toDomain } from '@parley/core'
import { domainKeysPath } from '@parley/identity'
import { RelayError } from './errors.ts'

/** The operator's word on where a domain's relay is. */
export type Route = {
  readonly domain: Domain
  /** `ws://host:port` or `wss://…` of its relay. */
  readonly url: string
  /** Thumbprint of its key; without one the key is fetched from the route's own host and port. */
  readonly key?: string
}

/** How another domain is reached: by a route, or without one as the domain itself has published. */
export type Way = Pick<Route, 'domain' | 'key'> & { readonly url?: string }

const form = /^([^=\s]+)=(wss?:\/\/[^\s,/]+(?:\/[^\s,]*)?)(?:,key=([A-Za-z0-9_-]{43}))?$/

/** Reads `b.example=wss://relay.b.example[,key=THUMBPRINT]`; throws `ERR_RELAY_ROUTE_MALFORMED`. */
export function parseRoute(text: string): Route {
  const [, name = '', url = '', key] = form.exec(text) ?? []
  const domain = toDomain(name)
  if (domain === undefined) {
    throw new RelayError(
      'ERR_RELAY_ROUTE_MALFORMED',
      'a route has the form domain=ws://host:port or domain=wss://host:port, optionally followed by ,key=THUMBPRINT',
    )
  }
  return { domain, url: url.replace(/\/+$/, ''), ...(key === undefined ? {} : { key }) }
}

/** Where the other relay's keys are published: on the route's own host and port, or at the domain itself. */
export function keysUrl(way: Way): string {
  if (way.url === undefined) return `https://${way.domain}${domainKeysPath}`
  return `${way.url.replace(/^ws/, 'http').replace(/^(https?:\/\/[^/]+).*$/, '$1')}${domainKeysPath}`
}
