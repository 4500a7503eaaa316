/**
 * Taking answers to key requests: only to an open request, only from the owner's or the own account, bound to request,
 * key and requester (design §4). What passes here is a candidate; see held.ts.
 * @module
 */
import type { Address, DeviceId, Json, Result } from '@parley/core'
import type { RefusalCode } from './answer.ts'
import { keyMembers, readSmk } from './key-body.ts'
import { type SessionLimits, sessionLimits } from './limits.ts'
import { exactly, readRequestId, readSid } from './members.ts'
import { ephThumbprint, type KeyRequest } from './request.ts'
import { checkReader, isCurrent, type Reader, type Smk } from './smk.ts'

export type AnswerCode =
  | 'answer-malformed'
  /** Not from the owner's account nor the own one. */
  | 'answer-stranger'
  /** To another request, key, device or session than the open one. */
  | 'answer-mismatch'
  | 'request-expired'
  | 'session-identity-substituted'
  | 'session-not-audience'
  | 'key-out-of-time'

/** Reads an answer that `from` signed, to `request`. */
export function readKeyAnswer(
  body: Json,
  options: {
    readonly request: KeyRequest
    readonly from: Address
    readonly reader: Reader & { readonly device: DeviceId }
    readonly now: number
    readonly limits?: SessionLimits
  },
): Result<{ readonly smk: Smk }, AnswerCode> {
  const { request, from, reader, now, limits = sessionLimits } = options
  const members = exactly(body, ['id', 'eph', 'requester', ...keyMembers])
  const smk = members === undefined ? undefined : readSmk(members, limits)
  if (members === undefined || smk === undefined) return { ok: false, code: 'answer-malformed' }
  if (from !== request.owner.address && from !== reader.address) return { ok: false, code: 'answer-stranger' }
  const bound =
    members['id'] === request.id &&
    members['eph'] === ephThumbprint(request.eph) &&
    members['requester'] === reader.device &&
    smk.sid === request.sid &&
    smk.owner.address === request.owner.address &&
    smk.owner.device === request.owner.device
  if (!bound) return { ok: false, code: 'answer-mismatch' }
  if (request.expires <= now) return { ok: false, code: 'request-expired' }
  const code = checkReader(smk, reader)
  if (code !== undefined) return { ok: false, code }
  if (!isCurrent(smk, { now, limits })) return { ok: false, code: 'key-out-of-time' }
  return { ok: true, smk }
}

/** Reads a refusal. */
export function readRefusal(
  body: Json,
): Result<{ readonly id: string; readonly sid: string; readonly refusal: RefusalCode }, 'refusal-malformed'> {
  const members = exactly(body, ['id', 'sid', 'code'])
  const id = readRequestId(members?.['id'])
  const sid = readSid(members?.['sid'])
  const refusal = refusalCodes.find((code) => code === members?.['code'])
  if (id === undefined || sid === undefined || refusal === undefined) return { ok: false, code: 'refusal-malformed' }
  return { ok: true, id, sid, refusal }
}

const refusalCodes: readonly RefusalCode[] = ['forbidden', 'item-not-found', 'not-acceptable']
