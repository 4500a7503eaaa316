/**
 * The agent in a browser: IndexedDB, the browser's WebSocket, clock and randomness.
 * @module
 */
import { CoreError, parseAddress, type Transport } from '@parley/core'
import { openLevelStore } from '@parley/platform/level'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { type Agent, type AgentOptions, createAgent } from '../agent.ts'
import { AgentError } from '../errors.ts'
import { hasProfile, makeAccount } from '../set-up.ts'

/** Where the profile is, its store keys, and what is spoken. */
export type OpenBrowserAgentOptions = Pick<AgentOptions, 'protocols' | 'storeKeys' | 'telemetry' | 'limits'> & {
  /** Name of the database. */
  readonly name: string
  readonly address?: string
  readonly relay?: string
  /** The token of an invitation, for a relay that takes nobody without one. */
  readonly invite?: string
  /** Called once, when an account is made: show it to the person, it is stored nowhere. */
  readonly onRecoveryKey?: (recoveryKey: string) => void
}

const transport: Transport = {
  dial: dialWebSocket,
  listen: () => Promise.reject(new CoreError('ERR_CORE_LISTEN_FAILED', 'a browser cannot listen')),
  request: () => Promise.reject(new CoreError('ERR_CORE_REQUEST_FAILED', 'a browser asks its relay')),
}

/** Opens the agent of a database; with `address` and `relay` makes the account first if there is none. */
export async function openAgent(options: OpenBrowserAgentOptions): Promise<Agent> {
  const { name, address, relay, invite, onRecoveryKey, ...rest } = options
  const store = await openLevelStore(name)
  try {
    const parts = { store, clock: systemClock, random: systemRandom, transport, ...rest }
    if (!(await hasProfile(store))) {
      if (address === undefined || relay === undefined)
        throw new AgentError('ERR_AGENT_PROFILE_ABSENT', 'there is no profile in this database')
      const { recoveryKey } = await makeAccount({
        ...parts,
        address: parseAddress(address),
        relayUrl: relay,
        ...(invite === undefined ? {} : { invite }),
      })
      onRecoveryKey?.(recoveryKey)
    }
    return await createAgent(parts)
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
}
