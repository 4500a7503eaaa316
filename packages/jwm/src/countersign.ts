/**
 * Signatures along a path (RFC 7165 §5.6): a gateway adds its own to a message, and touches neither the payload nor the
 * signatures that are there. It vouches for what passed; it does not check the others.
 * @module
 */
import type { JsonObject, Result } from '@parley/core'
import { addSignature, addSignatureAsync, type Jws, type Key, type SerializationCode, type Signer } from '@parley/jose'
import type { BinaryCode } from './binary.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'
import { type MakeCode, refusalOf } from './make.ts'
import { readJwm } from './open.ts'
import { call, run, runAsync, type Steps } from './steps.ts'
import { type MadeJwm, serialize, sizeOf } from './write.ts'

/** Who signs further, and what is written. */
export type CountersignOptions = {
  readonly signers: readonly (Key | Signer)[]
  /** By default General; compact and Flattened hold one signature only. */
  readonly form?: 'general' | 'urlsafe'
  readonly limits?: JwmLimits
}

/** Why no signature can be added. */
export type CountersignCode = MakeCode | SerializationCode | BinaryCode | 'not-signed'

/** Adds signatures to the outermost layer, which must be a signed one. */
export function countersignJwm(input: string | Uint8Array | JsonObject, options: CountersignOptions): CountersignResult {
  return run(countersignSteps(input, options))
}

/** The same with keys that answer later. */
export function countersignJwmAsync(
  input: string | Uint8Array | JsonObject,
  options: CountersignOptions,
): Promise<CountersignResult> {
  return runAsync(countersignSteps(input, options))
}

type CountersignResult = Result<{ readonly jwm: MadeJwm; readonly bytes: number }, CountersignCode>

function* countersignSteps(
  input: string | Uint8Array | JsonObject,
  { signers, form = 'general', limits = jwmLimits }: CountersignOptions,
): Steps<CountersignResult> {
  const read = readJwm(input, limits)
  if (!read.ok) return read
  const first = read.kind === 'jws' ? read.jws.signatures[0] : undefined
  // "none" is no signature to stand beside.
  if (read.kind === 'jwe' || first === undefined || first.signature.length === 0) return { ok: false, code: 'not-signed' }
  // What travels apart is not here to be signed.
  if (read.jws.detached === true) return { ok: false, code: 'form-impossible' }
  if (read.jws.signatures.length + signers.length > limits.jose.signaturesMax) return { ok: false, code: 'limit-exceeded' }
  // All signatures agree on what they cover.
  const header = { typ: 'JWM', ...(isJwm(first.protected.header['cty']) ? { cty: 'JWM' } : {}) }
  try {
    let { jws } = read
    for (const one of signers) {
      const signer = 'key' in one ? one : { key: one }
      const before = jws
      const added = { ...signer, protected: { ...header, ...signer.protected } }
      jws = yield* call<Jws>(
        () => addSignature(before, added),
        () => addSignatureAsync(before, added),
      )
    }
    const jwm = serialize({ kind: 'jws', jws }, form)
    return { ok: true, jwm, bytes: sizeOf(jwm) }
  } catch (error) {
    return refusalOf(error)
  }
}
