/**
 * `parley jwm make|open|inspect`: one JSON request a line in, one JSON result a line out, in order. This maps requests
 * to `@parley/jwm` and back; what the members mean is in this package's README.
 * @module
 */
import {
  base64url,
  fromBase64url,
  isJsonObject,
  type Json,
  type JsonObject,
  parseJsonObject,
  type Random,
  type Result,
  utf8,
} from '@parley/core'
import { type Key, type KeyCode, readKey } from '@parley/jose'
import {
  type AllowList,
  inspectJwm,
  isBinary,
  type JwmForm,
  type Layer,
  type MakeCode,
  makeJwm,
  type OpenCode,
  openJwm,
} from '@parley/jwm'

export const jwmVerbs = ['make', 'open', 'inspect'] as const
export type JwmVerb = (typeof jwmVerbs)[number]

type Code = 'request-malformed' | KeyCode | MakeCode | OpenCode
type Answer = Result<{ readonly result: JsonObject }, Code>

const malformed = { ok: false, code: 'request-malformed' } as const
const requestLimits = { bytesMax: 64 * 1024 * 1024, depthMax: 64 }

/** Answers one line. Whatever stands in it, the answer is one line of JSON. */
export function runJwm(verb: JwmVerb, line: string | Uint8Array, { random }: { readonly random: Random }): string {
  const request = parseJsonObject(line, requestLimits)
  const answer = request.ok ? verbs[verb](request.value, random) : malformed
  const output: JsonObject = answer.ok ? { ok: true, ...answer.result } : { ok: false, error: answer.code }
  // Some readers of lines break at these too.
  return JSON.stringify(output).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

export type JwmLinesOptions = {
  readonly random: Random
  /** Takes one answer with its line feed, and resolves when more may follow. */
  readonly write: (text: string) => Promise<void> | void
}

/** Answers the lines of `chunks` in order, each as soon as it is complete. */
export async function runJwmLines(
  verb: JwmVerb,
  chunks: AsyncIterable<Uint8Array>,
  { random, write }: JwmLinesOptions,
): Promise<void> {
  // node:readline also breaks at U+2028, which JSON strings may hold.
  let held: Uint8Array[] = []
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      held.push(chunk.subarray(start, end))
      await write(`${runJwm(verb, Buffer.concat(held), { random })}\n`)
      held = []
      start = end + 1
    }
    if (start < chunk.length) held.push(chunk.subarray(start))
  }
  if (held.length > 0) await write(`${runJwm(verb, Buffer.concat(held), { random })}\n`)
}

const verbs: { readonly [V in JwmVerb]: (request: JsonObject, random: Random) => Answer } = { make, open, inspect }

const forms: readonly JwmForm[] = ['general', 'flattened', 'compact', 'urlsafe', 'binary']

function make(request: JsonObject, random: Random): Answer {
  const { enc, order = 'sign-encrypt', form = 'general', unsecured = false } = request
  const payload = payloadOf(request)
  const known = forms.find((name) => name === form)
  if (payload === undefined || known === undefined || (order !== 'sign-encrypt' && order !== 'encrypt-sign')) return malformed
  if ((enc !== undefined && typeof enc !== 'string') || typeof unsecured !== 'boolean') return malformed
  const signers = keysOf(request['sign_keys'])
  if (!signers.ok) return signers
  const recipients = keysOf(request['recipients'])
  if (!recipients.ok) return recipients
  const made = makeJwm(payload, {
    signers: signers.keys,
    recipients: recipients.keys,
    random,
    form: known,
    order,
    unsecured,
    ...(enc === undefined ? {} : { enc }),
  })
  if (!made.ok) return made
  if (!(made.jwm instanceof Uint8Array)) return { ok: true, result: { jwm: made.jwm } }
  const octets = base64url(made.jwm)
  return { ok: true, result: { jwm: octets, jwm_b64u: octets } }
}

function open(request: JsonObject): Answer {
  const { require = 'all', require_signature: requireSignature = false } = request
  const input = messageOf(request)
  const algorithms = allowListOf(request['algorithms'])
  if (input === undefined || algorithms === undefined) return malformed
  if ((require !== 'all' && require !== 'any') || typeof requireSignature !== 'boolean') return malformed
  // A key of a type that is not known here opens nothing, and stops nothing.
  const keys = keysOf(request['keys'], { skipUnsupported: true })
  if (!keys.ok) return keys
  const verifyKeys = keysOf(request['verify_keys'], { skipUnsupported: true })
  if (!verifyKeys.ok) return verifyKeys
  const opened = openJwm(input, { keys: keys.keys, verifyKeys: verifyKeys.keys, require, requireSignature, algorithms })
  if (!opened.ok) return opened
  const content: JsonObject =
    opened.object === undefined ? { payload_b64u: base64url(opened.payload) } : { payload: opened.object }
  return { ok: true, result: { ...content, committed: opened.committed, layers: opened.layers.map(showLayer) } }
}

function inspect(request: JsonObject): Answer {
  const input = messageOf(request)
  if (input === undefined) return malformed
  const shown = inspectJwm(input)
  // Members that are undefined leave with the JSON text.
  return shown.ok ? { ok: true, result: { layers: shown.layers as unknown as Json } } : shown
}

function showLayer(layer: Layer): JsonObject {
  if (layer.kind === 'jwe') return { kind: 'jwe', alg: layer.alg, enc: layer.enc, kid: layer.kid ?? null, header: layer.header }
  return { kind: 'jws', signatures: layer.signatures.map(({ alg, kid, verified }) => ({ alg, kid: kid ?? null, verified })) }
}

function payloadOf({ payload, payload_b64u: octets }: JsonObject): Uint8Array | undefined {
  if (isJsonObject(payload)) return octets === undefined ? utf8(JSON.stringify(payload)) : undefined
  return payload === undefined && typeof octets === 'string' ? fromBase64url(octets) : undefined
}

function messageOf({ jwm, jwm_b64u: octets }: JsonObject): string | Uint8Array | JsonObject | undefined {
  if (octets !== undefined) return jwm === undefined && typeof octets === 'string' ? fromBase64url(octets) : undefined
  if (typeof jwm === 'string') {
    // The binary serialization as text is its base64url, as `make` shows it.
    const bytes = fromBase64url(jwm)
    return bytes !== undefined && isBinary(bytes) ? bytes : jwm
  }
  return isJsonObject(jwm) ? jwm : undefined
}

function keysOf(jwks: Json | undefined, { skipUnsupported = false } = {}): Result<{ readonly keys: readonly Key[] }, Code> {
  if (jwks === undefined) return { ok: true, keys: [] }
  if (!Array.isArray(jwks)) return malformed
  const keys: Key[] = []
  for (const jwk of jwks as readonly Json[]) {
    const read = readKey(jwk)
    if (read.ok) keys.push(read.key)
    else if (!(skipUnsupported && read.code === 'key-unsupported')) return read
  }
  return { ok: true, keys }
}

const listNames = ['jws', 'jwe', 'enc'] as const

// One list for everything, or one per kind; `alg` stands for jws and jwe together.
function allowListOf(value: Json | undefined): AllowList | undefined {
  if (value === undefined) return {}
  if (isNames(value)) return { jws: value, jwe: value, enc: value }
  if (!isJsonObject(value)) return undefined
  const lists: { -readonly [Name in keyof AllowList]: AllowList[Name] } = {}
  for (const [name, list] of Object.entries(value)) {
    if (!isNames(list)) return undefined
    const kind = listNames.find((known) => known === name)
    if (kind !== undefined) lists[kind] = list
    else if (name !== 'alg') return undefined
  }
  const { alg } = value
  return isNames(alg) ? { jws: alg, jwe: alg, ...lists } : lists
}

function isNames(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}
