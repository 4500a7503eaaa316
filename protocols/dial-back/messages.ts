/**
 * Messages of dial-back 1: kernel types, sent and read by agents only. `key` goes ahead of a session's first message
 * and is no part of this exchange; it stands here because it is what the exchange makes up for.
 * @module
 */
import { defineMessage } from '@parley/kernel'
import * as z from 'zod/mini'

const requestId = z.string().check(z.regex(/^[A-Za-z0-9_-]{22}$/))
const sid = z.string().check(z.regex(/^[A-Za-z0-9_-]{22}$/))
const thumbprint = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/))
const seconds = z.int().check(z.nonnegative())
const address = z.string().check(z.startsWith('im:'), z.maxLength(400))
const owner = z.strictObject({ address, device: thumbprint })

const refusalCodes = ['forbidden', 'item-not-found', 'not-acceptable'] as const
/** Codes of a refusal (draft-miller-xmpp-e2e). */
export type RefusalCode = (typeof refusalCodes)[number]

/** Asks for the session key `sid` of `owner`, to be sealed to `eph` and to nothing else. */
export const keyRequest = defineMessage({
  type: 'urn:parley:kernel:1:key-request',
  // The kind of `eph` is left open: a key that the owner can't use is answered, not dropped.
  body: z.strictObject({ id: requestId, sid, owner, eph: z.record(z.string(), z.string()), expiry: seconds }),
  bytesMax: 4096,
})

/** Gives the key, with what is bound to it. */
export const keyAnswer = defineMessage({
  type: 'urn:parley:kernel:1:key-answer',
  body: z.strictObject({
    id: requestId,
    eph: thumbprint,
    requester: thumbprint,
    sid,
    key: z.strictObject({ kty: z.literal('oct'), kid: sid, alg: z.literal('A256KW'), k: thumbprint }),
    owner,
    audience: z
      .array(z.strictObject({ address, account: thumbprint, version: z.int().check(z.positive()) }))
      .check(z.minLength(1), z.maxLength(1024)),
    validity: z.strictObject({ from: seconds, until: seconds }),
  }),
  bytesMax: 512 * 1024,
  secret: true,
})

/** Says why there is no key. */
export const keyRefusal = defineMessage({
  type: 'urn:parley:kernel:1:key-refusal',
  body: z.strictObject({ id: requestId, sid, code: z.enum(refusalCodes) }),
  bytesMax: 512,
})

export const messages = { 'key-request': keyRequest, 'key-answer': keyAnswer, 'key-refusal': keyRefusal }
