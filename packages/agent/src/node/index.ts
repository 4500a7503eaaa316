/**
 * The agent on Node: a profile folder with LevelDB in it, the store key beside the database, WebSockets, the machine's clock
 * and randomness. One process per profile.
 * @module
 */
import { existsSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { concat, isMessagingError, parseAddress, type Store, type Transport } from '@parley/core'
import type { Protocol } from '@parley/kernel'
import { ensurePrivateFolder, readPrivateFile, refuseHeadlessStore, writePrivateFile } from '@parley/platform/files'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore, openReopeningStore } from '@parley/platform/level'
import { listenWebSocket } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { type Agent, type AgentOptions, createAgent } from '../agent.ts'
import { compactSecrets } from '../due.ts'
import { AgentError } from '../errors.ts'
import { hasProfile, makeAccount, makeLinkedDevice } from '../set-up.ts'
import { openState } from '../state.ts'

/** Where the profile is, what is spoken, and what is otherwise than usual. */
export type OpenAgentOptions = Partial<
  Pick<AgentOptions, 'telemetry' | 'limits' | 'clock' | 'random' | 'tellsDisplayed' | 'discloses'>
> & {
  /** The profile's folder; made with mode 0700. */
  readonly home: string
  readonly protocols: readonly Protocol[]
  /** With `relay`: makes the account when the folder holds none yet. */
  readonly address?: string
  /** The relay's URL, `wss://…` or on loopback `ws://…`. */
  readonly relay?: string
  /** The token of an invitation, for a relay that takes nobody without one. */
  readonly invite?: string
  /** Called once, when an account is made: show it to the person, it is stored nowhere. */
  readonly onRecoveryKey?: (recoveryKey: string) => void
}

/** Opens the agent of a profile folder; with `address` and `relay` makes the account first if there is none. */
export async function openAgent(options: OpenAgentOptions): Promise<Agent> {
  const { home, protocols, clock = systemClock, random = systemRandom, telemetry, limits, tellsDisplayed, discloses } = options
  const relay = options.relay === undefined ? undefined : checkRelayUrl(options.relay)
  const address = options.address === undefined ? undefined : parseAddress(options.address)
  if ((address === undefined || relay === undefined) && !existsSync(home)) throw profileAbsent()
  const { store, storeKeys } = await openProfile(options)
  try {
    const parts = { store, storeKeys, clock, random }
    if (!(await hasProfile(store))) {
      if (address === undefined || relay === undefined) throw profileAbsent()
      const { recoveryKey } = await makeAccount({
        ...parts,
        address,
        relayUrl: relay,
        ...(options.invite === undefined ? {} : { invite: options.invite }),
      })
      options.onRecoveryKey?.(recoveryKey)
    }
    return await createAgent({
      ...parts,
      storeKeys: await renewStoreKey({ home, store, storeKeys, random, now: clock.now() }),
      transport,
      protocols,
      ...(telemetry === undefined ? {} : { telemetry }),
      ...(limits === undefined ? {} : { limits }),
      ...(tellsDisplayed === undefined ? {} : { tellsDisplayed }),
      ...(discloses === undefined ? {} : { discloses }),
    })
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
}

/** Makes a profile for a further device of an account and answers the line that an admin device approves. */
export async function requestDevice(options: {
  readonly home: string
  readonly address: string
  readonly relay: string
  /** Thumbprint of the account key, out of the account's link: then the relay need not be trusted. */
  readonly account?: string
}): Promise<{ readonly line: string }> {
  const address = parseAddress(options.address)
  const relayUrl = checkRelayUrl(options.relay)
  const { store, storeKeys } = await openProfile(options)
  try {
    return await makeLinkedDevice({
      store,
      storeKeys,
      clock: systemClock,
      random: systemRandom,
      address,
      relayUrl,
      ...(options.account === undefined ? {} : { account: options.account }),
    })
  } finally {
    await store.close()
  }
}

/** Deletes the profile of an account that its relay refused to register, or with `removed` of one that was closed there; another stays. */
export async function discardProfile({
  home,
  removed = false,
}: {
  readonly home: string
  readonly removed?: boolean
}): Promise<void> {
  if (!existsSync(home)) return
  const { store, storeKeys } = await openProfile({ home })
  let registered: boolean
  try {
    const state = await openState({ store, random: systemRandom, storeKeys })
    registered = state.get('self', 'profile')?.registered === true
  } finally {
    await store.close()
  }
  if (registered && !removed) return
  await rm(join(home, 'store'), { recursive: true, force: true })
  await rm(storeKeyFile(home), { force: true })
  // What else is in the folder is not ours.
  await rmdir(home).catch(() => {})
}

const transport: Transport = { dial: dialWebSocket, listen: listenWebSocket, request: requestHttp }
const keyBytes = 32
const storeKeyAgeMsMax = 30 * 86_400_000
const timeBytes = 8

async function openProfile({
  home,
}: {
  readonly home: string
}): Promise<{ readonly store: Store; readonly storeKeys: readonly Uint8Array[] }> {
  await ensurePrivateFolder(home)
  await refuseHeadlessStore(join(home, 'store'))
  let store: Store
  try {
    store = await openReopeningStore(() => openLevelStore(join(home, 'store')))
  } catch (error) {
    if (isMessagingError(error) && error.code === 'ERR_CORE_STORE_LOCKED') {
      throw new AgentError('ERR_AGENT_PROFILE_IN_USE', 'another process has this profile open', { cause: error })
    }
    throw error
  }
  try {
    return { store, storeKeys: await readStoreKeys(home, store) }
  } catch (error) {
    await store.close()
    throw error
  }
}

// The file: when the first key was made (ms, 64 bits), then one key, or two while they change.
async function readStoreKeys(home: string, store: Store): Promise<readonly Uint8Array[]> {
  const octets = await readPrivateFile(storeKeyFile(home))
  if (octets === undefined) {
    if (await hasProfile(store)) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the store key of this profile is missing')
    const key = systemRandom.bytes(keyBytes)
    await writeStoreKeys(home, { made: systemClock.now(), keys: [key] })
    return [key]
  }
  const count = (octets.length - timeBytes) / keyBytes
  if (count !== 1 && count !== 2)
    throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the store key of this profile cannot be read')
  return Array.from({ length: count }, (_, i) => octets.slice(timeBytes + i * keyBytes, timeBytes + (i + 1) * keyBytes))
}

function writeStoreKeys(
  home: string,
  { made, keys }: { readonly made: number; readonly keys: readonly Uint8Array[] },
): Promise<void> {
  const time = new Uint8Array(timeBytes)
  new DataView(time.buffer).setBigUint64(0, BigInt(Math.floor(made)))
  return writePrivateFile(storeKeyFile(home), concat(time, ...keys))
}

function storeKeyFile(home: string): string {
  return join(home, 'store.key')
}

/** On a schedule a new store key, with the surviving secrets sealed anew: what is left of erased ones can no longer be opened. Answers the keys in force. */
async function renewStoreKey(options: {
  readonly home: string
  readonly store: Store
  readonly storeKeys: readonly Uint8Array[]
  readonly random: Pick<typeof systemRandom, 'bytes'>
  readonly now: number
}): Promise<readonly Uint8Array[]> {
  const { home, store, storeKeys, random, now } = options
  const octets = await readPrivateFile(storeKeyFile(home))
  const made = octets === undefined ? now : Number(new DataView(octets.buffer, octets.byteOffset).getBigUint64(0))
  const isRenewing = storeKeys.length === 2
  if (!isRenewing && made + storeKeyAgeMsMax > now) return storeKeys
  const [first] = storeKeys
  if (first === undefined) return storeKeys
  const next = isRenewing ? first : random.bytes(keyBytes)
  const both = isRenewing ? storeKeys : [next, first]
  // Read first: a store that is damaged or newer stays untouched, and so does its key.
  const state = await openState({ store, random, storeKeys: both })
  // Both keys are on disk before the first secret is sealed under the new one, and the old one leaves after the last.
  await writeStoreKeys(home, { made: now, keys: both })
  await store.batch(state.reseal(), { durable: true })
  await compactSecrets(store)
  await writeStoreKeys(home, { made: now, keys: [next] })
  return [next]
}

// Without TLS everybody on the way sees who writes to whom; on loopback there is no way.
function checkRelayUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url?.hostname ?? '')
  if (url?.protocol === 'wss:' || (url?.protocol === 'ws:' && isLoopback)) return text
  throw new TypeError('relay: must be a wss:// URL, or ws:// on loopback')
}

function profileAbsent(): AgentError {
  return new AgentError('ERR_AGENT_PROFILE_ABSENT', 'there is no profile in this folder; give an address and a relay to make one')
}
