/**
 * What was captured: stanzas out of a relay's trace of the wire, secrets out of a profile that no process has open any more.
 * Reads profiles through the agent's own inside, because no public door leads to a private key.
 * @module
 */
import { createDecipheriv, createHash, createPrivateKey, createPublicKey, diffieHellman, type JsonWebKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Jwk } from '@parley/jose'
import { fromBinary, joinBinary } from '@parley/jwm'
import { openLevelStore } from '@parley/platform/level'
import { systemRandom } from '@parley/platform/system'
import { openState } from '../../packages/agent/src/state.ts'
import type { Traced } from './programs.ts'

/** A JWE for one recipient in the Flattened JSON Serialization (RFC 7516 §7.2.2). */
export type Flattened = {
  readonly protected: string
  readonly header: { readonly kid: string }
  readonly encrypted_key: string
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
}

/** The envelopes of every stanza that the trace shows in this direction: one per entry, each with the stanza's header. */
export function envelopesOf(
  trace: readonly Traced[],
  direction: Traced['direction'],
): readonly { readonly header: Traced['header']; readonly envelope: Flattened }[] {
  const stanzas = trace.filter((traced) => traced.direction === direction && traced.header.t === 'stanza')
  return stanzas.flatMap(({ header, payload }) => {
    const octets = new Uint8Array(Buffer.from(payload, 'base64url'))
    const { entries = [] } = header
    const body = octets.subarray(entries.reduce((sum, [, length]) => sum + length, 0))
    let offset = 0
    return entries.map(([, length]) => {
      const joined = joinBinary(octets.subarray(offset, offset + length), body)
      offset += length
      const text = joined.ok ? fromBinary(joined.bytes) : joined
      if (!text.ok) throw new Error(`the relay carried no envelope: ${text.code}`)
      return { header, envelope: JSON.parse(text.text) as Flattened }
    })
  })
}

export type Secrets = {
  /** Private and session keys by `kid`. */
  readonly keys: ReadonlyMap<string, Jwk>
  /** Under which the others are sealed. */
  readonly storeKey: Uint8Array
}

/** Every secret that the profile in this folder holds. */
export async function readSecrets(home: string): Promise<Secrets> {
  // The time of its making, then the key.
  const storeKey = new Uint8Array(readFileSync(join(home, 'store.key'))).slice(8)
  const store = await openLevelStore(join(home, 'store'))
  try {
    const state = await openState({ store, random: systemRandom, storeKeys: [storeKey] })
    const jwks = [
      ...[...state.rows('key')].map(([, row]) => row.jwk),
      ...[...state.rows('own')].map(([, row]) => row.smk.key),
      ...[...state.rows('held')].map(([, row]) => row.smk.key),
    ]
    return { keys: new Map(jwks.map((jwk) => [jwk.kid ?? '', jwk])), storeKey }
  } finally {
    await store.close()
  }
}

/** The content key of an envelope, unwrapped with its recipient's key by Node's own means. */
export function contentKeyOf(envelope: Flattened, jwk: Jwk): Uint8Array {
  const { epk } = headerOf(envelope)
  const wrapping = epk === undefined ? Buffer.from(jwk.k ?? '', 'base64url') : agree(epk, jwk)
  const decipher = createDecipheriv('id-aes256-wrap', wrapping, Buffer.from('a6a6a6a6a6a6a6a6', 'hex'))
  return new Uint8Array(Buffer.concat([decipher.update(envelope.encrypted_key, 'base64url'), decipher.final()]))
}

/** The JOSE header: protected and the recipient's own. */
export function headerOf(envelope: Flattened): { readonly alg: string; readonly kid: string; readonly epk?: JsonWebKey } {
  const shared: object = JSON.parse(Buffer.from(envelope.protected, 'base64url').toString())
  return { ...shared, ...envelope.header } as ReturnType<typeof headerOf>
}

// RFC 7518 §4.6.2 for ECDH-ES+A256KW without apu and apv.
function agree(epk: JsonWebKey, jwk: Jwk): Buffer {
  const secret = diffieHellman({
    publicKey: createPublicKey({ key: epk, format: 'jwk' }),
    privateKey: createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' }),
  })
  const algorithm = 'ECDH-ES+A256KW'
  const numbers = Buffer.alloc(20)
  numbers.writeUInt32BE(1, 0)
  numbers.writeUInt32BE(algorithm.length, 4)
  numbers.writeUInt32BE(256, 16)
  return createHash('sha256')
    .update(numbers.subarray(0, 4))
    .update(secret)
    .update(numbers.subarray(4, 8))
    .update(algorithm)
    .update(numbers.subarray(8))
    .digest()
}
