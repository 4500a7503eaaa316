/**
 * Keys that a signature brings along in its protected header (RFC 7515 §4.1.3 and §4.1.6). Whoever made the header chose
 * them, so that they prove nothing: an application compares the thumbprint with one that it pinned, or validates the
 * certificates against its own trust anchors, and only then verifies with the key. `verifyJws` never looks at them.
 * @module
 */
import type { Result } from '@parley/core'
import { backend } from '#backend'
import { object } from './header.ts'
import { type ImportOptions, type KeyCode, readKey } from './import-key.ts'
import type { JwsSignature } from './jws.ts'
import type { Key } from './key.ts'
import { joseLimits } from './limits.ts'

/** How a key out of a header is prepared; it has no `kid` that could be believed. */
export type HeaderKeyOptions = Omit<ImportOptions, 'kid'>

/**
 * The public key in the protected header's `jwk`. Trust in it has to come from elsewhere: from `thumbprint` being one that
 * the application knows.
 */
export function headerKey(
  { protected: { header } }: Pick<JwsSignature, 'protected'>,
  options: HeaderKeyOptions = {},
): Result<{ readonly untrustedKey: Key; readonly thumbprint: string }, KeyCode | 'key-absent'> {
  const jwk = object(header, 'jwk')
  if (jwk === undefined) return { ok: false, code: Object.hasOwn(header, 'jwk') ? 'key-malformed' : 'key-absent' }
  const read = readKey(jwk, options)
  if (!read.ok) return read
  const { key } = read
  // A private or symmetric key in a header is a secret told to everybody.
  if (key.secret || key.thumbprint === undefined) return { ok: false, code: 'key-malformed' }
  return { ok: true, untrustedKey: key, thumbprint: key.thumbprint }
}

/** The DER octets of the certificates in the protected header's `x5c`, the signer's first. Validating them is the caller's. */
export function headerCertificates(
  { protected: { header } }: Pick<JwsSignature, 'protected'>,
  { certificatesMax }: { readonly certificatesMax: number } = joseLimits,
): Result<{ readonly certificates: readonly Uint8Array[] }, 'certificates-absent' | 'certificates-malformed' | 'limit-exceeded'> {
  const chain = header['x5c']
  if (chain === undefined) return { ok: false, code: 'certificates-absent' }
  if (!Array.isArray(chain) || chain.length === 0) return { ok: false, code: 'certificates-malformed' }
  if (chain.length > certificatesMax) return { ok: false, code: 'limit-exceeded' }
  const certificates = chain.map((text: unknown) => (typeof text === 'string' ? fromBase64(text) : undefined))
  const isWhole = (all: readonly (Uint8Array | undefined)[]): all is readonly Uint8Array[] =>
    all.every((one) => one?.[0] === 0x30)
  return isWhole(certificates) ? { ok: true, certificates } : { ok: false, code: 'certificates-malformed' }
}

// RFC 7515 §4.1.6: base64 with padding, not base64url.
function fromBase64(text: string): Uint8Array | undefined {
  const [, digits = '', padding = ''] = /^([A-Za-z0-9+/]*)(={0,2})$/.exec(text) ?? []
  if (text === '' || (digits.length + padding.length) % 4 !== 0) return undefined
  return backend.fromBase64url(digits.replaceAll('+', '-').replaceAll('/', '_'))
}
