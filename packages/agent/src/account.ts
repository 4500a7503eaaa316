/**
 * What an account asks of its own relay: to keep somebody's messages out, and to be closed for good.
 * @module
 */
import { type Address, domainOf, type JsonObject } from '@parley/core'
import { importKey } from '@parley/jose'
import { retire } from '@parley/session'
import { signAccountRemoval } from '@parley/stream'
import type { Commit } from './commit.ts'
import { AgentError } from './errors.ts'
import { abortable } from './retry.ts'
import type { Self } from './self.ts'
import type { State, Tx } from './state.ts'

type Cancel = { readonly signal?: AbortSignal }

/** The calls of an agent that are about its account on its relay. */
export interface Account {
  /**
   * From now on the relay takes nothing for this account from the address or domain; its sender is told so. What is sent there
   * afterwards all the same is under a new session key.
   */
  block(from: string, options?: Cancel): Promise<void>
  /** Hears the address or domain again. */
  unblock(from: string, options?: Cancel): Promise<void>
  /** Addresses and domains that are blocked, as the relay has them. */
  blocked(options?: Cancel): Promise<readonly string[]>
  /** Deletes the account on the relay, with its cards and everything that waits there; admin devices only. Nobody can undo it. */
  removeAccount(options?: Cancel): Promise<void>
}

export function createAccountCalls(parts: {
  readonly self: Self
  readonly state: State
  readonly commit: Commit
  request(what: string, value: JsonObject): Promise<JsonObject>
  /** Whether the relay has ended the connection because the account is gone. */
  isRemoved(): boolean
}): Account {
  const { self, state, commit, request } = parts
  const name = (from: string): string => (from.startsWith('im:') ? from.slice(3) : from).toLowerCase()

  return {
    async block(from, { signal } = {}) {
      const done = request('block', { from: name(from) }).then(() => commit((tx) => retireSessions(tx, name(from))))
      await abortable(done, signal)
    },
    unblock: (from, { signal } = {}) => abortable(request('unblock', { from: name(from) }), signal).then(() => undefined),
    async blocked({ signal } = {}) {
      const { blocked } = await abortable(request('blocklist', {}), signal)
      return Array.isArray(blocked) ? blocked.filter((each) => typeof each === 'string') : []
    },
    async removeAccount({ signal } = {}) {
      const key = state.get('key', 'account')
      if (key === undefined) throw new AgentError('ERR_AGENT_NOT_ADMIN', 'this device does not hold the account key')
      // By the relay's own clock: this device's may be wrong, and the wish is good for a minute only.
      const { time } = await abortable(request('status', {}), signal)
      if (typeof time !== 'number') throw new AgentError('ERR_AGENT_REQUEST_REFUSED', 'the relay did not tell its time')
      const proof = signAccountRemoval(self.address, { accountKey: importKey(key.jwk), now: time })
      // The relay ends the connection together with the account; an answer comes only when it refuses.
      const done = request('remove-account', { proof }).catch((error: unknown) => {
        if (!parts.isRemoved()) throw error
      })
      await abortable(done, signal)
    },
  }
}

// The session keys in use stand under their peer's address.
function retireSessions(tx: Tx, from: string): void {
  for (const [key, session] of tx.rows('own')) {
    const { conversation } = session
    if (key === conversation && (key === from || domainOf(key as Address) === from)) tx.put('own', key, retire(session, tx.now))
  }
}
