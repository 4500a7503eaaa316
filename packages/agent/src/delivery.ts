/**
 * Between the store and the stream: seals what waits in the outbox, offers what is sealed and durable, settles what relays
 * answered, and commits what came before it is acknowledged.
 * @module
 */
import { type Address, type Clock, isMessagingError, type Random, type StanzaId } from '@parley/core'
import type { RenewalReason } from '@parley/session'
import type { C2sEvent, OutgoingStanza } from '@parley/stream'
import type { Commit } from './commit.ts'
import { noteVersion } from './directory.ts'
import { AgentError } from './errors.ts'
import type { Inbound } from './inbound.ts'
import type { Keyring } from './keyring.ts'
import type { AgentLimits } from './limits.ts'
import { createKept, wasAccepted } from './resend.ts'
import { createResending } from './resending.ts'
import type { StanzaRow } from './rows.ts'
import { sealRow } from './seal.ts'
import type { Self } from './self.ts'
import { settleSent } from './sent.ts'
import type { State, Tx } from './state.ts'

export interface Delivery {
  /** Something came into the outbox, or what it waited for is there. */
  wake(): void
  /** A message came into the outbox in this step: it is sealed at once when nothing is in its way. */
  added(tx: Tx, key: string, to: Address): void
  /** Messages that wait to be sealed, and stanzas that no relay has accepted, as the steps so far left them. */
  waiting(): number
  /** Every durable stanza that no relay has answered for, in order. */
  outgoing(): Iterable<OutgoingStanza>
  received(events: readonly C2sEvent[], epoch: string): void
  /** The store was read again: so is the queue. */
  reload(): void
  /** After the commit: this stanza row is durable. */
  sealed(key: string): void
  drained(signal: AbortSignal | undefined): Promise<void>
  close(): Promise<void>
}

export type DeliveryParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly state: State
  readonly commit: Commit
  readonly clock: Clock
  readonly random: Random
  readonly limits: AgentLimits
  readonly inbound: Inbound
  wantCards(address: Address): void
  offer(stanza: OutgoingStanza): void
  handled(n: number, epoch: string): void
  restart(reason: string): void
  report(code: string, from: Address): void
  renewed(peer: Address, reason: RenewalReason, ahead: number): void
  /** After a commit that changed the inbox or what became of messages. */
  changed(): void
}

type Waiter = { done(): void; fail(error: unknown): void }

/** Messages sealed in one turn of the loop, so that what comes in is not kept waiting. */
const sealsPerTurn = 64

export function createDelivery(parts: DeliveryParts): Delivery {
  const { state, commit, clock, limits } = parts
  // Durable stanzas by their row's key; a Map keeps the order.
  let queue = new Map<string, StanzaId>()
  let keys = new Map<StanzaId, string>()
  const kept = createKept(limits)
  const waiters = new Set<Waiter>()
  const timers = new Set<() => void>()
  let sealing = 0
  let running: Promise<void> | undefined
  let again = false
  let closed = false

  const enqueue = (key: string, row: StanzaRow): void => {
    queue.set(key, row.id)
    keys.set(row.id, key)
  }

  const reload = (): void => {
    queue = new Map()
    keys = new Map()
    sealing = 0
    const accepted: [string, StanzaRow][] = []
    for (const [key, row] of state.rows('stanza')) {
      if (wasAccepted(state, row)) accepted.push([key, row])
      else enqueue(key, row)
    }
    kept.reload(accepted)
  }

  const sealed = (key: string): void => {
    const row = state.get('stanza', key)
    if (row === undefined) return
    enqueue(key, row)
    parts.offer(toOutgoing(row))
  }

  const added = (tx: Tx, key: string, to: Address): void => {
    // Messages to one account keep their order.
    const isFirst = tx.group('outbox', to).keys.size === 1
    try {
      if (isFirst && !closed && sealRow(tx, { ...parts, sealed }, key).outcome === 'done') {
        noteSealing(tx)
        refresh(tx, to)
        return
      }
    } catch {
      // What cannot be sealed is dealt with where nothing else hangs on it.
    }
    tx.after(wake)
  }

  const sealAll = async (): Promise<void> => {
    // A turn, so that messages of one turn of the application are sealed together.
    await undefined
    while (again && !closed) {
      again = false
      const blocked = new Set<Address>()
      let batch: Promise<unknown>[] = []
      let any = false
      for (const [key, { to }] of [...state.rows('outbox')]) {
        if (blocked.has(to)) continue
        if (closed) break
        any = true
        batch.push(seal(key, to, blocked))
        if (batch.length >= sealsPerTurn) {
          await Promise.all(batch)
          batch = []
        }
      }
      await Promise.all(batch)
      if (any) parts.changed()
      noticeDrained()
    }
  }

  const seal = async (key: string, to: Address, blocked: Set<Address>): Promise<void> => {
    try {
      await commit((tx) => {
        const result = sealRow(tx, { ...parts, sealed }, key)
        if (result.outcome === 'done') noteSealing(tx)
        else blocked.add(to)
        if (result.outcome === 'wants') tx.after(() => parts.wantCards(result.address))
        refresh(tx, to)
      })
    } catch (error) {
      if (isMessagingError(error) && (error.retryable || error.code === 'ERR_AGENT_CLOSED')) throw error
      // What cannot be sealed now never can, and must not stand in the way of what comes behind it.
      await commit((tx) => {
        const row = tx.get('outbox', key)
        if (row === undefined) return
        settleSent(tx, row.id, { state: 'failed', cause: 'unsealable' })
        tx.del('outbox', key)
        tx.after(() => parts.report('unsealable', to))
      })
    }
  }

  // What is known is used at once; whether it is still the newest is asked beside it.
  const refresh = (tx: Tx, to: Address): void => {
    const known = tx.get('statements', to)
    if (known !== undefined && Math.abs(tx.now - known.fetched) > limits.directoryMsMax) tx.after(() => parts.wantCards(to))
  }

  const wake = (): void => {
    again = true
    if (closed || running !== undefined) return
    running = sealAll()
      // The store failed: what is in the outbox is still there. The connection starts over, and wakes this when it is up;
      // to try again at once would be to try as fast as a full disk can refuse.
      .catch(() => {
        again = false
      })
      .then(() => {
        running = undefined
        if (again) wake()
      })
  }

  const settle = (tx: Tx, id: StanzaId, then: (key: string, row: StanzaRow) => void): void => {
    const key = keys.get(id)
    const row = key === undefined ? undefined : tx.get('stanza', key)
    if (key === undefined || row === undefined) return
    then(key, row)
    tx.after(() => {
      queue.delete(key)
      keys.delete(id)
      resending.ended(id)
      noticeDrained()
    })
  }

  const accepted = (tx: Tx, event: C2sEvent & { kind: 'accepted' }): void => {
    settle(tx, event.id, (key, row) => {
      kept.accept(tx, key, row)
      const { message } = row
      const sent = message === undefined ? undefined : tx.get('sent', message)
      if (message === undefined || sent === undefined) return
      const pending = (sent.pending ?? []).filter((id) => id !== event.id)
      tx.put('sent', message, { ...sent, pending })
      if (sent.pending?.includes(event.id) === true && pending.length === 0) settleSent(tx, message, { state: 'accepted' })
    })
    for (const [address, version] of Object.entries(event.cards)) {
      // Keys of `cards` are addresses.
      const of = address as Address
      if (noteVersion(tx, of, version)) tx.after(() => parts.wantCards(of))
    }
  }

  const bounced = (tx: Tx, event: C2sEvent & { kind: 'bounced' }, epoch: string): void => {
    if (event.n !== undefined) tx.put('position', 'relay', { epoch, n: event.n })
    if (event.retryable && event.n === undefined) {
      // The row stays; the relay had no room for it just now.
      const key = keys.get(event.id)
      const to = key === undefined ? undefined : tx.get('stanza', key)?.to
      noteWhy(tx, event)
      const ms = event.wait === undefined ? limits.retryMsMax : Math.min(event.wait, limits.relayWaitMsMax)
      if (to !== undefined) tx.after(() => resending.refused(event.id, to, ms))
      return
    }
    const message = carriedBy(tx, event.id)
    if (message !== undefined) settleSent(tx, message, { state: 'failed', cause: event.code })
    settle(tx, event.id, (key) => tx.del('stanza', key))
  }

  // It is still queued; whoever asks is told why.
  const noteWhy = (tx: Tx, { id, code }: C2sEvent & { kind: 'bounced' }): void => {
    const message = carriedBy(tx, id)
    const sent = message === undefined ? undefined : tx.get('sent', message)
    if (message !== undefined && sent?.state === 'queued' && sent.cause !== code)
      tx.put('sent', message, { ...sent, cause: code })
  }

  // The message whose recipient a stanza goes to. One to the own account carries copies: its end says nothing of the message.
  const carriedBy = (tx: Tx, id: StanzaId): string | undefined => {
    const key = keys.get(id)
    const message = key === undefined ? undefined : tx.get('stanza', key)?.message
    if (message !== undefined) return tx.get('sent', message)?.stanzas?.includes(id) === true ? message : undefined
    // It was accepted long ago, so its row is gone.
    for (const [sent, row] of tx.rows('sent')) if (row.stanzas?.includes(id) === true) return sent
    return undefined
  }

  const resending = createResending({
    clock,
    offer(id) {
      const key = keys.get(id)
      const row = key === undefined ? undefined : state.get('stanza', key)
      if (row !== undefined) parts.offer(toOutgoing(row))
    },
  })

  const received = (events: readonly C2sEvent[], epoch: string): void => {
    let last: number | undefined
    const settled = events.filter((event) => event.kind === 'accepted')
    const steps: Promise<unknown>[] = []
    if (settled.length > 0)
      steps.push(
        commit((tx) => {
          for (const event of settled) accepted(tx, event)
        }),
      )
    for (const event of events) {
      if (event.kind === 'stanza') {
        last = event.stanza.n ?? last
        steps.push(receive(event.stanza, epoch))
      }
      if (event.kind === 'bounced') {
        last = event.n ?? last
        steps.push(commit((tx) => bounced(tx, event, epoch)))
      }
    }
    if (steps.length === 0) return
    Promise.all(steps).then(
      () => done(last, epoch),
      () => parts.restart('step-failed'),
    )
  }

  // What became durable together is acknowledged and told of together.
  let handled: { n: number | undefined; readonly epoch: string } | undefined
  const done = (n: number | undefined, epoch: string): void => {
    if (handled?.epoch === epoch) {
      handled.n = n ?? handled.n
      return
    }
    const mine: typeof handled = { n, epoch }
    handled = mine
    const cancel = clock.at(clock.monotonic(), () => {
      timers.delete(cancel)
      if (handled === mine) handled = undefined
      // Acknowledged only now: everything up to here is durable.
      if (mine.n !== undefined) parts.handled(mine.n, epoch)
      parts.changed()
      noticeDrained()
    })
    timers.add(cancel)
  }

  const receive = async (stanza: (C2sEvent & { kind: 'stanza' })['stanza'], epoch: string): Promise<void> => {
    try {
      await commit((tx) => parts.inbound.receive(tx, stanza, epoch))
    } catch (error) {
      // What may go well later comes again after a restart; what never can must not block the mailbox for ever.
      if (!isMessagingError(error) || error.retryable || error.code === 'ERR_AGENT_CLOSED') {
        if (isMessagingError(error)) throw error
      }
      await commit((tx) => {
        if (stanza.n !== undefined) tx.put('position', 'relay', { epoch, n: stanza.n })
        tx.after(() => parts.report('internal', stanza.from))
      })
    }
  }

  // Out of the outbox, and not in the queue before it is durable.
  const noteSealing = (tx: Tx): void => {
    sealing++
    tx.after(() => {
      sealing--
    })
  }

  const noticeDrained = (): void => {
    if (state.size('outbox') > 0 || queue.size > 0 || sealing > 0) return
    for (const { done } of [...waiters]) done()
  }

  reload()
  return {
    wake,
    added,
    // Counted in what a step changes: what many steps of one turn put there is in the queue only after their batch.
    waiting: () => state.size('outbox') + state.size('stanza') - kept.size(),
    *outgoing() {
      resending.clear()
      for (const key of queue.keys()) {
        const row = state.get('stanza', key)
        if (row !== undefined) yield toOutgoing(row)
      }
    },
    received,
    reload,
    sealed,
    drained: (signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const end = (): void => {
          waiters.delete(waiter)
          signal?.removeEventListener('abort', abort)
        }
        const waiter: Waiter = {
          done() {
            end()
            resolve()
          },
          fail(error) {
            end()
            reject(error)
          },
        }
        const abort = (): void => waiter.fail(signal?.reason)
        waiters.add(waiter)
        signal?.addEventListener('abort', abort, { once: true })
        noticeDrained()
        if (closed) waiter.fail(agentClosed())
      }),
    async close() {
      closed = true
      if (handled?.n !== undefined) parts.handled(handled.n, handled.epoch)
      for (const cancel of timers) cancel()
      resending.clear()
      await running
      for (const { fail } of [...waiters]) fail(agentClosed())
    },
  }
}

function agentClosed(): AgentError {
  return new AgentError('ERR_AGENT_CLOSED', 'the agent is closed')
}

function toOutgoing(row: StanzaRow): OutgoingStanza {
  const { id, to, sent, expiry, bytes } = row
  let offset = 0
  const entries = row.entries.map(([device, length]) => {
    const octets = bytes.subarray(offset, offset + length)
    offset += length
    // The sealing step wrote device ids and `*` only.
    return { device: device as '*', octets }
  })
  return { id, to: [to], class: 'durable', sent, expiry, entries, body: bytes.subarray(offset) }
}
