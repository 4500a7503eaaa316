/**
 * The agent: one device of one account, put together from its parts. Below this file nothing knows the whole; a message
 * out goes send -> threads -> outbox -> seal -> connection, a message in goes connection -> inbound -> threads -> inbox.
 * @module
 */
import {
  type Address,
  type Clock,
  type DeviceId,
  type MessageId,
  type Random,
  type Store,
  silent,
  type Telemetry,
  type ThreadId,
  type Transport,
  uuidUrnFrom,
} from '@parley/core'
import { createRegistry, type Outgoing, type Protocol, type RunOutput } from '@parley/kernel'
import { receipts } from '@parley/protocols/receipts'
import type { Welcome } from '@parley/stream'
import { type Account, createAccountCalls } from './account.ts'
import { createCalls, withBuiltIn } from './built-in.ts'
import { createCommitter } from './commit.ts'
import { type ConnectionStatus, createConnection } from './connection.ts'
import { createDelivery } from './delivery.ts'
import { createDevices, type Devices } from './devices.ts'
import { createDialBack } from './dial-back.ts'
import { createDirectory } from './directory.ts'
import { createDue, failOutbox } from './due.ts'
import { AgentError } from './errors.ts'
import { type AgentEvent, createEvents } from './events.ts'
import { createInbound } from './inbound.ts'
import { createInbox, type Inbox } from './inbox.ts'
import { createKeyring } from './keyring.ts'
import { type AgentLimits, agentLimits, checkLimits } from './limits.ts'
import { type LockedMessage, listLocked } from './locked.ts'
import { noteWelcome, whenConnected } from './login.ts'
import type { OutboxOptions } from './outbox.ts'
import { createPeople, type People, readAddress } from './people.ts'
import { stateKey } from './profile.ts'
import { createReports } from './reports.ts'
import { within } from './retry.ts'
import { createRuns, type Run, type StartOptions } from './runs.ts'
import { createSelf } from './self.ts'
import { send } from './send.ts'
import { createSentBook, type Sent } from './sent.ts'
import { openState, type Tx } from './state.ts'
import type { ThreadParts } from './threads.ts'
import { createTime } from './time.ts'

/** The ports of an agent, what it speaks, and what its person decides. */
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
  /** Whether this account is told which messages were displayed: the person's decision. Contacts are, unless it says no. */
  readonly tellsDisplayed?: (to: Address) => boolean
  /** Whether this account may learn that a protocol is spoken here, when it asks. By default contacts may, and others get no answer. */
  readonly discloses?: (to: Address, protocol: string) => boolean
}

/** One device of one account, at work. */
export interface Agent extends AsyncDisposable, Inbox, Omit<People, 'contact'>, Devices, Account {
  readonly address: Address
  readonly device: DeviceId
  /** `im:…?k=…`: what others add to know this account without trusting a relay; without `k` on a device that is not approved yet. */
  readonly link: string
  readonly connection: ConnectionStatus
  /** Resolves when the message is in the durable outbox. Rejects when it can never be sent. */
  send(to: string, message: Outgoing): Promise<Sent>
  /** Tells the sender that this message, and what came before it in its thread, was shown to the person; contacts only, and if `tellsDisplayed` agrees. */
  displayed(message: { readonly from: string; readonly id: string }): Promise<void>
  /** The handle of a message that was sent before, also by an earlier process; `undefined` when it is not known any more. */
  sent(id: string): Sent | undefined
  /** Starts a run of a protocol with a peer. */
  start<P extends Protocol, R extends keyof P['roles'] & string>(
    protocol: P,
    role: R,
    options: StartOptions<P, R>,
  ): Promise<Run<RunOutput<P, R>>>
  /** Every run of a protocol that this agent knows, also those of earlier processes and those that a message began; ended ones until they are forgotten. */
  runs(protocol: Protocol): readonly Run[]
  /** Tells the listener what happens; call what it answers to stop. */
  watch(listener: (event: AgentEvent) => void): () => void
  /** Resolves when the relay has let this device in; rejects when it refuses for good. */
  connected(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Messages that cannot be opened or handed over yet. */
  locked(): readonly LockedMessage[]
  /** A row that a handler wrote through `message.commit`. */
  appRow(key: string): Uint8Array | undefined
  /** Resolves when everything in the outbox was answered for by a relay. */
  drained(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Writes out what is under way, closes the connection and the store. What waits in the outbox goes on at the next start. */
  close(): Promise<void>
}

/** Opens the agent whose profile the store holds. */
export async function createAgent(options: AgentOptions): Promise<Agent> {
  const { store, transport, clock, random, telemetry = silent } = options
  const limits = checkLimits({ ...agentLimits, ...options.limits })
  const registry = createRegistry(withBuiltIn(options.protocols))
  const state = await openState({ store, random, storeKeys: options.storeKeys })
  const keyring = createKeyring()
  const self = createSelf(state, keyring)
  const time = createTime(clock, state.get('age', 'agent'))
  const { tell, watch, listenerFailed } = createEvents(telemetry)
  let closing: Promise<void> | undefined
  const report = (code: string, from: Address, proof?: readonly [string, string]): void => {
    telemetry.count(`agent.problem.${code}`)
    tell({ kind: 'problem', code, from, ...(proof === undefined ? {} : { proof }) })
  }

  const { commit, close: closeStore } = createCommitter({
    state,
    store,
    time,
    onDiscard() {
      delivery.reload()
      due.reload()
      connection.restart('store-failed')
      delivery.wake()
      // Whoever waits for the store looks again then, also without a connection.
      due.at(time.read().steady + limits.retryMsMax)
    },
    onWritten(changes) {
      for (const { table, key } of changes.values()) if (table === 'sent') sentBook.notice(key)
    },
    onErased: () => due.erased(),
    onEffectFailed: () => telemetry.count('agent.effect-failed'),
  })
  const changed = (): void => inbox.notice()
  const sentBook = createSentBook(state)
  const inbox = createInbox({ state, commit, report })
  const runs = createRuns({ state, commit, registry, threads: () => threads, listenerFailed })
  const outbox: OutboxOptions = {
    random,
    limits,
    lifetimeMs: limits.lifetimeMs,
    waiting: () => delivery.waiting(),
    added: (tx, key, to) => delivery.added(tx, key, to),
    dropped: (to) => report('outbox-full', to),
  }
  const dialBackParts = createDialBack({
    self,
    keyring,
    random,
    threads: () => threads,
    unlock: (tx, { owner, sid }) => inbound.unlock(tx, owner, (row) => row.cause === 'key-unknown' && row.sid === sid),
  })
  const reports = createReports({ self, registry, random, limits, threads: () => threads, tell })
  const threads: ThreadParts = {
    registry,
    outbox,
    call: createCalls({ registry, dialBack: dialBackParts.call, reports: reports.call, discloses: options.discloses }),
    recent: new Map(),
    deliver() {},
    emit: (event) => runs.notice(event),
    wakeAt: (ms, name) => due.at(ms, name),
  }
  const inbound = createInbound({
    self,
    keyring,
    limits,
    lifetimeMs: limits.lifetimeMs,
    registry,
    threads,
    dialBack: dialBackParts,
    reports,
    wantCards: (address) => directory.want(address),
    report,
    sealed: (key) => delivery.sealed(key),
    locked: (kind, from, cause) => tell({ kind, from, cause }),
    wakeAt: (ms, name) => due.at(ms, name),
  })
  const due = createDue({
    self,
    state,
    store,
    commit,
    clock,
    time,
    random,
    limits,
    registry,
    threads,
    dialBack: dialBackParts,
    inbound,
    outbox,
    publish() {
      if (connection.status.state === 'ready') publishStatement()
    },
    dropped() {
      delivery.reload()
      delivery.wake()
    },
    changed,
  })
  const directory = createDirectory({
    self,
    keyring,
    state,
    commit,
    clock,
    random,
    limits,
    request: (what, value) => connection.request(what, value),
    taken,
    failed(tx, address, code) {
      failOutbox(tx, address, code)
      tx.after(() => delivery.wake())
    },
    report,
    wake: () => delivery.wake(),
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

  const { contact, ...people } = createPeople({
    self,
    state,
    commit,
    directory,
    taken,
    decided(tx, address, decision) {
      inbound.decide(tx, address, decision)
      tx.after(changed)
    },
  })
  const { devices, publishStatement } = createDevices({
    self,
    state,
    commit,
    clock,
    directory,
    request: (what, value) => connection.request(what, value),
  })

  const account = createAccountCalls({
    self,
    state,
    commit,
    request: (what, value) => connection.request(what, value),
    isRemoved: () => connection.status.reason === 'account-removed',
  })

  // Everything that was locked for the want of this card is looked at again.
  function taken(tx: Tx, address: Address): void {
    const own = address === self.address ? self.pin() : undefined
    if (own !== undefined && self.profile().statement === undefined && keyring.device(own, self.device)?.status === 'active') {
      // This device was let in: it can state its agreement key now.
      stateKey(tx, { card: keyring.card(own), random })
      tx.after(publishStatement)
    }
    inbound.unlock(tx, address, ({ cause }) => cause === 'card-unknown' || cause === 'card-outdated' || cause === 'trust-held')
    const version = tx.get('pin', address)?.version ?? 0
    tx.after(() => {
      tell({ kind: 'card', address, version })
      delivery.wake()
      inbox.notice()
    })
  }

  async function ready(welcome: Welcome, relayKey: string): Promise<void> {
    time.confirm(welcome.time)
    await commit((tx) => noteWelcome(tx, { welcome, relayKey }, { self, random, report }))
    publishStatement()
    directory.want(self.address)
    directory.resume()
    delivery.wake()
    inbox.notice()
  }

  // Locked messages may be open now: a protocol was added, or the clock moved on.
  await commit((tx) => {
    for (const from of new Set([...tx.rows('locked')].map(([, row]) => row.from)))
      inbound.unlock(tx, from, (row) => row.cause === 'protocol-unknown')
    for (const [, row] of tx.rows('locked'))
      if (row.cause === 'card-unknown' || row.cause === 'card-outdated') tx.after(() => directory.want(row.owner))
  })
  for (const [address, { outdated }] of state.rows('statements')) {
    // Keys of this table are addresses.
    if (outdated !== undefined) directory.want(address as Address)
  }
  connection.start()
  void due.run()
  delivery.wake()

  async function close(): Promise<void> {
    const error = new AgentError('ERR_AGENT_CLOSED', 'the agent is closed')
    // A handler that never ends must not keep the process: its message is handed over again.
    await within(inbox.stop(), { clock, ms: limits.handlersMsMax })
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
    send: async (to, message) => send({ registry, commit, random, limits, threads, sentBook }, readAddress(to), message),
    async displayed({ from, id }) {
      const to = readAddress(from)
      const isContact = state.get('conversation', to)?.contact === true
      if (to !== self.address && isContact && options.tellsDisplayed?.(to) !== false)
        await agent.send(to, receipts.displayed({ up_to: id }))
    },
    sent(id) {
      const row = state.get('sent', id)
      // Rows of this table are keyed by message ids.
      return row === undefined ? undefined : sentBook.handle(id as MessageId, row.threadId)
    },
    start: (protocol, role, { peer, input }) =>
      // The machine's own type says what it leaves; nothing else comes out of the record.
      runs.start(protocol, role, {
        peer: readAddress(peer),
        input,
        threadId: uuidUrnFrom(random.bytes(16)) as ThreadId,
      }) as Promise<Run<never>>,
    runs: (protocol) => runs.of(protocol),
    ...account,
    messages: inbox.messages,
    handle: inbox.handle,
    parked: inbox.parked,
    retry: inbox.retry,
    watch,
    connected: ({ signal } = {}) => whenConnected({ self, connection, watch }, signal),
    ...people,
    locked: () => listLocked(state, { moment: time.read(), nextFetch: directory.nextTry }),
    ...devices,
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
