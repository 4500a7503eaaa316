/**
 * `parley jwm make`: a message out of a payload; a further signature on one that is there; a key or a set of keys,
 * encrypted; or one message out of the parts that `inspect` split it into.
 * @module
 */
import { base64url, isJsonObject, type Json, type JsonObject, type Random, type Result, utf8 } from '@parley/core'
import {
  type Jwe,
  type Jwk,
  type JwkAttribute,
  joinFlattened,
  joinGeneral,
  type SplitCode,
  sealJwk,
  sealJwkSet,
} from '@parley/jose'
import {
  type CountersignCode,
  countersignJwm,
  type JwmForm,
  jwmProfiles,
  type MadeJwm,
  type MakeCode,
  type MakeOptions,
  makeJwm,
  writeJwe,
} from '@parley/jwm'
import {
  allowList,
  flag,
  iterations,
  malformed,
  messageOf,
  names,
  object,
  octets,
  oneOf,
  optionsOf,
  type RequestCode,
  recipientsOf,
  signersOf,
  type Table,
  text,
} from './jwm-request.ts'

export type MadeCode = RequestCode | MakeCode | CountersignCode | SplitCode
type Made = Result<{ readonly result: JsonObject }, MadeCode>

const forms: readonly JwmForm[] = ['general', 'flattened', 'compact', 'urlsafe', 'binary']
const attributes: readonly JwkAttribute[] = ['kty', 'kid', 'alg', 'use', 'key_ops']

const table: Table = [
  ['form', 'form', oneOf(...forms)],
  ['order', 'order', oneOf('sign-encrypt', 'encrypt-sign')],
  ['enc', 'enc', text],
  ['unsecured', 'unsecured', flag],
  ['profile', 'profile', oneOf(...Object.keys(jwmProfiles))],
  ['algorithms', 'algorithms', allowList],
  ['replicate', 'replicate', names],
  ['unencoded', 'unencoded', flag],
  ['detached', 'detached', flag],
  ['aad_b64u', 'aad', octets],
  ['unprotected', 'unprotected', object],
  ['zip', 'zip', oneOf('DEF')],
  ['password_iterations', 'passwordIterations', iterations],
]

/** Answers one request. */
export function make(request: JsonObject, random: Random): Made {
  const given = ['payload', 'payload_b64u', 'jwm', 'jwm_b64u', 'jwk', 'jwks', 'shared'].filter(
    (name) => request[name] !== undefined,
  )
  if (given.length !== 1) return malformed
  const [what = ''] = given
  if (what === 'shared') return join(request)
  const options = optionsOf<MakeOptions>(request, table)
  const signers = signersOf(request['sign_keys'])
  const recipients = recipientsOf(request['recipients'])
  if (options === undefined) return malformed
  if (!signers.ok) return signers
  if (!recipients.ok) return recipients
  const { form = 'general' } = options
  if (what === 'jwm' || what === 'jwm_b64u') return countersign(request, { form, signers: signers.all })
  const parts = { ...options, form, random, recipients: recipients.all }
  if (what === 'jwk' || what === 'jwks') return wrapKeys(request, parts)
  const payload = payloadOf(request)
  if (payload === undefined) return malformed
  const made = makeJwm(payload, { ...parts, signers: signers.all })
  return made.ok ? show(made) : made
}

function show({ jwm, bytes }: { readonly jwm: MadeJwm; readonly bytes: number }): Made {
  if (!(jwm instanceof Uint8Array)) return { ok: true, result: { jwm, bytes } }
  const encoded = base64url(jwm)
  return { ok: true, result: { jwm: encoded, jwm_b64u: encoded, bytes } }
}

type CountersignParts = { readonly form: JwmForm; readonly signers: MakeOptions['signers'] & object }

function countersign(request: JsonObject, { form, signers }: CountersignParts): Made {
  const message = messageOf(request)
  if (message === undefined || signers.length === 0) return malformed
  if (form !== 'general' && form !== 'urlsafe') return { ok: false, code: 'form-impossible' }
  const made = countersignJwm(message, { signers, form })
  return made.ok ? show(made) : made
}

function wrapKeys({ jwk, jwks, shown }: JsonObject, parts: MakeOptions): Made {
  const { recipients = [], random, form, enc, passwordIterations } = parts
  const options = {
    recipients: recipients.map((one) => ('key' in one ? one : { key: one })),
    random,
    allProtected: form === 'compact',
    ...(enc === undefined ? {} : { enc }),
    ...(passwordIterations === undefined ? {} : { passwordIterations }),
  }
  const attributesShown = attributes.filter((name) => Array.isArray(shown) && shown.includes(name))
  if (shown !== undefined && (!Array.isArray(shown) || attributesShown.length !== shown.length)) return malformed
  if (options.recipients.length === 0) return { ok: false, code: 'nothing-secures-it' }
  // What is in the JWKs is for whoever opens them to check.
  const set = Array.isArray(jwks) && jwks.every(isJsonObject) ? (jwks as unknown as readonly Jwk[]) : undefined
  const one = isJsonObject(jwk) ? (jwk as unknown as Jwk) : undefined
  if (one === undefined && set === undefined) return malformed
  const seal = (): Jwe =>
    one === undefined ? sealJwkSet(set ?? [], options) : sealJwk(one, { ...options, shown: attributesShown })
  const made = writeJwe(seal, form)
  return made.ok ? show(made) : made
}

function join({ shared, entries, form = 'general' }: JsonObject): Made {
  if (typeof shared !== 'string' || !Array.isArray(entries)) return malformed
  const all = (entries as readonly Json[]).filter((entry) => typeof entry === 'string')
  if (all.length !== entries.length || (form !== 'general' && form !== 'flattened')) return malformed
  const [only = '', ...others] = all
  if (form === 'flattened' && others.length > 0) return { ok: false, code: 'form-impossible' }
  const joined = form === 'general' ? joinGeneral(shared, all) : joinFlattened(shared, only)
  return joined.ok ? { ok: true, result: { jwm: joined.text, bytes: utf8(joined.text).length } } : joined
}

function payloadOf({ payload, payload_b64u: encoded }: JsonObject): Uint8Array | undefined {
  if (encoded !== undefined) return octets(encoded)
  return isJsonObject(payload) ? utf8(JSON.stringify(payload)) : undefined
}
