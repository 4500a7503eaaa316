/**
 * People with profiles and no network: states over stores in memory, who know one another's cards, and what the one seals
 * cut for the devices of the other.
 */
import { type Address, type DeviceId, parseAddress, type Store } from '@parley/core'
import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { readCard } from '@parley/identity'
import { createRegistry } from '@parley/kernel'
import { chat } from '@parley/protocols/chat'
import { createDialBack } from '../src/dial-back.ts'
import { createInbound, type Inbound, type InboundStanza } from '../src/inbound.ts'
import { createKeyring, type Keyring } from '../src/keyring.ts'
import { type AgentLimits, agentLimits } from '../src/limits.ts'
import { type Draft, enqueue } from '../src/outbox.ts'
import { readDeviceLine, signNextCard, stateKey, withDevice } from '../src/profile.ts'
import type { StanzaRow } from '../src/rows.ts'
import { sealRow } from '../src/seal.ts'
import { createSelf, type Self } from '../src/self.ts'
import { makeAccount, makeLinkedDevice } from '../src/set-up.ts'
import { openState, type State, type Tx } from '../src/state.ts'
import type { ThreadParts } from '../src/threads.ts'

export const day = 86_400_000
export const lifetimeMs = 30 * day
export const start = 1_767_225_600_000

export type Person = {
  readonly address: Address
  readonly device: DeviceId
  readonly store: Store
  readonly storeKeys: readonly Uint8Array[]
  readonly state: State
  readonly keyring: Keyring
  readonly self: Self
  readonly random: ReturnType<typeof createSimRandom>
  /** Runs a step and its effects. */
  run<T>(step: (tx: Tx) => T, now?: number): T
}

const relayUrl = 'ws://127.0.0.1:1'
let seed = 0

async function open(address: Address, make: 'account' | 'device'): Promise<Person & { readonly line: string }> {
  seed++
  const random = createSimRandom(seed)
  const store = createMemoryStore()
  const storeKeys = [random.bytes(32)]
  const clock = { now: () => start, monotonic: () => 0, at: () => () => {} }
  const options = { store, storeKeys, clock, random, address, relayUrl }
  let line = ''
  if (make === 'account') await makeAccount(options)
  else line = (await makeLinkedDevice(options)).line
  const state = await openState({ store, random, storeKeys })
  const keyring = createKeyring()
  const self = createSelf(state, keyring)
  return {
    address,
    device: self.device,
    store,
    storeKeys,
    state,
    keyring,
    self,
    random,
    line,
    run(step, now = start) {
      const { result, effects } = state.run(now, step)
      for (const effect of effects) effect()
      return result
    },
  }
}

export function person(address: string): Promise<Person> {
  return open(parseAddress(address), 'account')
}

/** A further device, let in by an admin device; nobody else knows of it yet. */
export async function furtherDevice(admin: Person): Promise<Person> {
  const device = await open(admin.address, 'device')
  const { id, signingKey } = readDeviceLine(device.line)
  const head = admin.self.card()
  if (head === undefined) throw new Error('the admin has no card')
  const next = admin.run((tx) => signNextCard(tx, head, withDevice(head.card, { id, signingKey }, start)))
  setCard(admin, admin.address, next.jws)
  setCard(device, admin.address, next.jws)
  device.run((tx) => stateKey(tx, { card: next, random: device.random }))
  for (const one of [admin, device]) setStatements(one, [admin, device])
  return device
}

export function setCard(of: Person, address: Address, jws: string): void {
  const card = readCard(jws)
  if (!card.ok) throw new Error(card.code)
  of.run((tx) => tx.put('pin', address, { address, account: card.account, jws, version: card.card.version }))
}

function setStatements(of: Person, devices: readonly Person[]): void {
  const list = devices.flatMap(({ self }) => self.profile().statement?.jws ?? [])
  of.run((tx) => tx.put('statements', devices[0]?.address ?? '', { fetched: start, list }))
}

/** `one` has fetched the card of the devices' account and the statements of these of its devices. */
export function knows(one: Person, devices: readonly Person[]): void {
  const [first] = devices
  const jws = first?.self.card()?.jws
  if (first === undefined || jws === undefined) throw new Error('knows: nobody')
  setCard(one, first.address, jws)
  setStatements(one, devices)
}

export type Sending = { readonly outcome: string; readonly id: string; readonly stanzas: readonly StanzaRow[] }

/** Puts a message into the outbox and seals it; answers the stanzas that came of it, in order. */
export function send(from: Person, draft: Draft, now: number = start): Sending {
  const options = { random: from.random, limits: agentLimits, lifetimeMs, waiting: () => 0, added() {}, dropped() {} }
  const stanzas: StanzaRow[] = []
  const { id, outcome } = from.run((tx) => {
    const made = enqueue(tx, draft, options)
    const [key = ''] = [...tx.rows('outbox')].at(-1) ?? []
    const sealed = (name: string): void => {
      const row = from.state.get('stanza', name)
      if (row !== undefined) stanzas.push(row)
    }
    const result = sealRow(tx, { ...from, sealed, renewed() {} }, key)
    return { id: made, outcome: result.outcome }
  }, now)
  return { outcome, id, stanzas }
}

let position = 0

/** What the relay hands to a device of a stanza; `undefined` when it is not addressed to it. */
export function cut(row: StanzaRow, from: Person, to: Person): InboundStanza | undefined {
  if (row.to !== to.address) return undefined
  let offset = 0
  let entry: Uint8Array | undefined
  for (const [device, length] of row.entries) {
    if (device === '*' || device === to.device) entry = row.bytes.slice(offset, offset + length)
    offset += length
  }
  if (entry === undefined) return undefined
  position++
  return {
    id: row.id,
    n: position,
    expiry: row.expiry,
    from: from.address,
    device: from.device,
    entry,
    body: row.bytes.slice(offset),
  }
}

export type Receiver = {
  readonly inbound: Inbound
  /** `code from`, in order. */
  readonly reports: string[]
  /** Accounts whose cards were asked for. */
  readonly wanted: string[]
  /** Hashes that were reported. */
  readonly proofs: (readonly [string, string])[]
  /** What was sent once more. */
  readonly resent: StanzaRow[]
  /** Ends the waits that are over. */
  expire(now: number): void
  /** Takes what is for this person out of stanzas, one step each, with the relay's positions. */
  take(from: Person, rows: readonly StanzaRow[], now?: number): void
  /** Texts in the inbox, with what was said of gaps. */
  texts(): readonly string[]
}

/** The receiving half of an agent, put together as agent.ts does. */
export function receiver(of: Person, changes: Partial<AgentLimits> = {}): Receiver {
  const limits = { ...agentLimits, ...changes }
  const reports: string[] = []
  const wanted: string[] = []
  const proofs: (readonly [string, string])[] = []
  const resent: StanzaRow[] = []
  const dialBack = createDialBack({
    ...of,
    threads: () => threads,
    unlock: (tx, { owner, sid }) => inbound.unlock(tx, owner, (row) => row.cause === 'key-unknown' && row.sid === sid),
  })
  const registry = createRegistry([chat])
  const threads: ThreadParts = {
    registry,
    outbox: { random: of.random, limits, lifetimeMs, waiting: () => 0, added() {}, dropped() {} },
    call: dialBack.call,
    recent: new Map(),
    deliver() {},
    emit() {},
    wakeAt() {},
  }
  const inbound = createInbound({
    ...of,
    limits,
    lifetimeMs,
    registry,
    threads,
    dialBack,
    reports: { send: (_, problem) => reports.push(`told ${problem.code} ${problem.to}`) },
    wantCards: (address) => wanted.push(address),
    report: (code: string, from: Address, proof?: readonly [string, string]) => {
      reports.push(`${code} ${from}`)
      if (proof !== undefined) proofs.push(proof)
    },
    sealed(key) {
      const row = of.state.get('stanza', key)
      if (row !== undefined) resent.push(row)
    },
    locked() {},
    wakeAt() {},
  })
  return {
    inbound,
    reports,
    wanted,
    proofs,
    resent,
    expire: (now) =>
      of.run(
        (tx) =>
          inbound.expire(
            tx,
            [...tx.rows('locked')].map(([key]) => key),
          ),
        now,
      ),
    take(from, rows, now = start) {
      for (const row of rows) {
        const stanza = cut(row, from, of)
        if (stanza !== undefined) of.run((tx) => inbound.receive(tx, stanza, 'AAAAAAAAAAA'), now)
      }
    },
    texts: () =>
      [...of.state.rows('inbox')].map(([, { message, gap, late }]) =>
        [
          message.body['text'],
          ...(gap === undefined ? [] : [`gap ${gap.map((run) => [...new Set([run].flat())].join('-')).join()}`]),
          ...(late === true ? ['late'] : []),
        ].join(' '),
      ),
  }
}
