/**
 * The store of a relay that does not run, opened by a command: with a relay around it that neither listens nor dials, so that what changes
 * accounts and invitations is the same code.
 * @module
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  CoreError,
  type Domain,
  fromUtf8,
  isMessagingError,
  parseJsonObject,
  type Store,
  type Transport,
  toDomain,
  utf8,
} from '@parley/core'
import { refuseHeadlessStore } from '@parley/platform/files'
import { openLevelStore } from '@parley/platform/level'
import { systemClock, systemRandom } from '@parley/platform/system'
import { createRelay, type RelayLimits } from '@parley/relay'
import { controlPath, fitsSocket } from '../control/lines.ts'
import type { Parts } from '../operations.ts'
import { ProgramError } from '../program-error.ts'
import { refuseForeignFolder } from './owner.ts'

/** Opens the store in `data`, which must be there; throws `running` when a relay has it that does not answer. */
export async function openStoreAlone(data: string): Promise<Store> {
  const folder = join(data, 'store')
  await refuseForeignFolder(data)
  if (!existsSync(folder)) throw new ProgramError('store-empty', `${data} holds no store: no relay has run there`)
  await refuseHeadlessStore(folder)
  return openLevelStore(folder).catch((error: unknown) => {
    if (!isMessagingError(error) || error.code !== 'ERR_CORE_STORE_LOCKED') throw error
    const why = fitsSocket(controlPath(data))
      ? 'does not answer on its control socket; is it just starting?'
      : 'cannot be asked, because the path of its control socket is too long; name a shorter one with --data, from the folder that this runs in'
    throw new ProgramError('running', `a process has the store in ${data} open and ${why}`)
  })
}

/** Works on the store with a relay that nobody reaches, under the limits that the running one would have. */
export async function withRelayAlone<T>(
  { data, limits }: { readonly data: string; readonly limits: Partial<RelayLimits> },
  work: (parts: Parts) => Promise<T>,
): Promise<T> {
  const store = await openStoreAlone(data)
  try {
    const relay = await createRelay({
      domain: await domainOf(store),
      store,
      transport: nowhere,
      clock: systemClock,
      random: systemRandom,
      limits,
    })
    try {
      return await work({ store, relay, url: undefined, configFile: undefined, now: systemClock.now, note() {} })
    } finally {
      await relay.close()
    }
  } finally {
    await store.close()
  }
}

async function domainOf(store: Store): Promise<Domain> {
  const meta = parseJsonObject(fromUtf8((await store.get('relay/meta')) ?? utf8('')) ?? '')
  const domain = meta.ok && typeof meta.value['domain'] === 'string' ? toDomain(meta.value['domain']) : undefined
  if (domain === undefined) throw new ProgramError('store-empty', 'the store does not say of which domain it is')
  return domain
}

const unreachable = (): Promise<never> => Promise.reject(new CoreError('ERR_CORE_DIAL_FAILED', 'this relay has no network'))
const nowhere: Transport = {
  dial: unreachable,
  request: unreachable,
  listen: async () => ({ port: 0, close: async () => {} }),
}
