/**
 * The private attribute `parley` of signed content (design §3.1, §7), written and read, and the attributes around it.
 * @module
 */
import { type Address, fromImUri, isJsonObject, type Json, type JsonObject, type Result, toImUri } from '@parley/core'
import type { Attributes } from '@parley/jwm'
import type { AudienceMember } from '@parley/session'

/** What every signed content carries about itself. */
export type Numbers = {
  readonly inc: string
  /** 0 on messages that are not counted. */
  readonly seq: number
  readonly prev: number
  /** The session key it is under, if any. */
  readonly sid?: string
  /** Version of the sender's own card. */
  readonly card: number
  /** On content sealed straight to agreement keys: whom it is for, by account key (design §3.4). */
  readonly audience?: readonly AudienceMember[]
}

export function toParley(numbers: Numbers): JsonObject {
  const { inc, seq, prev, sid, card, audience } = numbers
  return {
    parley: {
      inc,
      seq,
      prev,
      ...(sid === undefined ? {} : { sid }),
      card,
      ...(audience === undefined
        ? {}
        : { audience: audience.map(({ address, account, version }) => ({ address: toImUri(address), account, version })) }),
    },
  }
}

/** The parts of verified attributes that the agent needs, or why they are not of a Parley message. */
export type Content = {
  readonly id: string
  readonly type: string
  readonly body: JsonObject
  readonly from: Address
  readonly to: readonly Address[]
  readonly threadId?: string
  readonly referentId?: string
  /** Milliseconds. */
  readonly sent: number
  readonly expiry: number
  readonly numbers: Numbers
}

export function readContent(attributes: Attributes): Result<{ readonly content: Content }, 'content-malformed'> {
  const { id, type, body = {}, timeStamp, expiry, threadId, referentId } = attributes
  const from = attributes.from === undefined ? undefined : fromImUri(attributes.from)
  const to = (attributes.to ?? []).map(fromImUri)
  const numbers = readNumbers(attributes.others?.['parley'])
  if (id === undefined || type === undefined || from === undefined || timeStamp === undefined || expiry === undefined)
    return malformed
  if (numbers === undefined || to.length === 0 || !to.every((address) => address !== undefined)) return malformed
  return {
    ok: true,
    content: {
      id,
      type,
      body,
      from,
      to,
      ...(threadId === undefined ? {} : { threadId }),
      ...(referentId === undefined ? {} : { referentId }),
      sent: timeStamp * 1000,
      expiry: expiry * 1000,
      numbers,
    },
  }
}

const malformed = { ok: false, code: 'content-malformed' } as const

function readNumbers(value: Json | undefined): Numbers | undefined {
  if (!isJsonObject(value)) return undefined
  const { inc, seq, prev, sid, card, audience: list } = value
  if (typeof inc !== 'string' || !/^[A-Za-z0-9_-]{11}$/.test(inc) || !isCount(seq) || !isCount(prev) || !isCount(card))
    return undefined
  if ((sid !== undefined && typeof sid !== 'string') || (prev !== 0 && prev >= seq)) return undefined
  const audience = list === undefined ? undefined : readAudience(list)
  if (list !== undefined && audience === undefined) return undefined
  return { inc, seq, prev, card, ...(sid === undefined ? {} : { sid }), ...(audience === undefined ? {} : { audience }) }
}

function readAudience(list: Json): readonly AudienceMember[] | undefined {
  if (!Array.isArray(list)) return undefined
  const members: AudienceMember[] = []
  for (const item of list as readonly Json[]) {
    if (!isJsonObject(item)) return undefined
    const { address: uri, account, version } = item
    const address = typeof uri === 'string' ? fromImUri(uri) : undefined
    if (address === undefined || typeof account !== 'string' || !isCount(version)) return undefined
    members.push({ address, account, version })
  }
  return members
}

function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
