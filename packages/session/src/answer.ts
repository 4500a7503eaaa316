/**
 * Answering key requests: who gets a session key, who is refused with which code, who hears nothing. The memory of what
 * was answered is plain data that the caller stores with the step.
 * @module
 */
import type { Address, DeviceId, JsonObject } from '@parley/core'
import { keyBody } from './key-body.ts'
import { quotaWindowMs, type SessionLimits, sessionLimits } from './limits.ts'
import { ephThumbprint, type ReceivedRequest } from './request.ts'
import type { AudienceMember, Smk } from './smk.ts'

/** Codes of `key-refusal`; those of draft-miller-xmpp-e2e. */
export type RefusalCode = 'forbidden' | 'item-not-found' | 'not-acceptable'

/** What is left of a session when its key is erased: enough to tell its audience, and nobody else, that it is gone. */
export type ErasedSession = { readonly sid: string; readonly audience: readonly AudienceMember[]; readonly until: number }

/** What was answered lately. Plain JSON. */
export type AnswerLog = {
  /** Times of answers by device and SID. */
  readonly answers: { readonly [deviceAndSid: string]: readonly number[] }
  /** Times of refusals by account. */
  readonly refusals: { readonly [address: string]: readonly number[] }
  /** Expiry of the requests answered, by device and id. */
  readonly seen: { readonly [deviceAndId: string]: number }
}

export const emptyAnswerLog: AnswerLog = { answers: {}, refusals: {}, seen: {} }

/** The requester as it was proven: signed by `device`, which is on the newest card known of its account. */
export type Requester = {
  readonly address: Address
  readonly device: DeviceId
  /** Thumbprint of the account key on that card. */
  readonly account: string
  /** The device is on that card and not removed. */
  readonly active: boolean
}

export type Decision = { readonly log: AnswerLog } & (
  | { readonly decision: 'answer'; readonly body: JsonObject }
  | { readonly decision: 'refuse'; readonly code: RefusalCode; readonly body: JsonObject }
  /** Nothing is sent: the request is a repetition, out of date, or one too many. */
  | { readonly decision: 'ignore'; readonly cause: 'repeated' | 'expired' | 'quota' }
)

/** Decides on a request. Look `session` up under (owner account, SID) of the request, never by SID alone. */
export function answerRequest(options: {
  readonly request: ReceivedRequest
  readonly requester: Requester
  /** The own account and device. */
  readonly self: { readonly address: Address; readonly account: string }
  /** The key, in use, retired or held of another owner; a candidate is not given on. */
  readonly session: Smk | ErasedSession | undefined
  readonly log: AnswerLog
  readonly now: number
  readonly limits?: SessionLimits
}): Decision {
  const { request, requester, now, limits = sessionLimits } = options
  const log = prune(options.log, now)
  const seenName = `${requester.device} ${request.id}`
  if (Object.hasOwn(log.seen, seenName)) return { decision: 'ignore', cause: 'repeated', log }
  if (request.expires <= now) return { decision: 'ignore', cause: 'expired', log }
  const code = refusalCode(options)
  if (code !== undefined) return refuse(log, { code, request, requester, now, limits })
  const answersName = `${requester.device} ${request.sid}`
  const answers = log.answers[answersName] ?? []
  // Nothing is said, so that the next device is asked; the hour passes.
  if (answers.length >= limits.answersPerHourMax) return { decision: 'ignore', cause: 'quota', log }
  // Only what was answered is remembered, so that nobody fills the memory with requests that are refused anyway.
  // It ends where the longest request does, whatever the requester writes.
  const seen = {
    ...makeRoom(log.seen, limits.requestsSeenMax),
    [seenName]: Math.min(request.expires, now + limits.requestLifetimeMs),
  }
  return {
    decision: 'answer',
    // refusalCode has seen both: a key in the session and one in the request.
    body: answerBody(options.session as Smk, request, requester.device),
    log: { ...log, seen, answers: { ...log.answers, [answersName]: [...answers, now] } },
  }
}

/** Remembers the audience of a session whose key is erased, for as long again as it was kept. */
export function eraseSession(smk: Smk, now: number, limits: SessionLimits = sessionLimits): ErasedSession {
  return { sid: smk.sid, audience: smk.audience, until: now + limits.retentionMs }
}

function refusalCode({ request, requester, self, session }: Parameters<typeof answerRequest>[0]): RefusalCode | undefined {
  // First, and for anybody: it says nothing of what is here, and every other refusal can be sealed to that key.
  if (request.eph === undefined) return 'not-acceptable'
  const own = requester.address === self.address
  // Third parties of the audience ask the owner's account; we answer for ourselves and to our own devices.
  if (!own && request.owner.address !== self.address) return 'forbidden'
  if (!requester.active || (own && requester.account !== self.account)) return 'forbidden'
  // The same word whether there is such a session or not: a stranger must not learn it.
  const member = session?.audience.find(({ address }) => address === requester.address)
  if (!own && (member === undefined || member.account !== requester.account)) return 'forbidden'
  if (session === undefined || !('key' in session) || session.sid !== request.sid) return 'item-not-found'
  if (session.owner.address !== request.owner.address || session.owner.device !== request.owner.device) return 'item-not-found'
  return undefined
}

function refuse(
  log: AnswerLog,
  refusal: {
    readonly code: RefusalCode
    readonly request: ReceivedRequest
    readonly requester: Requester
    readonly now: number
    readonly limits: SessionLimits
  },
): Decision {
  const { code, request, requester, now, limits } = refusal
  const refusals = log.refusals[requester.address] ?? []
  const crowded = refusals.length === 0 && Object.keys(log.refusals).length >= limits.requestsSeenMax
  if (crowded || refusals.length >= limits.refusalsPerHourMax) return { decision: 'ignore', cause: 'quota', log }
  const body = { id: request.id, sid: request.sid, code }
  return {
    decision: 'refuse',
    code,
    body,
    log: { ...log, refusals: { ...log.refusals, [requester.address]: [...refusals, now] } },
  }
}

function answerBody(smk: Smk, request: ReceivedRequest, device: DeviceId): JsonObject {
  return { id: request.id, eph: request.eph === undefined ? '' : ephThumbprint(request.eph), requester: device, ...keyBody(smk) }
}

// What is forgotten early may be answered twice, to the same key of the same device.
function makeRoom(seen: AnswerLog['seen'], max: number): AnswerLog['seen'] {
  const entries = Object.entries(seen)
  if (entries.length < max) return seen
  return Object.fromEntries(entries.sort(([, a], [, b]) => b - a).slice(0, max - 1))
}

function prune(log: AnswerLog, now: number): AnswerLog {
  const fresh = (times: readonly number[]): readonly number[] => times.filter((time) => time > now - quotaWindowMs && time <= now)
  const pruned = (lists: AnswerLog['answers']): AnswerLog['answers'] =>
    Object.fromEntries(
      Object.entries(lists).flatMap(([name, times]) => (fresh(times).length === 0 ? [] : [[name, fresh(times)]])),
    )
  const seen = Object.fromEntries(Object.entries(log.seen).filter(([, expires]) => expires > now))
  return { answers: pruned(log.answers), refusals: pruned(log.refusals), seen }
}
