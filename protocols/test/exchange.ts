/**
 * Parties that run a protocol against one another over a pipe that shuffles and duplicates, in virtual time. Every
 * record goes through JSON after each step, as through a store.
 * @module
 */
import { type Address, type DeviceId, parseAddress, toDeviceId } from '@parley/core'
import type { SimRandom } from '@parley/core/sim'
import {
  type Effect,
  nextDeadline,
  type Protocol,
  type Received,
  type StepInput,
  type StepResult,
  step,
  type ThreadRecord,
  threadKeys,
} from '@parley/kernel'

export type Call = Extract<Effect, { kind: 'call' }>
export type Send = Extract<Effect, { kind: 'send' }>

export type Party = {
  readonly address: Address
  readonly device: DeviceId
  /** Threads by their keys; one record stands under every account of its thread. */
  readonly threads: Map<string, ThreadRecord>
  readonly delivered: Received[]
  readonly emitted: Extract<Effect, { kind: 'emit' }>[]
  readonly refused: StepResult[]
  readonly seen: Set<string>
}

type Parcel = { readonly to: Party; readonly message: Received }

export type Exchange = {
  readonly now: () => number
  step(party: Party, key: string, input: StepInput): StepResult
  /** Delivers and fires deadlines until nothing is left but deadlines beyond `untilMs` from the start. */
  run(untilMs: number): void
}

export function party(address: string, device: string): Party {
  const id = toDeviceId(device.padEnd(43, '_'))
  if (id === undefined) throw new TypeError('device')
  return {
    address: parseAddress(address),
    device: id,
    threads: new Map(),
    delivered: [],
    emitted: [],
    refused: [],
    seen: new Set(),
  }
}

export function createExchange(options: {
  readonly protocol: Protocol
  readonly parties: readonly Party[]
  readonly random: SimRandom
  /** Result of a capability; `secret` is what `bodyFrom` stands for. */
  readonly answer?: (
    party: Party,
    call: Call,
    message: Received | undefined,
  ) => { readonly result: { readonly [name: string]: string }; readonly secret?: Received['body'] }
  /** Chance that a message gets lost. */
  readonly loss?: number
  /** Drop messages that came before, as an agent does by its counters. */
  readonly dropSeen?: boolean
}): Exchange {
  const { protocol, parties, random } = options
  const parcels: Parcel[] = []
  const start = 1_800_000_000_000
  let now = start
  let ids = 0

  const perform = (from: Party, key: string, result: StepResult, message: Received | undefined): StepResult => {
    if (result.outcome === 'refused' || result.outcome === 'failed') from.refused.push(result)
    const stored: ThreadRecord | undefined = result.record === undefined ? undefined : JSON.parse(JSON.stringify(result.record))
    const old = from.threads.get(key)
    if (stored !== undefined) for (const each of threadKeys(stored)) from.threads.set(each, stored)
    else if (old !== undefined) for (const each of threadKeys(old)) from.threads.delete(each)
    for (const effect of result.effects) {
      if (effect.kind === 'deliver') from.delivered.push(effect.message)
      if (effect.kind === 'emit') from.emitted.push(effect)
      if (effect.kind === 'send') post(from, effect, secrets.get(effect.bodyFrom ?? ''))
      if (effect.kind === 'call') {
        const { result: outcome, secret } = options.answer?.(from, effect, message) ?? { result: {} }
        if (secret !== undefined) secrets.set(effect.id, secret)
        exchange.step(from, key, { kind: 'result', id: effect.id, result: outcome, now })
        secrets.delete(effect.id)
      }
    }
    return result
  }
  const secrets = new Map<string, Received['body']>()

  const post = (
    from: Party,
    { to, devices, type, body, threadId, referentId }: Send,
    secret: Received['body'] | undefined,
  ): void => {
    const message: Received = {
      id: `m${++ids}`,
      type,
      body: JSON.parse(JSON.stringify(body ?? secret ?? {})),
      from: from.address,
      device: from.device,
      peer: from.address,
      threadId,
      ...(referentId === undefined ? {} : { referentId }),
    }
    for (const reader of parties) {
      if (reader.address !== to || reader === from || (devices !== undefined && !devices.includes(reader.device))) continue
      const copies = random.chance(options.loss ?? 0) ? 0 : 1 + random.int(3)
      for (let i = 0; i < copies; i++) parcels.push({ to: reader, message })
    }
  }

  const exchange: Exchange = {
    now: () => now,
    step(of, key, input) {
      const message = input.kind === 'message' ? input.message : undefined
      return perform(of, key, step(protocol, of.threads.get(key), input), message)
    },
    run(untilMs) {
      for (let steps = 0; steps < 10_000; steps++) {
        if (parcels.length > 0) {
          now += random.int(50)
          const [parcel] = parcels.splice(random.int(parcels.length), 1)
          if (parcel === undefined) continue
          const { to, message } = parcel
          if (options.dropSeen === true && to.seen.has(message.id)) continue
          to.seen.add(message.id)
          const key = `${protocol.uri} ${message.peer} ${message.threadId}`
          exchange.step(to, key, { kind: 'message', message, now })
          continue
        }
        const due = parties
          .flatMap((each) => [...each.threads].map(([key, record]) => ({ each, key, next: nextDeadline(record) })))
          .filter(({ next }) => next !== undefined && next.at <= start + untilMs)
          .sort((a, b) => (a.next?.at ?? 0) - (b.next?.at ?? 0))[0]
        if (due?.next === undefined) return
        now = Math.max(now, due.next.at)
        exchange.step(due.each, due.key, { kind: 'deadline', id: due.next.id, now })
      }
      throw new Error('the exchange does not come to rest')
    },
  }
  return exchange
}
