/**
 * `parley init`'s invitation, `parley account` and `parley block`: what one asks of the relay that one has an account on.
 * @module
 */
import { discardProfile } from '@parley/agent/node'
import { domainOf, parseAddress } from '@parley/core'
import { parseInviteLink } from '@parley/identity'
import { CommandFailed, exitCodes } from './exit.ts'
import { homeOf, interruption, open, relayUrl, untilReady } from './profile.ts'
import { visible } from './show.ts'

type Home = { readonly home?: string | undefined }
type Print = (line: string) => void

/** What an account is made of: an invitation link may name the domain and its relay. */
export function newAccount(
  address: string,
  { relay, invite }: { readonly relay?: string | undefined; readonly invite?: string | undefined },
): { readonly address: string; readonly relay: string; readonly invite?: string } {
  const link = invite?.includes(':') === true ? parseInviteLink(invite) : undefined
  const whole = link !== undefined && !address.includes('@') ? `${address}@${link.domain}` : address
  const domain = domainOf(parseAddress(whole))
  if (link !== undefined && link.domain !== domain)
    throw new CommandFailed(exitCodes.usage, `the invitation is to ${link.domain}, not to ${domain}`)
  const token = link?.token ?? invite
  const url = relayUrl(relay ?? link?.relay ?? `wss://${domain}`)
  return { address: whole, relay: url, ...(token === undefined ? {} : { invite: token }) }
}

/** Closes the account on its relay and deletes the profile here. */
export async function removeAccount(
  options: Home & { readonly confirm?: string | undefined; readonly timeout: number },
  print: Print,
): Promise<void> {
  const home = homeOf(options)
  const agent = await open({ home })
  try {
    if (options.confirm !== agent.address)
      throw new CommandFailed(exitCodes.usage, `this cannot be undone; repeat the address: --confirm ${agent.address}`)
    const signal = interruption(options.timeout)
    await untilReady(agent, signal)
    await agent.removeAccount({ signal })
  } finally {
    await agent.close()
  }
  await discardProfile({ home, removed: true })
  print(`${agent.address}  removed`)
}

/** `parley block`: without anybody to block it lists those who are. */
export async function block(
  from: string | undefined,
  options: Home & { readonly remove?: boolean | undefined; readonly timeout: number },
  print: Print,
): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    const signal = interruption(options.timeout)
    await untilReady(agent, signal)
    if (from === undefined) {
      for (const each of await agent.blocked({ signal })) print(visible(each))
      return
    }
    await (options.remove === true ? agent.unblock(from, { signal }) : agent.block(from, { signal }))
    print(`${visible(from)}  ${options.remove === true ? 'no longer blocked' : 'blocked'}`)
  } finally {
    await agent.close()
  }
}
