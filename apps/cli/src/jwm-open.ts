/**
 * `parley jwm open` and `inspect`: what a message holds and what was proved of it, or what it shows without a key.
 * @module
 */
import { base64url, type Json, type JsonObject, type Result } from '@parley/core'
import { type OpenJwkCode, openJwk, openJwkSet, readJose, type SplitCode, splitGeneral, thumbprintUri } from '@parley/jose'
import { mlDsa } from '@parley/jose/ml-dsa'
import {
  inspectJwm,
  isBinary,
  jwmLimits,
  jwmProfiles,
  type Layer,
  type OpenCode,
  type OpenJwmOptions,
  openJwm,
  type Proved,
  readBinary,
} from '@parley/jwm'
import {
  allowLists,
  count,
  flag,
  keysOf,
  malformed,
  messageOf,
  names,
  object,
  octets,
  oneOf,
  optionsOf,
  type Reader,
  type RequestCode,
  type Table,
  text,
} from './jwm-request.ts'

export type OpenedCode = RequestCode | OpenCode | OpenJwkCode | SplitCode
type Opened = Result<{ readonly result: JsonObject }, OpenedCode>

const require: Reader<'all' | 'any' | readonly string[]> = (value) => oneOf('all', 'any')(value) ?? names(value)
const audience: Reader<string | readonly string[]> = (value) => text(value) ?? names(value)
const holders: Reader<{ readonly [kid: string]: string }> = (value) => {
  const table = object(value)
  // Every value was found to be a text.
  if (table === undefined || !Object.values(table).every((holder) => typeof holder === 'string')) return undefined
  return table as { readonly [kid: string]: string }
}

const table: Table = [
  ['profile', 'profile', oneOf(...Object.keys(jwmProfiles))],
  ['require', 'require', require],
  ['require_signature', 'requireSignature', flag],
  ['origin', 'origin', oneOf('signature', 'any', 'none')],
  ['require_encryption', 'requireEncryption', flag],
  ['require_commitment', 'requireCommitment', flag],
  ['orders', 'orders', names],
  ['algorithms', 'algorithms', allowLists],
  ['audience', 'audience', audience],
  ['holders', 'holders', holders],
  ['typ', 'typ', oneOf('ignored', 'checked', 'required')],
  ['required_attributes', 'requiredAttributes', names],
  ['now_ms', 'nowMs', count],
  ['skew_ms', 'skewMs', count],
  ['layers_max', 'layersMax', count],
  ['payload_b64u', 'payload', octets],
  ['zip', 'zip', flag],
]

/** Answers one request to open. */
export function open(request: JsonObject): Opened {
  const input = messageOf(request)
  const options = optionsOf<OpenJwmOptions>(request, table)
  const bytesMax = request['bytes_max'] === undefined ? jwmLimits.jose.bytesMax : count(request['bytes_max'])
  if (input === undefined || options === undefined || bytesMax === undefined) return malformed
  // A key of a type that is not known here opens nothing, and stops nothing.
  const keys = keysOf(request['keys'], { skipUnsupported: true })
  if (!keys.ok) return keys
  const verifyKeys = keysOf(request['verify_keys'], { skipUnsupported: true })
  if (!verifyKeys.ok) return verifyKeys
  const limits = { ...jwmLimits, jose: { ...jwmLimits.jose, bytesMax } }
  const settings: OpenJwmOptions = { ...options, keys: keys.keys, verifyKeys: verifyKeys.keys, limits }
  const { content = 'payload' } = request
  if (content !== 'payload') return openKeys(content, input, settings)
  const opened = openJwm(input, settings)
  if (!opened.ok) return opened
  const shown: JsonObject = opened.object === undefined ? { payload_b64u: base64url(opened.payload) } : { payload: opened.object }
  const { committed, layers, proved } = opened
  return { ok: true, result: { ...shown, committed, layers: layers.map(showLayer), proved: showProved(proved) } }
}

/** Answers one request to inspect. */
export function inspect(request: JsonObject): Opened {
  const { keys: jwks, split = false } = request
  if (typeof split !== 'boolean') return malformed
  const keys = keysOf(jwks, { skipUnsupported: true })
  if (!keys.ok) return keys
  const named = keys.keys.map(({ kty, kid, thumbprint, publicJwk }) => ({
    kty,
    kid: kid ?? null,
    thumbprint: thumbprint ?? null,
    thumbprint_uri: publicJwk === undefined ? null : thumbprintUri(publicJwk),
  }))
  const asked = jwks === undefined ? {} : { keys: named }
  if (request['jwm'] === undefined && request['jwm_b64u'] === undefined && jwks !== undefined) return { ok: true, result: asked }
  const input = messageOf(request)
  if (input === undefined) return malformed
  const shown = inspectJwm(input)
  if (!shown.ok) return shown
  // Members that are undefined leave with the JSON text.
  const result: JsonObject = { layers: shown.layers as unknown as Json, ...asked }
  if (!split) return { ok: true, result }
  const parts = splitGeneral(typeof input === 'string' ? input : input instanceof Uint8Array ? '' : JSON.stringify(input))
  return parts.ok ? { ok: true, result: { ...result, shared: parts.shared, entries: parts.entries } } : parts
}

function openKeys(content: Json, input: string | Uint8Array | JsonObject, options: OpenJwmOptions): Opened {
  const { keys = [], algorithms, limits } = options
  if ((content !== 'jwk' && content !== 'jwks') || Array.isArray(algorithms)) return malformed
  const read = input instanceof Uint8Array && isBinary(input) ? readBinary(input, limits?.jose) : readJose(input, limits?.jose)
  if (!read.ok) return read
  if (!('jwe' in read)) return { ok: false, code: 'content-mismatch' }
  const lists = algorithms as Exclude<typeof algorithms, readonly unknown[]>
  const settings = {
    keys,
    import: { extensions: [mlDsa] },
    ...(lists?.jwe === undefined ? {} : { algorithms: lists.jwe }),
    ...(lists?.enc === undefined ? {} : { contentAlgorithms: lists.enc }),
  }
  if (content === 'jwks') {
    const set = openJwkSet(read.jwe, settings)
    if (!set.ok) return { ok: false, code: set.code === 'jwk-set-malformed' ? 'content-mismatch' : set.code }
    const thumbprints = set.keys.map(({ kid, thumbprint }) => ({ kid: kid ?? null, thumbprint: thumbprint ?? null }))
    return { ok: true, result: { keys: thumbprints, ignored: set.ignored.map(({ position, code }) => ({ position, code })) } }
  }
  const one = openJwk(read.jwe, settings)
  if (!one.ok) return one
  return { ok: true, result: { jwk: one.jwk as unknown as JsonObject, thumbprint: one.key.thumbprint ?? null } }
}

function showLayer(layer: Layer): JsonObject {
  if (layer.kind === 'jws')
    return { kind: 'jws', signatures: layer.signatures.map(({ alg, kid, verified }) => ({ alg, kid: kid ?? null, verified })) }
  const { alg, enc, kid, header, aad } = layer
  return { kind: 'jwe', alg, enc, kid: kid ?? null, header, ...(aad === undefined ? {} : { aad_b64u: base64url(aad) }) }
}

function showProved({
  signedBy,
  passedOnBy,
  encryptedTo,
  committed,
  order,
  origin,
  anonymous,
  from,
  audience,
}: Proved): JsonObject {
  return {
    signed_by: signedBy,
    passed_on_by: passedOnBy,
    encrypted_to: encryptedTo,
    committed,
    order,
    origin: origin ?? null,
    anonymous,
    from: from ?? null,
    audience,
  }
}
