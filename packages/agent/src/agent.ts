/**
 * The agent: one device of one account, put together from its parts. Below this file nothing knows the whole; a message
 * out goes send -> threads -> outbox -> seal -> connection, a message in goes connection -> inbound -> threads -> inbox.
 * @module
 */
import {
  type Address,
  type Clock,
  limits as coreLimits,
  type DeviceId,
  type MessageId,
  parseAddress,
  type Random,
  type Store,
  silent,
  type Telemetry,
  type ThreadId,
  type Transport,
  uuidUrnFrom,
} from '@parley/core'
import { decideHeld, formatContactLink, parseContactLink, type RemovalReason, safetyNumber } from '@parley/identity'
import { encodeAttributes } from '@parley/jwm'
import { createRegistry, kernelPrefix, type Outgoing, type Protocol } from '@parley/kernel'
import type { RenewalReason } from '@parley/session'
import { createCommitter } from './commit.ts'
import { type ConnectionStatus, createConnection } from './connection.ts'
import { renumber } from './counters.ts'
import { createDelivery } from './delivery.ts'
import { createDialBack } from './dial-back.ts'
import { cardHash, createDirectory } from './directory.ts'
import { createDue, failOutbox } from './due.ts'
import { AgentError } from './errors.ts'
import { createInbound } from './inbound.ts'
import { createInbox, type Inbox } from './inbox.ts'
import { createKeyring } from './keyring.ts'
import { type AgentLimits, agentLimits } from './limits.ts'
import type { OutboxOptions } from './outbox.ts'
import { deviceLine, newInc, readDeviceLine, signNextCard, stateKey, withDevice, withoutDevice } from './profile.ts'
import type { LockCause } from './rows.ts'
import { createRuns, type Run } from './runs.ts'
import { createSelf } from './self.ts'
import { createSentBook, type Sent } from './sent.ts'
import { openState, type Tx } from './state.ts'
import { activeThread, findThread, stepThread, type ThreadParts } from './threads.ts'

export type AgentOptions = {
  readonly store: Store
  /** 32 octets each, kept outside the store: secrets are sealed under the first and opened with any. */
  readonly storeKeys: readonly Uint8Array[]
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly telemetry?: Telemetry
  /** What this agent speaks. */
  readonly protocols: readonly Protocol[]
  readonly limits?: Partial<AgentLimits>
}

/** What happens to an agent, for `watch`. Codes, never content. */
export type AgentEvent =
  | { readonly kind: 'connection'; readonly status: ConnectionStatus }
  /** Something was refused, dropped or held: `code` says what, `from` whom it concerns. */
  | { readonly kind: 'problem'; readonly code: string; readonly from: Address }
  /** A message waits for a key, a card or an earlier message; or it was opened and waits no longer. */
  | { readonly kind: 'locked' | 'opened'; readonly from: Address; readonly cause: LockCause }
  /** A card was taken. */
  | { readonly kind: 'card'; readonly address: Address; readonly version: number }
  /** A session key was made and goes ahead to so many devices. */
  | { readonly kind: 'session'; readonly peer: Address; readonly reason: RenewalReason; readonly ahead: number }

/** An account as the person sees it. */
export type Contact = {
  readonly address: Address
  readonly link: string
  readonly verified: boolean
  /** Something about their keys waits for the person's decision. */
  readonly held?: string
}

export type Device = {
  readonly id: DeviceId
  readonly added: number
  readonly admin: boolean
  readonly self: boolean
  readonly removed?: RemovalReason
}

/** A message that cannot be opened or handed over yet, and what is done about it. Times are milliseconds. */
export type LockedMessage = {
  readonly from: Address
  readonly cause: LockCause
  readonly since: number
  readonly deadline: number
}

export interface Agent extends AsyncDisposable, Inbox {
  readonly address: Address
  readonly device: DeviceId
  /** `im:…?k=…`: what others add to know this account without trusting a relay; without `k` on a device that is not approved yet. */
  readonly link: string
  readonly connection: ConnectionStatus
  /** Resolves when the message is in the durable outbox. Rejects when it can never be sent. */
  send(to: string, message: Outgoing): Promise<Sent>
  /** The handle of a message that was sent before, also by an earlier process; `undefined` when it is not known any more. */
  sent(id: string): Sent | undefined
  /** Starts a run of a protocol with a peer. */
  start(protocol: Protocol, role: string, options: { readonly peer: string; readonly input?: unknown }): Promise<Run>
  watch(listener: (event: AgentEvent) => void): () => void
  contacts(): readonly Contact[]
  addContact(link: string): Promise<Contact>
  /** The safety number with an account; fetches its card when it is not known. */
  safetyNumber(address: string): Promise<{ readonly number: string; readonly verified: boolean }>
  /** The person compared the safety number. */
  markVerified(address: string): Promise<void>
  /** Ends a held state: go on with the pinned keys, or take those that were offered. */
  decide(address: string, decision: 'keep' | 'trust'): Promise<void>
  locked(): readonly LockedMessage[]
  devices(): readonly Device[]
  /** The line that an admin device approves. */
  readonly deviceLine: string
  approveDevice(line: string): Promise<void>
  removeDevice(id: string, reason: RemovalReason): Promise<void>
  /** A row that a handler wrote through `message.commit`. */
  appRow(key: string): Uint8Array | undefined
  /** Resolves when everything in the outbox was answered for by a relay. */
  drained(options?: { readonly signal?: AbortSignal }): Promise<void>
  close(): Promise<void>
}

/** Opens the agent whose profile the store holds. */
export async function createAgent(options: AgentOptions): Promise<Agent> {
  const { store, transport, clock, random, telemetry = silent } = options
  const limits: AgentLimits = { ...agentLimits, ...options.limits }
  const registry = createRegistry(options.protocols)
  for (const { uri, kernelOnly } of registry.protocols)
    if (kernelOnly) throw new TypeError(`protocols: ${uri} belongs to the agent itself`)
  const state = await openState({ store, random, storeKeys: options.storeKeys })
  const keyring = createKeyring()
  const self = createSelf(state, keyring)
  const listeners = new Set<(event: AgentEvent) => void>()
  let publishing = false
  let closing: Promise<void> | undefined
  // A listener of the application must not stop the agent.
  const listenerFailed = (): void => telemetry.count('agent.listener-failed')
  const tell = (event: AgentEvent): void => {
    for (const listener of [...listeners]) {
      try {
        listener(event)
      } catch {
        listenerFailed()
      }
    }
  }
  const report = (code: string, from: Address): void => {
    telemetry.count(`agent.problem.${code}`)
    tell({ kind: 'problem', code, from })
  }

  const { commit, close: closeStore } = createCommitter({
    state,
    store,
    clock,
    onDiscard() {
      delivery.reload()
      connection.restart('store-failed')
      delivery.wake()
      // Whoever waits for the store looks again then, also without a connection.
      due.at(clock.now() + limits.retryMsMax)
    },
    onErased: () => due.erased(),
    onEffectFailed: () => telemetry.count('agent.effect-failed'),
  })
  const changed = (): void => {
    sentBook.notice()
    inbox.notice()
  }
  const sentBook = createSentBook(state)
  const inbox = createInbox({ state, commit, report })
  const runs = createRuns({ state, commit, registry, threads: () => threads, listenerFailed })
  const outbox: OutboxOptions = { random, limits, lifetimeMs: coreLimits.lifetimeMs, wake: () => delivery.wake() }
  const dialBackParts = createDialBack({
    self,
    keyring,
    random,
    threads: () => threads,
    unlock: (tx, { owner, sid }) =>
      inbound.unlock(tx, (row) => row.cause === 'key-unknown' && row.owner === owner && row.sid === sid),
  })
  const threads: ThreadParts = {
    registry,
    outbox,
    call: dialBackParts.call,
    recent: new Map(),
    deliver() {},
    emit: (event) => runs.notice(event),
    wakeAt: (ms) => due.at(ms),
  }
  const inbound = createInbound({
    self,
    keyring,
    limits,
    lifetimeMs: coreLimits.lifetimeMs,
    registry,
    threads,
    dialBack: dialBackParts,
    wantCards: (address) => directory.want(address),
    report,
    locked: (kind, from, cause) => tell({ kind, from, cause }),
    wakeAt: (ms) => due.at(ms),
  })
  const due = createDue({
    self,
    state,
    store,
    commit,
    clock,
    random,
    limits,
    registry,
    threads,
    dialBack: dialBackParts,
    inbound,
    outbox,
    publish() {
      if (connection.status.state === 'ready') publish()
    },
    dropped() {
      delivery.reload()
      delivery.wake()
    },
    changed,
  })
  const directory = createDirectory({
    self,
    state,
    commit,
    clock,
    random,
    limits,
    request: (what, value) => connection.request(what, value),
    taken,
    failed(tx, address, code) {
      failOutbox(tx, address, code)
      tx.after(() => {
        sentBook.notice()
        delivery.wake()
      })
    },
    report,
  })
  const delivery = createDelivery({
    self,
    keyring,
    state,
    commit,
    clock,
    random,
    limits,
    inbound,
    wantCards: (address) => directory.want(address),
    offer: (stanza) => connection.offer(stanza),
    handled: (n, epoch) => connection.handled(n, epoch),
    restart: (reason) => connection.restart(reason),
    report,
    renewed: (peer, reason, ahead) => tell({ kind: 'session', peer, reason, ahead }),
    changed,
  })
  const connection = createConnection({
    self,
    state,
    transport,
    clock,
    random,
    telemetry,
    limits,
    outgoing: () => delivery.outgoing(),
    ready,
    received: (events, epoch) => delivery.received(events, epoch),
    changed: (status) => tell({ kind: 'connection', status }),
  })

  // Everything that was locked for the want of this card is looked at again.
  function taken(tx: Tx, address: Address): void {
    const own = address === self.address ? self.pin() : undefined
    if (own !== undefined && self.profile().statement === undefined && keyring.device(own, self.device)?.status === 'active') {
      // This device was let in: it can state its agreement key now.
      stateKey(tx, { card: keyring.card(own), random })
      tx.after(publish)
    }
    inbound.unlock(
      tx,
      (row) =>
        row.owner === address && (row.cause === 'card-unknown' || row.cause === 'card-outdated' || row.cause === 'trust-held'),
    )
    const version = tx.get('pin', address)?.version ?? 0
    tx.after(() => {
      tell({ kind: 'card', address, version })
      delivery.wake()
      inbox.notice()
    })
  }

  async function ready(
    welcome: { readonly epoch: string; readonly position: number; readonly cloned: boolean },
    relayKey: string,
  ): Promise<void> {
    await commit((tx) => {
      const profile = self.profile()
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
    })
    publish()
    directory.want(self.address)
    directory.resume()
    delivery.wake()
    inbox.notice()
  }

  // What the relay did not take is offered again when the next connection is up, or when time brings it.
  function publish(): void {
    const { statement } = self.profile()
    if (publishing || statement === undefined || statement.published) return
    publishing = true
    connection
      .request('publish-statement', { statement: statement.jws })
      .then(() =>
        commit((tx) => {
          const profile = self.profile()
          if (profile.statement?.n === statement.n)
            tx.put('self', 'profile', { ...profile, statement: { ...statement, published: true } })
        }),
      )
      .catch(() => {})
      .finally(() => {
        publishing = false
      })
  }

  async function publishCard(
    change: (card: NonNullable<ReturnType<typeof self.card>>['card']) => ReturnType<typeof withDevice>,
  ): Promise<void> {
    if (!self.isAdmin()) throw new AgentError('ERR_AGENT_NOT_ADMIN', 'this device does not hold the account key')
    await directory.fetch(self.address)
    const head = self.card()
    if (head === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'the own card is missing')
    const devices = change(head.card)
    if (devices === head.card.devices) return
    const next = signNextCard({ get: (table, key) => state.get(table, key), now: clock.now() }, head, devices)
    await connection.request('publish-card', { card: next.jws })
    await directory.fetch(self.address)
  }

  // Locked messages may be open now: a protocol was added, or the clock moved on.
  await commit((tx) => {
    inbound.unlock(tx, (row) => row.cause === 'protocol-unknown')
    for (const [, row] of tx.rows('locked'))
      if (row.cause === 'card-unknown' || row.cause === 'card-outdated') tx.after(() => directory.want(row.owner))
  })
  connection.start()
  void due.run()
  delivery.wake()

  const known = (text: string): Address => parseAddress(text.startsWith('im:') ? text.slice(3) : text)

  const contact = (address: Address): Contact => {
    const pin = state.get('pin', address)
    const account = pin?.account ?? state.get('conversation', address)?.account
    return {
      address,
      link: formatContactLink({ address, ...(account === undefined ? {} : { account }) }),
      verified: pin?.verifiedAt !== undefined,
      ...(pin?.held === undefined ? {} : { held: pin.held.code }),
    }
  }

  async function close(): Promise<void> {
    const error = new AgentError('ERR_AGENT_CLOSED', 'the agent is closed')
    inbox.close()
    directory.close()
    await delivery.close()
    await connection.close()
    await closeStore()
    await due.close()
    sentBook.close(error)
    runs.close(error)
    await store.close()
  }

  const agent: Agent = {
    address: self.address,
    device: self.device,
    get link() {
      return contact(self.address).link
    },
    get connection() {
      return connection.status
    },
    async send(to, message) {
      const peer = known(to)
      if (message.type.startsWith(kernelPrefix))
        throw new AgentError('ERR_AGENT_KERNEL_TYPE', 'messages of the kernel cannot be sent by applications')
      const sending = registry.sending(message)
      if (sending === undefined)
        throw new AgentError('ERR_AGENT_PROTOCOL_UNKNOWN', 'no protocol of this agent sends such messages')
      // What could never be sealed is refused here, while somebody listens.
      if (encodeAttributes(message).length > limits.messageBytesMax) {
        throw new AgentError('ERR_AGENT_MESSAGE_TOO_LARGE', `a message has at most ${limits.messageBytesMax} octets`)
      }
      const { protocol, role, event } = sending
      return await commit((tx) => {
        if (tx.get('pin', peer)?.held !== undefined)
          throw new AgentError('ERR_AGENT_TRUST_HELD', 'the keys of this account wait for a decision')
        const {
          threadId = activeThread(tx, threads, { protocol: protocol.uri, role, peer })?.threadId ?? uuidUrnFrom(random.bytes(16)),
        } = message
        let record = findThread(tx, { protocol: protocol.uri, peer, threadId })
        if (record === undefined) {
          record = stepThread(tx, threads, {
            protocol,
            record,
            input: { kind: 'start', role, threadId, peer, now: tx.now },
          }).record
        }
        const stepped = stepThread(tx, threads, { protocol, record, input: { kind: 'command', event, now: tx.now } })
        const [id] = stepped.sent
        if (id === undefined) {
          const reason = stepped.problem ?? stepped.outcome
          throw new AgentError('ERR_AGENT_PROTOCOL_PROBLEM', `the protocol did not send the message: ${reason}`, { reason })
        }
        return sentBook.handle(id, threadId)
      })
    },
    sent(id) {
      const row = state.get('sent', id)
      // Rows of this table are keyed by message ids.
      return row === undefined ? undefined : sentBook.handle(id as MessageId, row.threadId)
    },
    start: (protocol, role, { peer, input }) =>
      runs.start(protocol, role, { peer: known(peer), input, threadId: uuidUrnFrom(random.bytes(16)) as ThreadId }),
    messages: inbox.messages,
    handle: inbox.handle,
    parked: inbox.parked,
    retry: inbox.retry,
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    contacts: () =>
      [...state.rows('conversation')].flatMap(([address, row]) => (row.contact === true ? [contact(address as Address)] : [])),
    async addContact(text) {
      const { address, account } = parseContactLink(text)
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin !== undefined && account !== undefined && pin.account !== account) {
          throw new AgentError('ERR_AGENT_TRUST_HELD', 'the link names another account key than the one that is pinned')
        }
        const row = tx.get('conversation', address) ?? { seq: 0 }
        tx.put('conversation', address, { ...row, contact: true, ...(account === undefined ? {} : { account }) })
      })
      directory.want(address)
      return contact(address)
    },
    async safetyNumber(text) {
      const address = known(text)
      if (state.get('pin', address) === undefined) await directory.fetch(address)
      const pin = state.get('pin', address)
      const account = self.account()
      if (pin === undefined || account === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'a card is missing')
      const number = safetyNumber({ address: self.address, account }, { address, account: pin.account })
      return { number, verified: pin.verifiedAt !== undefined }
    },
    async markVerified(text) {
      const address = known(text)
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin !== undefined) tx.put('pin', address, { ...pin, verifiedAt: tx.now })
      })
    },
    async decide(text, decision) {
      const address = known(text)
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin?.held === undefined) return
        tx.put('pin', address, decideHeld(pin, decision))
        // What was turned down is not held up to the person again at the next fetch.
        const row = tx.get('conversation', address) ?? { seq: 0 }
        if (decision === 'keep') tx.put('conversation', address, { ...row, declined: cardHash(pin.held.proof[1]) })
        taken(tx, address)
      })
      directory.want(address)
    },
    locked: () =>
      [...state.rows('locked')].map(([, { from, cause, received, deadline }]) => ({ from, cause, since: received, deadline })),
    devices() {
      const card = self.card()
      return (card?.card.devices ?? []).map(({ id, added, admin, reason }) => ({
        id,
        added,
        admin: admin === true,
        self: id === self.device,
        ...(reason === undefined ? {} : { removed: reason }),
      }))
    },
    get deviceLine() {
      return deviceLine(self.profile())
    },
    async approveDevice(line) {
      const device = readDeviceLine(line)
      if (device.address !== self.address)
        throw new AgentError('ERR_AGENT_DEVICE_LINE_MALFORMED', 'the line is of another account')
      const { id, signingKey } = device
      await publishCard((card) => withDevice(card, { id, signingKey }, clock.now()))
    },
    async removeDevice(id, reason) {
      // An id that is on no card changes nothing.
      await publishCard((card) => withoutDevice(card, id as DeviceId, { reason, now: clock.now() }))
    },
    appRow: (key) => state.get('app', key)?.bytes,
    drained: ({ signal } = {}) => delivery.drained(signal),
    close() {
      closing ??= close()
      return closing
    },
    [Symbol.asyncDispose]: () => agent.close(),
  }
  return agent
}
