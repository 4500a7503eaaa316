/**
 * The backend on Node: node:crypto, synchronous. Prepared keys are KeyObjects, so nothing is parsed per message.
 * Keys are imported as JWK (PKCS #8 import costs ten times as much). Only a key that was imported just before is exported
 * as JWK: on Node 20 the export of a generated one can hang for ever, when the garbage collector meets the generation
 * itself inside the export and both want the same lock. ECDSA and RSA-PSS signatures draw on ambient randomness here.
 * @module
 */
import { Buffer, isAscii } from 'node:buffer'
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type ECDH,
  hash,
  type KeyObject,
  pbkdf2Sync,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import type { Aead, Agreement, Backend, Cbc, Rsa, SignatureScheme } from './backend.ts'

const empty = new Uint8Array(0)
const wrapIv = Buffer.alloc(8, 0xa6)
const zeros = Buffer.alloc(32)
const uncompressed = Buffer.of(4)

function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch {
    // OpenSSL throws on invalid points, scalars and tags.
    return undefined
  }
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// A Buffer is a Uint8Array, but its `slice` shares memory and tests compare it as something else: hand out the plain view.
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function encode(bytes: Uint8Array): string {
  return view(bytes).toString('base64url')
}

function decode(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  // Buffer skips what is not base64url and ignores unused bits; the canonical form is the one that comes back.
  const isCanonical = text.length < longText ? bytes.toString('base64url') === text : isLongCanonical(text, bytes)
  return isCanonical ? plain(bytes) : undefined
}

const longText = 2048

// Encoding a long text again costs more than decoding it. Any character that Buffer skips makes the octets fewer, but it
// takes those of plain base64, and looks at the low eight bits of others only; the unused bits are in the last group.
function isLongCanonical(text: string, bytes: Buffer): boolean {
  if (bytes.length !== decodedBytes(text.length)) return false
  if (Buffer.byteLength(text) !== text.length || text.includes('+') || text.includes('/')) return false
  return text.endsWith(lastGroup(bytes, text.length))
}

// -1 for a length that no encoding has.
function decodedBytes(length: number): number {
  const tail = length % 4
  return tail === 1 ? -1 : (length >> 2) * 3 + (tail === 0 ? 0 : tail - 1)
}

function lastGroup(bytes: Buffer, length: number): string {
  const tail = length % 4
  return bytes.toString('base64url', bytes.length - (tail === 0 ? 3 : tail - 1))
}

// V8 makes and drops texts of this length ten times as cheaply as one of hundreds of kilobytes.
const chunkBytes = 24 * 1024
const chunkLetters = (chunkBytes / 3) * 4

function write(bytes: Uint8Array, target: Uint8Array, at: number): number {
  const [from, to] = [view(bytes), view(target)]
  let end = at
  for (let i = 0; i < from.length; i += chunkBytes) {
    end += to.write(from.toString('base64url', i, Math.min(from.length, i + chunkBytes)), end, 'latin1')
  }
  return end
}

function read(octets: Uint8Array): Uint8Array | undefined {
  const from = view(octets)
  const bytes = decodedBytes(from.length)
  if (bytes < 0) return undefined
  const decoded = Buffer.allocUnsafeSlow(bytes)
  let end = 0
  for (let i = 0; i < from.length; i += chunkLetters) {
    end += decoded.write(from.toString('latin1', i, Math.min(from.length, i + chunkLetters)), end, 'base64url')
  }
  // As in isLongCanonical; here no letter has more than eight bits.
  if (end !== bytes || from.includes(0x2b) || from.includes(0x2f)) return undefined
  const last = lastGroup(decoded, from.length)
  return from.toString('latin1', from.length - last.length) === last ? plain(decoded) : undefined
}

function okpPrivate(crv: string, privateKey: Uint8Array, publicKey: Uint8Array): KeyObject {
  return createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv, d: encode(privateKey), x: encode(publicKey) } })
}

function okpPublic(crv: string, publicKey: Uint8Array): KeyObject | undefined {
  return attempt(() => createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv, x: encode(publicKey) } }))
}

type EcCurve = { readonly crv: string; readonly openssl: string; readonly hash: string }

function ecPublic(crv: string, publicKey: Uint8Array): KeyObject | undefined {
  const half = publicKey.length / 2
  const key = { kty: 'EC', crv, x: encode(publicKey.subarray(0, half)), y: encode(publicKey.subarray(half)) }
  return attempt(() => createPublicKey({ format: 'jwk', key }))
}

const signEd25519: SignatureScheme = {
  importPrivate: (privateKey, publicKey) => okpPrivate('Ed25519', privateKey, publicKey),
  importPublic: (publicKey) => okpPublic('Ed25519', publicKey),
  publicOf(privateKey) {
    const spki = createPublicKey(okpPrivate('Ed25519', privateKey, zeros)).export({ format: 'der', type: 'spki' })
    return plain(spki.subarray(spki.length - 32))
  },
  // Every key here was made by importPrivate or importPublic above.
  sign: (data, key) => plain(sign(null, data, key as KeyObject)),
  verify: (signature, { data, key }) => verify(null, data, key as KeyObject, signature),
}

function ecdsa({ crv, openssl, hash }: EcCurve): SignatureScheme {
  return {
    importPrivate(privateKey, publicKey) {
      const half = publicKey.length / 2
      const [x, y] = [encode(publicKey.subarray(0, half)), encode(publicKey.subarray(half))]
      return createPrivateKey({ format: 'jwk', key: { kty: 'EC', crv, d: encode(privateKey), x, y } })
    },
    importPublic: (publicKey) => ecPublic(crv, publicKey),
    publicOf: (privateKey) => attempt(() => pairOf(openssl, privateKey).publicKey),
    sign: (data, key) => plain(sign(hash, data, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' })),
    verify: (signature, { data, key }) => verify(hash, data, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' }, signature),
  }
}

type X25519Pair = { readonly key: KeyObject; readonly publicKey: Uint8Array }

const agreeX25519: Agreement = {
  importPrivate(privateKey): X25519Pair {
    // Node reads only `d`, and OpenSSL multiplies with the base point while it imports: the export costs next to nothing.
    const key = okpPrivate('X25519', privateKey, zeros)
    return { key, publicKey: plain(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')) }
  },
  isPublic: (publicKey) => publicKey.length === 32,
  importPublic: (publicKey) => okpPublic('X25519', publicKey),
  publicOf: (key) => (key as X25519Pair).publicKey,
  // OpenSSL refuses an all-zero result.
  agree: (privateKey, publicKey) =>
    attempt(() => plain(diffieHellman({ privateKey: (privateKey as X25519Pair).key, publicKey: publicKey as KeyObject }))),
}

type EcPair = { readonly ecdh: ECDH; readonly publicKey: Uint8Array }

function pairOf(openssl: string, privateKey: Uint8Array): EcPair {
  const ecdh = createECDH(openssl)
  ecdh.setPrivateKey(privateKey)
  return { ecdh, publicKey: plain(ecdh.getPublicKey()).subarray(1) }
}

function ecdh({ crv, openssl }: EcCurve): Agreement {
  return {
    importPrivate: (privateKey) => attempt(() => pairOf(openssl, privateKey)),
    isPublic: (publicKey) => ecPublic(crv, publicKey) !== undefined,
    importPublic: (publicKey) => Buffer.concat([uncompressed, publicKey]),
    publicOf: (key) => (key as EcPair).publicKey,
    // computeSecret refuses a point that is not on the curve.
    agree: (privateKey, publicKey) => attempt(() => plain((privateKey as EcPair).ecdh.computeSecret(publicKey as Buffer))),
  }
}

const p256: EcCurve = { crv: 'P-256', openssl: 'prime256v1', hash: 'sha256' }
const p384: EcCurve = { crv: 'P-384', openssl: 'secp384r1', hash: 'sha384' }
const p521: EcCurve = { crv: 'P-521', openssl: 'secp521r1', hash: 'sha512' }
const secp256k1: EcCurve = { crv: 'secp256k1', openssl: 'secp256k1', hash: 'sha256' }

// RFC 7518 §3.3 and §3.5: PKCS #1 v1.5, or PSS with a salt as long as the hash.
function rsaOptions(
  key: unknown,
  alg: string,
): { readonly key: KeyObject; readonly padding: number; readonly saltLength?: number } {
  const isPss = alg.startsWith('PS')
  const padding = isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  // importPublic and importPrivate below made it.
  return { key: key as KeyObject, padding, ...(isPss ? { saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}) }
}

function oaepOptions(
  key: unknown,
  alg: string,
): { readonly key: KeyObject; readonly padding: number; readonly oaepHash: string } {
  return { key: key as KeyObject, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: alg === 'RSA-OAEP' ? 'sha1' : 'sha256' }
}

const rsaHash = (alg: string): string => `sha${alg.slice(2)}`

const rsa: Rsa = {
  importPublic: ({ n = '', e = '' }) => attempt(() => createPublicKey({ format: 'jwk', key: { kty: 'RSA', n, e } })),
  importPrivate: (members) =>
    attempt(() => {
      const key = createPrivateKey({ format: 'jwk', key: { kty: 'RSA', ...members } })
      // OpenSSL takes parts that do not belong together: what one half signs the other must verify.
      const other = createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: members.n ?? '', e: members.e ?? '' } })
      return verify('sha256', wrapIv, other, sign('sha256', wrapIv, key)) ? key : undefined
    }),
  sign: (data, key, alg) => plain(sign(rsaHash(alg), data, rsaOptions(key, alg))),
  verify: (signature, { data, key, alg }) => attempt(() => verify(rsaHash(alg), data, rsaOptions(key, alg), signature)) ?? false,
  encrypt: (octets, key, alg) => plain(publicEncrypt(oaepOptions(key, alg), octets)),
  decrypt: (encrypted, key, alg) => attempt(() => plain(privateDecrypt(oaepOptions(key, alg), encrypted))),
}

function keyBits(key: unknown): number {
  return 8 * (key instanceof Uint8Array ? key.length : ((key as KeyObject).symmetricKeySize ?? 0))
}

const chacha: Aead = {
  seal(key, iv, plaintext, aad) {
    // OpenSSL has no XChaCha20.
    if (iv.length === 24) {
      const sealed = xchacha20poly1305(octetsOf(key), iv, aad).encrypt(plaintext)
      return { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.subarray(plaintext.length) }
    }
    const cipher = createCipheriv('chacha20-poly1305', key as KeyObject, iv, { authTagLength: 16 })
    cipher.setAAD(aad, { plaintextLength: plaintext.length })
    const ciphertext = plain(cipher.update(plaintext))
    cipher.final()
    return { ciphertext, tag: plain(cipher.getAuthTag()) }
  },
  open: (key, iv, { ciphertext, tag }, aad) =>
    attempt(() => {
      if (iv.length === 24) return xchacha20poly1305(octetsOf(key), iv, aad).decrypt(Buffer.concat([ciphertext, tag]))
      const decipher = createDecipheriv('chacha20-poly1305', key as KeyObject, iv, { authTagLength: 16 })
      decipher.setAAD(aad, { plaintextLength: ciphertext.length })
      decipher.setAuthTag(tag)
      const plaintext = ciphertext.length === 0 ? empty : plain(decipher.update(ciphertext))
      decipher.final()
      return plaintext
    }),
}

const cbc: Cbc = {
  encrypt(key, iv, plaintext) {
    const cipher = createCipheriv(`aes-${8 * key.length}-cbc`, key, iv)
    return plain(Buffer.concat([cipher.update(plaintext), cipher.final()]))
  },
  decrypt: (key, iv, ciphertext) =>
    attempt(() => {
      const decipher = createDecipheriv(`aes-${8 * key.length}-cbc`, key, iv)
      return plain(Buffer.concat([decipher.update(ciphertext), decipher.final()]))
    }),
}

/** The primitives of node:crypto. */
export const backend: Backend = {
  name: 'node',
  signatures: {
    Ed25519: signEd25519,
    'P-256': ecdsa(p256),
    'P-384': ecdsa(p384),
    'P-521': ecdsa(p521),
    secp256k1: ecdsa(secp256k1),
  },
  agreements: { X25519: agreeX25519, 'P-256': ecdh(p256), 'P-384': ecdh(p384), 'P-521': ecdh(p521) },
  rsa,
  sha256: (data) => plain(hash('sha256', data, 'buffer')),
  hmac: (bits, key, data) =>
    plain(
      createHmac(`sha${bits}`, key as KeyObject)
        .update(data)
        .digest(),
    ),
  ascii: (text) => plain(Buffer.from(text, 'latin1')),
  asciiText: (bytes) => (isAscii(bytes) ? view(bytes).toString('latin1') : undefined),
  base64url: encode,
  fromBase64url: decode,
  writeBase64url: write,
  readBase64url: read,
  importSecret: (key) => createSecretKey(key),
  // A secret is a KeyObject from importSecret or bare octets; node:crypto takes both.
  keyWrap: (kek, key) => plain(createCipheriv(wrapName(kek), kek as KeyObject, wrapIv).update(key)),
  keyUnwrap: (kek, wrapped) => attempt(() => plain(createDecipheriv(wrapName(kek), kek as KeyObject, wrapIv).update(wrapped))),
  gcmSeal(key, iv, plaintext, aad) {
    const cipher = createCipheriv(gcmName(key), key as KeyObject, iv, { authTagLength: 16 })
    cipher.setAAD(aad)
    const ciphertext = plain(cipher.update(plaintext))
    cipher.final()
    return { ciphertext, tag: plain(cipher.getAuthTag()) }
  },
  gcmOpen: (key, iv, { ciphertext, tag }, aad) =>
    attempt(() => {
      const decipher = createDecipheriv(gcmName(key), key as KeyObject, iv, { authTagLength: 16 })
      decipher.setAAD(aad)
      decipher.setAuthTag(tag)
      const plaintext = ciphertext.length === 0 ? empty : plain(decipher.update(ciphertext))
      decipher.final()
      return plaintext
    }),
  chacha,
  cbc,
  deflate: (content) => plain(deflateRawSync(content)),
  inflate(compressed, bytesMax) {
    try {
      return plain(inflateRawSync(compressed, { maxOutputLength: bytesMax }))
    } catch (error) {
      // zlib has errors of its own for what is no DEFLATE.
      return error instanceof RangeError ? 'too-long' : undefined
    }
  },
  pbkdf2: (password, { bits, salt, iterations, keyBytes }) =>
    plain(pbkdf2Sync(password, salt, iterations, keyBytes, `sha${bits}`)),
  secretOctets: octetsOf,
}

function octetsOf(key: unknown): Uint8Array {
  return key instanceof Uint8Array ? key : plain((key as KeyObject).export())
}

function wrapName(key: unknown): string {
  const bits = keyBits(key)
  return bits === 256 ? 'id-aes256-wrap' : bits === 192 ? 'id-aes192-wrap' : 'id-aes128-wrap'
}

function gcmName(key: unknown): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' {
  const bits = keyBits(key)
  return bits === 256 ? 'aes-256-gcm' : bits === 192 ? 'aes-192-gcm' : 'aes-128-gcm'
}
