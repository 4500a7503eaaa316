/**
 * Dial-back in the agent (RFC 7165 §5.4, design §4): starts a request for a missing session key, runs both roles of the
 * protocol, and gives their two capabilities the keys that machines must not see.
 * @module
 */
import { type Address, type DeviceId, type JsonObject, type Random, type ThreadId, toSessionId, uuidUrnFrom } from '@parley/core'
import { activeDevices } from '@parley/identity'
import { generateKey } from '@parley/jose'
import type { Received, ThreadRecord } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import {
  answerRequest,
  confirmKey,
  createRequest,
  type ErasedSession,
  emptyAnswerLog,
  ephThumbprint,
  readKeyAnswer,
  readRequest,
  requestBody,
  requestDelayMs,
  requestTargets,
  type Smk,
  sessionKey,
  takeKey,
} from '@parley/session'
import type { Keyring } from './keyring.ts'
import type { Self } from './self.ts'
import type { Tx } from './state.ts'
import { type CallCapability, findThread, stepThread, type ThreadParts } from './threads.ts'

export type Missing = { readonly owner: Address; readonly device: DeviceId; readonly sid: string }

export interface DialBack {
  /** Opens a request, unless one is open for this key. */
  ask(tx: Tx, missing: Missing): void
  receive(tx: Tx, message: Received): void
  /** The key came by itself. */
  cancel(tx: Tx, key: string): void
  /** A kept candidate opened a message. */
  opened(tx: Tx, key: string): void
  readonly call: CallCapability
  /** After any step of a thread: a request that ended leaves no private key behind. */
  tidy(tx: Tx, record: ThreadRecord): void
}

export type DialBackParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly random: Random
  threads(): ThreadParts
  /** Tries the locked messages that wait for this key. */
  unlock(tx: Tx, key: { readonly owner: Address; readonly sid: string }): number
}

const logKey = 'log'

export function createDialBack(parts: DialBackParts): DialBack {
  const { self, keyring, random } = parts

  const command = (tx: Tx, key: string, type: 'cancel' | 'opened'): void => {
    const request = tx.get('request', key)
    if (request === undefined) return
    const record = findThread(tx, { protocol: dialBack.uri, peer: request.request.owner.address, threadId: request.threadId })
    if (record === undefined) return
    const { record: after } = stepThread(tx, parts.threads(), {
      protocol: dialBack,
      record,
      input: { kind: 'command', event: { type }, now: tx.steady },
    })
    if (after !== undefined) dial.tidy(tx, after)
  }

  const dial: DialBack = {
    ask(tx, { owner, device, sid: sidText }) {
      const sid = toSessionId(sidText)
      const key = sessionKey(owner, sidText)
      if (sid === undefined || tx.get('request', key) !== undefined) return
      const eph = generateKey('X25519', { random })
      const request = createRequest({ sid, owner: { address: owner, device }, eph, now: tx.now, random })
      // A brand: uuidUrnFrom makes what ThreadId stands for.
      const threadId = uuidUrnFrom(random.bytes(16)) as ThreadId
      tx.put('key', ephThumbprint(eph), { jwk: eph, created: tx.now, expiry: request.expires })
      tx.put('request', key, { request, threadId })
      const pin = tx.get('pin', owner)
      const targets = requestTargets({
        self: { address: self.address, device: self.device, devices: self.others() },
        owner: request.owner,
        ownerDevices: pin === undefined ? [] : activeDevices(keyring.card(pin).card).map(({ id }) => id),
      })
      const input = {
        request: requestBody(request),
        targets: targets as never,
        delayMs: requestDelayMs({ audienceSize: 2, random }),
        lifetimeMs: request.expires - tx.now,
      }
      const also = owner === self.address ? [] : [self.address]
      const { record } = stepThread(tx, parts.threads(), {
        protocol: dialBack,
        record: undefined,
        input: { kind: 'start', role: 'requester', threadId, peer: owner, also, input, now: tx.steady },
      })
      if (record !== undefined) dial.tidy(tx, record)
    },

    receive(tx, message) {
      const record = findThread(tx, { protocol: dialBack.uri, peer: message.peer, threadId: message.threadId })
      const { record: after } = stepThread(tx, parts.threads(), {
        protocol: dialBack,
        record,
        input: { kind: 'message', message, now: tx.steady },
      })
      if (after !== undefined) dial.tidy(tx, after)
    },

    cancel: (tx, key) => command(tx, key, 'cancel'),
    opened: (tx, key) => command(tx, key, 'opened'),

    call(tx, { name, request, message }) {
      if (message === undefined) return { result: {} }
      return name === 'answerKey'
        ? answer(tx, message)
        : name === 'importKey'
          ? take(tx, message, String(request['requestId']))
          : { result: {} }
    },

    tidy(tx, record) {
      if (record.protocol !== dialBack.uri || record.role !== 'requester' || record.status === 'active') return
      for (const [key, row] of [...tx.rows('request')]) {
        if (row.threadId !== record.threadId) continue
        tx.del('key', ephThumbprint(row.request.eph))
        tx.del('request', key)
      }
    },
  }
  return dial

  function answer(tx: Tx, message: Received): ReturnType<CallCapability> {
    const read = readRequest(message.body)
    const pin = tx.get('pin', message.from)
    const account = self.account()
    if (!read.ok || pin === undefined || account === undefined) return { result: { decision: 'ignore' } }
    const { request } = read
    const decision = answerRequest({
      request,
      requester: {
        address: message.from,
        device: message.device,
        account: pin.account,
        active: keyring.device(pin, message.device)?.status === 'active',
      },
      self: { address: self.address, account },
      session: findSession(tx, request.owner.address, request.sid),
      log: tx.get('answers', logKey) ?? emptyAnswerLog,
      now: tx.now,
    })
    tx.put('answers', logKey, decision.log)
    if (decision.decision === 'answer') return { result: { decision: 'answer' }, body: decision.body }
    return { result: decision.decision === 'refuse' ? { decision: 'refuse', code: decision.code } : { decision: 'ignore' } }
  }

  function take(tx: Tx, message: Received, requestId: string): ReturnType<CallCapability> {
    const outcome = (result: 'opened' | 'kept' | 'refused'): { result: JsonObject } => ({ result: { outcome: result } })
    const account = self.account()
    const open = [...tx.rows('request')].find(([, row]) => row.request.id === requestId)
    if (open === undefined || account === undefined) return outcome('refused')
    const [key, row] = open
    const reader = { address: self.address, account, device: self.device }
    const read = readKeyAnswer(message.body, { request: row.request, from: message.from, reader, now: tx.now })
    if (!read.ok) return outcome('refused')
    const before = tx.get('held', key)
    const { held } = takeKey(before, read.smk, { source: 'answer', now: tx.now })
    tx.put('held', key, held)
    const { owner, sid } = row.request
    const waits = (): boolean =>
      [...tx.group('locked', owner.address).keys].some((name) => {
        const locked = tx.get('locked', name)
        return locked?.cause === 'key-unknown' && locked.sid === sid
      })
    if (!waits()) return outcome('kept')
    // The thread is in the middle of this very step: nothing may step it in between.
    tx.del('request', key)
    parts.unlock(tx, { owner: owner.address, sid })
    tx.put('request', key, row)
    // What decrypted and now waits for a card has proved the key as well as what was opened.
    if (waits()) {
      if (before === undefined) tx.del('held', key)
      else tx.put('held', key, before)
      return outcome('refused')
    }
    tx.put('held', key, confirmKey(held))
    return outcome('opened')
  }
}

/** An own session or one held of somebody else, by owner account and SID; candidates are not given on. */
function findSession(tx: Tx, owner: Address, sid: string): Smk | ErasedSession | undefined {
  const held = tx.get('held', sessionKey(owner, sid))
  if (held?.status === 'working') return held.smk
  for (const [, own] of tx.rows('own')) if (own.smk.sid === sid && own.smk.owner.address === owner) return own.smk
  return tx.get('erased', sessionKey(owner, sid))
}
