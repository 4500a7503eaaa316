/**
 * Who may come in: a device on its account's current card, or one that opens an account where that is allowed. Decided before anything
 * else is done for a connection.
 * @module
 */
import { type CardDevice, deviceOn, type ReadCard, readCard } from '@parley/identity'
import { type Key, readKey } from '@parley/jose'
import type { Login, Registering, StreamCode } from '@parley/stream'
import type { RelayContext } from './context.ts'

/** Who may open an account: anybody, who has an invitation, or nobody. */
export type RegistrationMode = 'open' | 'invite' | 'closed'

/** The device's key and how its account stands, or why it is not let in and in how many milliseconds it may come again. */
export type Decision =
  | { readonly key: Key; readonly account: 'known' | 'registered' }
  | { readonly refused: StreamCode; readonly wait?: number }

/** A login as it came. */
export type Applicant = {
  readonly login: Login
  /** What it opens an account with, where it wants to. */
  readonly offered: Registering | undefined
  /** The network address it comes from. */
  readonly peer: string
  /** Whether the login was signed with this key, for this socket. Signature work happens here. */
  proves(key: Key): boolean
}

export interface Admission {
  decide(applicant: Applicant): Promise<Decision>
}

export function createAdmission(context: RelayContext, parts: { registration(): RegistrationMode }): Admission {
  const { clock, directory, gate, telemetry } = context

  async function decide({ login, proves }: Applicant): Promise<Decision> {
    const card = await directory.head(login.address)
    const found = card === undefined ? undefined : deviceOn(card.card, login.device)
    const key = found === undefined ? undefined : keyOf(found.device)
    if (found === undefined || key === undefined || !proves(key)) return { refused: 'login-refused' }
    return found.status === 'active' ? { key, account: 'known' } : { refused: 'device-removed' }
  }

  async function decideRegistration({ login, peer, proves }: Applicant, offered: Registering): Promise<Decision> {
    const mode = parts.registration()
    if (mode === 'closed') return { refused: 'registration-closed' }
    const wait = gate.registration(peer)
    if (wait > 0) return { refused: 'rate-limited', wait }
    const read = readCard(offered.card)
    const key = read.ok ? activeKey(read.card, login) : undefined
    if (!read.ok || key === undefined || !proves(key)) return { refused: 'registration-refused' }
    const { address, device } = login
    const outcome = await directory.register({
      address,
      device,
      card: read,
      statement: offered.statement,
      needsInvite: mode === 'invite',
      invite: offered.invite,
      now: clock.now(),
    })
    return outcome === 'known' || outcome === 'registered' ? { key, account: outcome } : { refused: outcome }
  }

  return {
    async decide(applicant) {
      const { login, offered, peer } = applicant
      const decision = await (offered === undefined ? decide(applicant) : decideRegistration(applicant, offered))
      const who = { account: login.address, from: peer }
      if ('refused' in decision) telemetry.event('relay.login.refused', { ...who, code: decision.refused })
      else if (decision.account === 'registered') telemetry.event('relay.account.opened', who)
      return decision
    },
  }
}

function activeKey(card: ReadCard['card'], { device }: Login): Key | undefined {
  const found = deviceOn(card, device)
  return found?.status === 'active' ? keyOf(found.device) : undefined
}

function keyOf(device: CardDevice): Key | undefined {
  const result = readKey(device.signingKey)
  return result.ok ? result.key : undefined
}
