/**
 * What a message shows without any key: its layers, headers and sizes. Nothing here is verified.
 * @module
 */
import type { JsonObject, Result } from '@parley/core'
import { commitmentName, type SerializationCode } from '@parley/jose'
import type { BinaryCode } from './binary.ts'
import { isJwm } from './content-type.ts'
import { type JwmLimits, jwmLimits } from './limits.ts'
import { readJwm } from './open.ts'

/** What one layer shows without a key. Nothing of it is proved. */
export type ShownLayer =
  | {
      readonly kind: 'jwe'
      readonly protected: JsonObject
      readonly unprotected: JsonObject | undefined
      /** The headers of the recipients; `undefined` for one that could not be read. */
      readonly recipients: readonly (JsonObject | undefined)[]
      /** Whether a content-key commitment is there; whether it holds shows on opening. */
      readonly commitment: boolean
      readonly ciphertextBytes: number
    }
  | {
      readonly kind: 'jws'
      readonly signatures: readonly { readonly protected: JsonObject; readonly unprotected: JsonObject | undefined }[]
      readonly payloadBytes: number
    }

/** Shows the layers that can be seen from outside: down to the first encrypted one. */
export function inspectJwm(
  input: string | Uint8Array | JsonObject,
  limits: JwmLimits = jwmLimits,
): Result<{ readonly layers: readonly ShownLayer[] }, SerializationCode | BinaryCode | 'nesting-too-deep'> {
  const layers: ShownLayer[] = []
  let current = input
  for (;;) {
    if (layers.length >= limits.layersMax) return { ok: false, code: 'nesting-too-deep' }
    const read = readJwm(current, limits)
    if (!read.ok) return read
    if (read.kind === 'jwe') {
      const { protected: shared, unprotected, recipients, ciphertext } = read.jwe
      layers.push({
        kind: 'jwe',
        protected: shared.header,
        unprotected,
        recipients: recipients.map((recipient) => (recipient === undefined ? undefined : (recipient.header ?? {}))),
        commitment: shared.header[commitmentName] !== undefined,
        ciphertextBytes: ciphertext.length,
      })
      return { ok: true, layers }
    }
    const { signatures, payload } = read.jws
    layers.push({
      kind: 'jws',
      signatures: signatures.map(({ protected: shared, unprotected }) => ({ protected: shared.header, unprotected })),
      payloadBytes: payload.length,
    })
    if (!signatures.every(({ protected: shared }) => isJwm(shared.header['cty']))) return { ok: true, layers }
    current = payload
  }
}
