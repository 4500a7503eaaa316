/**
 * Invitation links: `parley:a.example?invite=TOKEN&relay=wss%3A%2F%2F…`, by which somebody opens an account on a relay that takes
 * nobody without an invitation. Who holds the link can use it; it is no secret of anybody's account.
 * @module
 */
import { type Domain, toDomain } from '@parley/core'
import { IdentityError } from './errors.ts'

/** What an invitation link says. */
export type InviteLink = {
  readonly domain: Domain
  readonly token: string
  /** `wss://…` of the domain's relay, or `ws://…` on loopback; absent where it is `wss://` and the domain. */
  readonly relay?: string
}

const scheme = 'parley:'
const tokenForm = /^[A-Za-z0-9_-]{16,64}$/

/** The link as people pass it on. Nothing is checked: the parts come from the relay that made the invitation. */
export function formatInviteLink({ domain, token, relay }: InviteLink): string {
  return `${scheme}${domain}?invite=${token}${relay === undefined ? '' : `&relay=${encodeURIComponent(relay)}`}`
}

/** Reads a link as people paste it, white space around it left out; throws `ERR_IDENTITY_LINK_MALFORMED`. */
export function parseInviteLink(text: string): InviteLink {
  const [head = '', query = '', ...more] = text.trim().split('?')
  const domain = head.startsWith(scheme) ? toDomain(head.slice(scheme.length)) : undefined
  const token = /^invite=([^&]*)/.exec(query)?.[1] ?? ''
  const relay = /&relay=([^&]*)$/.exec(query)?.[1]
  const url = relay === undefined ? undefined : decoded(relay)
  if (domain === undefined || more.length > 0 || !tokenForm.test(token) || (relay !== undefined && !/^wss?:\/\//.test(url ?? '')))
    throw new IdentityError('ERR_IDENTITY_LINK_MALFORMED', 'an invitation link has the form parley:domain?invite=TOKEN&relay=URL')
  return { domain, token, ...(url === undefined ? {} : { relay: url }) }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
