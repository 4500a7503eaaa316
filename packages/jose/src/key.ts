/**
 * Prepared keys and what they may be used for: type, curve, `alg`, `use` and `key_ops` have to fit the algorithm and the
 * operation (RFC 8725 §3.1, requirement J5). A prepared key shows nothing secret when printed. Reading a JWK is in
 * import-key.ts.
 * @module
 */
import { contentAlgorithms, keyManagementAlgorithms, type SignatureAlgorithm, signatureAlgorithms } from './algorithms.ts'
import type { Agreement, Backend, Signing } from './backend/backend.ts'
import type { Jwk } from './jwk.ts'

const material: unique symbol = Symbol('material')

/** A key ready for use. Its secrets are held where neither JSON nor inspection finds them. */
export type Key = {
  readonly kty: 'OKP' | 'EC' | 'oct' | 'RSA' | 'AKP'
  /** The curve of an asymmetric key. */
  readonly crv: string | undefined
  readonly kid: string | undefined
  /** What the JWK allows; `undefined` allows all that fits the type. */
  readonly alg: string | undefined
  readonly use: string | undefined
  readonly keyOps: readonly string[] | undefined
  /** True when it can sign, unwrap or agree: a private or symmetric key. */
  readonly secret: boolean
  /** Octets of a symmetric key. */
  readonly secretBytes: number | undefined
  /** RFC 7638; `undefined` for a symmetric key, whose thumbprint would tell about it. */
  readonly thumbprint: string | undefined
  /** The public JWK (required members and `kid`); `undefined` for a symmetric key. */
  readonly publicJwk: Jwk | undefined
  readonly [material]: Material
}

/** What the holder of an opaque key does with it. Octets come back, or a promise of them; what is thrown comes out as it is. */
export type OpaqueOperations = {
  /** Signs `octets` with the JWS algorithm `alg`; ECDSA signatures are r ‖ s (RFC 7518 §3.4). */
  readonly sign?: (octets: Uint8Array, alg: string) => Uint8Array | Promise<Uint8Array>
  /** The secret shared with `publicKey` (RFC 7518 §4.6): the x-coordinate. `undefined` when the key is no sound one. */
  readonly agree?: (publicKey: Jwk) => Uint8Array | undefined | Promise<Uint8Array | undefined>
}

/** What the backend prepared. */
export type Material = {
  readonly backend: Backend
  readonly scheme?: Signing
  readonly agreement?: Agreement
  readonly signing?: unknown
  readonly verifying?: unknown
  readonly agreePrivate?: unknown
  readonly agreePublic?: unknown
  readonly symmetric?: unknown
  readonly rsaPublic?: unknown
  readonly rsaPrivate?: unknown
  /** The one thing about a key that changes: how many direct uses are left. */
  readonly directUses?: { left: number }
  /** Stands for the private key where that is held elsewhere. */
  readonly opaque?: OpaqueOperations
}

/** What the prepared key holds. Only this package asks. */
export function materialOf(key: Key): Material {
  return key[material]
}

/** Puts a key together. Only this package does. */
export function makeKey(held: Material, shown: Omit<Key, typeof material>): Key {
  // Not enumerable: neither JSON, nor spread, nor inspection shows it.
  return Object.freeze(Object.defineProperty({ ...shown }, material, { value: held }) as Key)
}

/** Counts one direct use of a symmetric key; false when none is left. */
export function spendDirectUse(key: Key): boolean {
  const { directUses } = key[material]
  return directUses !== undefined && directUses.left-- > 0
}

/** The first JWS algorithm that `key` fits, for a signer who named none. */
export function signatureAlgorithmOf(key: Key): SignatureAlgorithm | undefined {
  for (const row of signatureAlgorithms.values()) if (fitsSignature(key, row, 'sign')) return row
  return undefined
}

/** Whether type, curve, `alg`, `use` and `key_ops` of `key` fit the JWS algorithm and the operation (requirement J5). */
export function fitsSignature(key: Key, row: SignatureAlgorithm, operation: 'sign' | 'verify'): boolean {
  if (key.kty !== row.kty || key.crv !== row.crv || (key.secretBytes ?? 0) < (row.keyBytesMin ?? 0)) return false
  if (key.alg !== undefined && key.alg !== row.alg && key.alg !== row.alias) return false
  if (operation === 'sign' && !key.secret) return false
  return allows(key, 'sig', operation === 'sign' ? ['sign'] : key.secret ? ['verify', 'sign'] : ['verify'])
}

/** Whether `key` fits the JWE algorithm and the operation (requirement J5). */
export function fitsEncryption(
  key: Key,
  alg: string,
  options: { readonly enc: string; readonly operation: 'seal' | 'open' },
): boolean {
  const row = keyManagementAlgorithms.get(alg)
  if (row === undefined) return false
  const opens = options.operation === 'open'
  if (row.mode === 'agree' || row.mode === 'agree-wrap') {
    if (key[material].agreement === undefined || (opens && !key.secret)) return false
    if (key.alg !== undefined && key.alg !== alg) return false
    // WebCrypto gives a public ECDH key no key_ops at all.
    return allows(key, 'enc', ['deriveKey', 'deriveBits']) || (!opens && key.use !== 'sig' && key.keyOps?.length === 0)
  }
  if (row.mode === 'encrypt') {
    const { rsaPublic, rsaPrivate } = key[material]
    if ((opens ? rsaPrivate : rsaPublic) === undefined || (key.alg !== undefined && key.alg !== alg)) return false
    return allows(key, 'enc', opens ? ['unwrapKey', 'decrypt'] : ['wrapKey', 'encrypt'])
  }
  if (key.kty !== 'oct') return false
  if (row.mode === 'password') {
    return (key.alg === undefined || key.alg === alg) && allows(key, 'enc', ['deriveKey', 'deriveBits'])
  }
  if (row.mode === 'direct') {
    if (key.alg !== undefined && key.alg !== alg && key.alg !== options.enc) return false
    return key.secretBytes === contentAlgorithms.get(options.enc)?.keyBytes && allows(key, 'enc', [opens ? 'decrypt' : 'encrypt'])
  }
  if (key.alg !== undefined && key.alg !== alg) return false
  return key.secretBytes === row.kekBytes && allows(key, 'enc', [opens ? 'unwrapKey' : 'wrapKey'])
}

function allows(key: Key, use: 'sig' | 'enc', operations: readonly string[]): boolean {
  if (key.use !== undefined && key.use !== use) return false
  return key.keyOps === undefined || operations.some((operation) => key.keyOps?.includes(operation))
}
