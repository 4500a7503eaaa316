/**
 * What a login brings: the relay's word on who this device is to it, which may show that the store is an old copy of itself; and
 * waiting for the relay to let this device in.
 * @module
 */
import type { Address, Random } from '@parley/core'
import type { Welcome } from '@parley/stream'
import type { ConnectionStatus } from './connection.ts'
import { renumber } from './counters.ts'
import { AgentError } from './errors.ts'
import { newInc } from './profile.ts'
import type { Self } from './self.ts'
import type { Tx } from './state.ts'

/** Notes in this step that the relay let this device in. */
export function noteWelcome(
  tx: Tx,
  { welcome, relayKey }: { readonly welcome: Welcome; readonly relayKey: string },
  parts: { readonly self: Self; readonly random: Random; report(code: string, from: Address): void },
): void {
  const { self, random, report } = parts
  const { invite: _spent, ...profile } = self.profile()
  const mark = tx.get('position', 'relay') ?? { epoch: welcome.epoch, n: 0 }
  // The relay saw more than this store remembers: it is an old copy, whose numbers were used already.
  const isOld = mark.epoch === welcome.epoch && welcome.position > mark.n
  if (isOld) renumber(tx)
  if (welcome.cloned) tx.after(() => report('device-cloned', self.address))
  const statement =
    profile.statement === undefined
      ? {}
      : { statement: profile.registered ? profile.statement : { ...profile.statement, published: true } }
  tx.put('self', 'profile', {
    ...profile,
    ...statement,
    relayKey,
    registered: true,
    ...(isOld ? { inc: newInc(random) } : {}),
  })
}

/** Resolves when the relay has let this device in; rejects when it refuses for good. */
export function whenConnected(
  parts: {
    readonly self: Self
    readonly connection: { readonly status: ConnectionStatus }
    /** Calls at every change; its answer ends that. */
    watch(look: () => void): () => void
  },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { self, connection, watch } = parts
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const end = (then: () => void): void => {
      stop()
      signal?.removeEventListener('abort', abort)
      then()
    }
    const abort = (): void => end(() => reject(signal?.reason))
    const look = (): void => {
      const { state: at, reason, retryable } = connection.status
      if (at === 'ready') end(resolve)
      // A device that no card names yet is refused until an admin device lets it in: that is worth waiting for.
      else if (at !== 'connecting' && !retryable && (at === 'stopped' || self.pin() !== undefined))
        end(() => reject(refused(reason)))
    }
    const stop = watch(look)
    signal?.addEventListener('abort', abort, { once: true })
    look()
  })
}

function refused(reason = 'closed'): AgentError {
  return new AgentError('ERR_AGENT_NOT_CONNECTED', `the relay does not let this device in: ${reason}`, { reason })
}
