/**
 * Keys out of JWKs: checked and handed to their backend once, then used for any number of messages (RFC 7517 §4,
 * RFC 7518 §6, RFC 8037 §2, RFC 9964 §3, requirement J21).
 * @module
 */
import { concat, equal, type Result } from '@parley/core'
import { backend as defaultBackend } from '#backend'
import { contentAlgorithms, curves, keyManagementAlgorithms, signatureAlgorithms } from './algorithms.ts'
import type { Backend, SignatureScheme } from './backend/backend.ts'
import { JoseError } from './errors.ts'
import { type Jwk, thumbprint, toPublicJwk } from './jwk.ts'
import { type Key, type Material, makeKey } from './key.ts'
import { macOf } from './mac.ts'

/** How a JWK is prepared. */
export type ImportOptions = {
  /** Replaces the JWK's own `kid`. */
  readonly kid?: string
  /** The implementation to use; by default that of this runtime. */
  readonly backend?: Backend
  /**
   * How often a symmetric key may itself encrypt under a nonce drawn at random, as `dir` and the AES-GCM key wraps do
   * (RFC 7165 S2). By default 2^32 times, beyond which two nonces may be the same (NIST SP 800-38D §8.3). How long it
   * may live is for its owner to say.
   */
  readonly directUsesMax?: number
  /** Algorithms that are loaded only by who imports them, such as `mlDsa`. */
  readonly extensions?: readonly KeyExtension[]
}

/** Signature algorithms for keys of type AKP, by the `alg` that such a key names (RFC 9964 §3). */
export type KeyExtension = { readonly algorithms: { readonly [alg: string]: SignatureScheme | undefined } }

/** `key-unavailable`: the key type is known, but neither this runtime's backend nor an extension has it. */
export type KeyCode = 'key-malformed' | 'key-unsupported' | 'key-unavailable'

/** Checks and prepares a JWK; throws `ERR_JOSE_KEY_MALFORMED`, `ERR_JOSE_KEY_UNSUPPORTED` or `ERR_JOSE_KEY_UNAVAILABLE`. */
export function importKey(jwk: Jwk, options: ImportOptions = {}): Key {
  const result = readKey(jwk, options)
  if (result.ok) return result.key
  if (result.code === 'key-unavailable')
    throw new JoseError('ERR_JOSE_KEY_UNAVAILABLE', 'the key type is not available in this runtime')
  if (result.code === 'key-unsupported') throw new JoseError('ERR_JOSE_KEY_UNSUPPORTED', 'the key type or curve is not supported')
  throw new JoseError('ERR_JOSE_KEY_MALFORMED', 'the key is not a well-formed JWK')
}

/** Checks and prepares a JWK that came from elsewhere. */
export function readKey(jwk: unknown, options: ImportOptions = {}): Result<{ readonly key: Key }, KeyCode> {
  if (!isJwk(jwk)) return { ok: false, code: 'key-malformed' }
  const backend = options.backend ?? defaultBackend
  if (jwk.kty === 'oct') return readSecret(jwk, backend, options)
  if (jwk.kty === 'RSA') return readRsa(jwk, backend, options.kid)
  if (jwk.kty === 'AKP') return readAlgorithmPair(jwk, backend, options)
  const curve = curves.get(jwk.crv ?? '')
  if (curve === undefined || curve.kty !== jwk.kty) return { ok: false, code: 'key-unsupported' }
  if (backend.signatures[curve.crv] === undefined && backend.agreements[curve.crv] === undefined)
    return { ok: false, code: 'key-unavailable' }
  const publicKey = coordinates(jwk, { backend, bytes: curve.coordinateBytes, count: curve.kty === 'EC' ? 2 : 1 })
  const privateKey = jwk.d === undefined ? undefined : backend.fromBase64url(jwk.d)
  if (publicKey === undefined || jwk.k !== undefined || (jwk.d !== undefined && privateKey?.length !== curve.coordinateBytes)) {
    return { ok: false, code: 'key-malformed' }
  }
  const prepared = prepare(jwk, { backend, publicKey, privateKey })
  if (prepared === undefined) return { ok: false, code: 'key-malformed' }
  const bare = toPublicJwk(curve.crv, publicKey, backend)
  const kid = options.kid ?? jwk.kid
  return {
    ok: true,
    key: makeKey(prepared, {
      ...describe(jwk, kid),
      kty: curve.kty,
      crv: curve.crv,
      secret: privateKey !== undefined,
      secretBytes: undefined,
      thumbprint: thumbprint(bare),
      publicJwk: kid === undefined ? bare : { ...bare, kid },
    }),
  }
}

function readSecret(
  jwk: Jwk,
  backend: Backend,
  { kid, directUsesMax = 2 ** 32 }: ImportOptions,
): Result<{ readonly key: Key }, KeyCode> {
  const octets = jwk.k === undefined ? undefined : backend.fromBase64url(jwk.k)
  if (octets === undefined || octets.length === 0 || jwk.d !== undefined || jwk.x !== undefined)
    return { ok: false, code: 'key-malformed' }
  const row = keyManagementAlgorithms.get(jwk.alg ?? '')
  // A password is as long as it is.
  const kekBytes = row?.mode === 'password' ? octets.length : row?.kekBytes
  const bytes = kekBytes ?? contentAlgorithms.get(jwk.alg ?? '')?.keyBytes ?? octets.length
  if (bytes !== octets.length || octets.length < (signatureAlgorithms.get(jwk.alg ?? '')?.keyBytesMin ?? 0))
    return { ok: false, code: 'key-malformed' }
  const symmetric = backend.importSecret(octets)
  return {
    ok: true,
    key: makeKey(
      {
        backend,
        symmetric,
        scheme: macOf(backend),
        signing: symmetric,
        verifying: symmetric,
        directUses: { left: directUsesMax },
      },
      {
        ...describe(jwk, kid ?? jwk.kid),
        kty: 'oct',
        crv: undefined,
        secret: true,
        secretBytes: octets.length,
        thumbprint: undefined,
        publicJwk: undefined,
      },
    ),
  }
}

// RFC 7518 §3.3 and §4.3 want at least 2048 bits; above 8192 one signature costs a tenth of a second.
const modulusBytes = { min: 256, max: 1024 }
const rsaSecrets = ['p', 'q', 'dp', 'dq', 'qi'] as const

function readRsa(jwk: Jwk, backend: Backend, kid = jwk.kid): Result<{ readonly key: Key }, KeyCode> {
  const malformed = { ok: false, code: 'key-malformed' } as const
  const { rsa } = backend
  if (rsa === undefined) return { ok: false, code: 'key-unavailable' }
  // RFC 7518 §6.3.2.7: a key of more than two primes must not be used by who does not know them.
  if (Object.hasOwn(jwk, 'oth')) return { ok: false, code: 'key-unsupported' }
  const { n, e, d } = jwk
  const [modulus, exponent] = [backend.fromBase64url(n ?? ''), backend.fromBase64url(e ?? '')]
  if (n === undefined || e === undefined || modulus === undefined || exponent === undefined) return malformed
  if (jwk.k !== undefined || jwk.x !== undefined || modulus.length > modulusBytes.max) return malformed
  const [first = 0] = modulus
  if (modulus.length < modulusBytes.min || (modulus.length === modulusBytes.min && first < 0x80)) return malformed
  // Base64urlUInt has no leading zeros (RFC 7518 §2); an exponent is odd, more than one, and no longer than a word.
  const isOdd = ((exponent.at(-1) ?? 0) & 1) === 1
  if (first === 0 || (exponent[0] ?? 0) === 0 || exponent.length > 4 || !isOdd || e === 'AQ') return malformed
  // All the parts of a private key, or none (RFC 7518 §6.3.2); OpenSSL needs them.
  const given = rsaSecrets.filter((name) => jwk[name] !== undefined)
  if (given.length !== (d === undefined ? 0 : rsaSecrets.length)) return malformed
  const secrets = Object.fromEntries([['d', d], ...rsaSecrets.map((name) => [name, jwk[name]])])
  const verifying = rsa.importPublic({ n, e })
  const signing = d === undefined ? undefined : rsa.importPrivate({ n, e, ...secrets })
  if (verifying === undefined || (d !== undefined && signing === undefined)) return malformed
  const bare: Jwk = { kty: 'RSA', n, e }
  return {
    ok: true,
    key: makeKey(
      {
        backend,
        ...(jwk.use === 'enc' ? {} : { scheme: rsa, verifying, signing }),
        ...(jwk.use === 'sig' ? {} : { rsaPublic: verifying, rsaPrivate: signing }),
      },
      {
        ...describe(jwk, kid),
        kty: 'RSA',
        crv: undefined,
        secret: d !== undefined,
        secretBytes: undefined,
        thumbprint: thumbprint(bare),
        publicJwk: kid === undefined ? bare : { ...bare, kid },
      },
    ),
  }
}

// RFC 9964 §3: `alg` says all about the octets of `pub` and `priv`.
function readAlgorithmPair(
  jwk: Jwk,
  backend: Backend,
  { kid = jwk.kid, extensions = [] }: ImportOptions,
): Result<{ readonly key: Key }, KeyCode> {
  const { alg } = jwk
  if (alg === undefined) return { ok: false, code: 'key-malformed' }
  if (signatureAlgorithms.get(alg)?.kty !== 'AKP') return { ok: false, code: 'key-unsupported' }
  const scheme = extensions.map(({ algorithms }) => algorithms[alg]).find((one) => one !== undefined)
  if (scheme === undefined) return { ok: false, code: 'key-unavailable' }
  const publicKey = backend.fromBase64url(jwk.pub ?? '')
  const privateKey = jwk.priv === undefined ? undefined : backend.fromBase64url(jwk.priv)
  const verifying = publicKey === undefined ? undefined : scheme.importPublic(publicKey)
  const isMixed = jwk.d !== undefined || jwk.k !== undefined || jwk.x !== undefined
  if (publicKey === undefined || verifying === undefined || isMixed) return { ok: false, code: 'key-malformed' }
  if (jwk.priv !== undefined && (privateKey === undefined || !fits(scheme.publicOf(privateKey), publicKey)))
    return { ok: false, code: 'key-malformed' }
  const signing = privateKey === undefined ? undefined : scheme.importPrivate(privateKey, publicKey)
  const bare: Jwk = { kty: 'AKP', alg, pub: backend.base64url(publicKey) }
  return {
    ok: true,
    key: makeKey(
      { backend, scheme, verifying, signing },
      {
        ...describe(jwk, kid),
        kty: 'AKP',
        crv: undefined,
        secret: privateKey !== undefined,
        secretBytes: undefined,
        thumbprint: thumbprint(bare),
        publicJwk: kid === undefined ? bare : { ...bare, kid },
      },
    ),
  }
}

function describe(jwk: Jwk, kid: string | undefined): Pick<Key, 'kid' | 'alg' | 'use' | 'keyOps'> {
  return { kid, alg: jwk.alg, use: jwk.use, keyOps: jwk.key_ops === undefined ? undefined : [...jwk.key_ops] }
}

type Octets = { readonly backend: Backend; readonly publicKey: Uint8Array; readonly privateKey: Uint8Array | undefined }

function prepare(jwk: Jwk, { backend, publicKey, privateKey }: Octets): Material | undefined {
  const crv = jwk.crv ?? ''
  const scheme = jwk.use === 'enc' ? undefined : backend.signatures[crv]
  const agreement = jwk.use === 'sig' ? undefined : backend.agreements[crv]
  let held: Material = { backend }
  if (scheme !== undefined) {
    if (crv === 'Ed25519' && isWeakEd25519(publicKey)) return undefined
    if (privateKey !== undefined && !fits(scheme.publicOf(privateKey), publicKey)) return undefined
    const verifying = scheme.importPublic(publicKey)
    if (verifying === undefined) return undefined
    held = { ...held, scheme, verifying }
    if (privateKey !== undefined) held = { ...held, signing: scheme.importPrivate(privateKey, publicKey) }
  }
  if (agreement !== undefined) {
    if (!agreement.isPublic(publicKey)) return undefined
    const agreePublic = agreement.importPublic(publicKey)
    held = { ...held, agreement, agreePublic }
    if (privateKey !== undefined) {
      const agreePrivate = agreement.importPrivate(privateKey)
      if (agreePrivate === undefined || !fits(agreement.publicOf(agreePrivate), publicKey)) return undefined
      held = { ...held, agreePrivate }
    }
  }
  return held.scheme === undefined && held.agreement === undefined ? undefined : held
}

function fits(derived: Uint8Array | undefined, publicKey: Uint8Array): boolean {
  return derived !== undefined && equal(derived, publicKey)
}

function coordinates(
  jwk: Jwk,
  { backend, bytes, count }: { backend: Backend; bytes: number; count: 1 | 2 },
): Uint8Array | undefined {
  const x = backend.fromBase64url(jwk.x ?? '')
  if (x === undefined || x.length !== bytes) return undefined
  if (count === 1) return jwk.y === undefined ? x : undefined
  const y = backend.fromBase64url(jwk.y ?? '')
  return y === undefined || y.length !== bytes ? undefined : concat(x, y)
}

// Points of small order verify signatures over anything, and OpenSSL takes them. Sign bit masked off.
const smallOrder = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
]

function isWeakEd25519(publicKey: Uint8Array): boolean {
  const y = publicKey.slice()
  // 32 octets by the check of the coordinates.
  y[31] = (y[31] as number) & 0x7f
  const hex = Array.from(y, (octet) => octet.toString(16).padStart(2, '0')).join('')
  // y >= 2^255 - 19 is a second encoding of a small number (RFC 8032 §5.1.3).
  const isCanonical = !/^(?:e[d-f]|f.)(?:ff){30}7f$/.test(hex)
  return !isCanonical || smallOrder.includes(hex)
}

function isJwk(value: unknown): value is Jwk {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  // Every member is checked before it is used.
  const jwk = value as { readonly [name: string]: unknown }
  if (typeof jwk['kty'] !== 'string') return false
  for (const name of ['kid', 'alg', 'use', 'crv', 'x', 'y', 'd', 'k', 'n', 'e', 'p', 'q', 'dp', 'dq', 'qi', 'pub', 'priv']) {
    if (jwk[name] !== undefined && typeof jwk[name] !== 'string') return false
  }
  const ops = jwk['key_ops']
  return (
    ops === undefined || (Array.isArray(ops) && ops.every((op) => typeof op === 'string') && new Set(ops).size === ops.length)
  )
}
