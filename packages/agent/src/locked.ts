/**
 * Messages that wait, as the application may show them: why, what is done about it, whom it was asked of, when the next try
 * comes and when the wait ends by itself.
 * @module
 */
import type { Address, DeviceId } from '@parley/core'
import { nextDeadline } from '@parley/kernel'
import { dialBack } from '@parley/protocols/dial-back'
import { sessionKey } from '@parley/session'
import type { LockCause, LockedRow } from './rows.ts'
import type { State } from './state.ts'
import { findThread } from './threads.ts'
import type { Moment } from './time.ts'

/** What is done so that a message opens. */
export type Repair = {
  /**
   * `key-request`: devices are asked for the session key. `card-fetch`: the sender's card is asked for. `resend`: the sender is
   * asked for an earlier message. `decision`: the person decides (`decide`), about keys or about what a compromised device sent. `update`: a newer program may know the protocol.
   */
  readonly kind: 'key-request' | 'card-fetch' | 'resend' | 'decision' | 'update'
  /** Devices that were asked so far. */
  readonly asked: readonly { readonly address: Address; readonly device: DeviceId }[]
  /** When more is tried; absent when there is nothing left but to wait. */
  readonly next?: number
}

/** A message that cannot be opened or handed over yet, and what is done about it. Times are milliseconds. */
export type LockedMessage = {
  readonly from: Address
  readonly cause: LockCause
  readonly since: number
  /** When the wait ends with a report, or for `order` with a gap. */
  readonly deadline: number
  readonly repair: Repair
}

/** Lists what waits, in the order it came. */
export function listLocked(
  state: State,
  { moment, nextFetch }: { readonly moment: Moment; nextFetch(of: Address): number | undefined },
): readonly LockedMessage[] {
  // What is stored is by the steady time; people read the wall clock.
  const ahead = moment.steady - moment.now
  return [...state.rows('locked')].map(([, row]) => {
    const { from, cause, received, deadline } = row
    const repair = repairOf(state, row, { ahead, nextFetch: nextFetch(row.owner) })
    return { from, cause, since: received, deadline: deadline - ahead, repair }
  })
}

type Next = { readonly ahead: number; readonly nextFetch: number | undefined }

function repairOf(state: State, row: LockedRow, { ahead, nextFetch }: Next): Repair {
  switch (row.cause) {
    case 'key-unknown':
      return keyRequest(state, row, ahead)
    case 'card-unknown':
    case 'card-outdated':
      return { kind: 'card-fetch', asked: [], ...(nextFetch === undefined ? {} : { next: nextFetch }) }
    case 'order': {
      const { ask, from, device } = row
      return ask === undefined
        ? { kind: 'resend', asked: [{ address: from, device }] }
        : { kind: 'resend', asked: [], next: ask - ahead }
    }
    case 'trust-held':
    case 'signer-removed':
      return { kind: 'decision', asked: [] }
    case 'protocol-unknown':
      return { kind: 'update', asked: [] }
  }
}

type Target = { readonly address: Address; readonly devices: readonly DeviceId[] }

// The requester's machine (protocols/dial-back) says in its context whom it asks, target by target.
function keyRequest(state: State, { owner, sid }: LockedRow, ahead: number): Repair {
  const request = state.get('request', sessionKey(owner, sid ?? ''))
  const record =
    request === undefined ? undefined : findThread(state, { protocol: dialBack.uri, peer: owner, threadId: request.threadId })
  if (record === undefined) return { kind: 'key-request', asked: [] }
  const { targets, asking } = record.state.context as { readonly targets?: readonly Target[]; readonly asking?: number }
  const isWaiting = JSON.stringify(record.state.value) === '{"open":"waiting"}'
  const reached = isWaiting ? [] : (targets ?? []).slice(0, (asking ?? 0) + 1)
  const asked = reached.flatMap(({ address, devices }) => devices.map((device) => ({ address, device })))
  const at = nextDeadline(record)?.at
  const next = at === undefined ? undefined : at - ahead
  const ends = request?.request.expires
  return { kind: 'key-request', asked, ...(next === undefined || (ends !== undefined && next >= ends) ? {} : { next }) }
}
