/**
 * A floor: the same objects put together with node:crypto and JSON alone, without one check beyond what decrypts and
 * verifies. Nobody should use this.
 * @module
 */
import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { type Jwk, publicJwk } from '@parley/jose'
import type { Contestant, Prepared, Work } from './work.ts'

const wrapIv = Buffer.alloc(8, 0xa6)

type Ephemeral = { readonly epk: Jwk; readonly agree: (publicKey: unknown) => Buffer }

/** Diffie-Hellman on one curve: what is prepared once, and what each message does. */
export type Agreement = {
  readonly publicKey: (jwk: Jwk) => unknown
  readonly ephemeral: () => Ephemeral
  readonly reading: (jwk: Jwk) => (epk: Jwk) => Buffer
}

const zeros = Buffer.alloc(32).toString('base64url')

const x25519: Agreement = {
  publicKey: (jwk) => createPublicKey({ format: 'jwk', key: jwk }),
  ephemeral() {
    const d = randomBytes(32).toString('base64url')
    const privateKey = createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv: 'X25519', d, x: zeros } })
    const { x = '' } = privateKey.export({ format: 'jwk' })
    return {
      epk: { kty: 'OKP', crv: 'X25519', x },
      agree: (publicKey) => diffieHellman({ privateKey, publicKey: publicKey as KeyObject }),
    }
  },
  reading(jwk) {
    const privateKey = createPrivateKey({ format: 'jwk', key: jwk })
    return (epk) => diffieHellman({ privateKey, publicKey: createPublicKey({ format: 'jwk', key: epk }) })
  },
}

const point = ({ x = '', y = '' }: Jwk): Buffer =>
  Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])

const p256: Agreement = {
  publicKey: point,
  ephemeral() {
    const ecdh = createECDH('prime256v1')
    const made = ecdh.generateKeys()
    const [x, y] = [made.toString('base64url', 1, 33), made.toString('base64url', 33)]
    return { epk: { kty: 'EC', crv: 'P-256', x, y }, agree: (publicKey) => ecdh.computeSecret(publicKey as Buffer) }
  },
  reading(jwk) {
    const ecdh = createECDH('prime256v1')
    ecdh.setPrivateKey(Buffer.from(jwk.d ?? '', 'base64url'))
    return (epk) => ecdh.computeSecret(point(epk))
  },
}

export const agreements: { readonly [curve in Work['curve']]: Agreement } = { X25519: x25519, 'P-256': p256 }

const prefixed = (text: string): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, Buffer.from(text)])
}
const kdfInfo = Buffer.concat([prefixed('ECDH-ES+A256KW'), Buffer.alloc(8), Buffer.from([0, 0, 1, 0])])
const round = Buffer.from([0, 0, 0, 1])
/** Concat KDF for ECDH-ES+A256KW. */
export const kdf = (secret: Buffer): Buffer => hash('sha256', Buffer.concat([round, secret, kdfInfo]), 'buffer')
/** The AES key wraps. */
export const wrap = (kek: Buffer, cek: Buffer): Buffer => createCipheriv('id-aes256-wrap', kek, wrapIv).update(cek)
export const unwrap = (kek: Buffer, wrapped: Buffer): Buffer => createDecipheriv('id-aes256-wrap', kek, wrapIv).update(wrapped)

type Parts = {
  readonly header: string
  readonly entries: readonly { readonly kid: string; readonly wrapped: Buffer }[]
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

function prepare(
  { curve, payload, signer, recipients, reader }: Work,
  form: {
    readonly write: (parts: Parts) => unknown
    readonly bytes: (written: unknown) => number
    readonly read: (written: unknown, at: { kid: string; reader: number }) => Parts
  },
): Prepared {
  const agreement = agreements[curve]
  const signing = createPrivateKey({ format: 'jwk', key: signer })
  const verifying = createPublicKey({ format: 'jwk', key: publicJwk(signer) })
  const publicKeys = recipients.map((jwk) => ({ kid: jwk.kid ?? '', key: agreement.publicKey(publicJwk(jwk)) }))
  const own = recipients[reader] ?? signer
  const read = agreement.reading(own)
  const seal = () => {
    const input = `${Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: signer.kid, typ: 'JWM' })).toString('base64url')}.${Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('base64url')}`
    const octets = Buffer.from(input, 'latin1')
    const message = Buffer.from(`${input}.${sign(null, octets, signing).toString('base64url')}`, 'latin1')
    const cek = randomBytes(32)
    const { epk, agree } = agreement.ephemeral()
    const entries = publicKeys.map(({ kid, key }) => ({ kid, wrapped: wrap(kdf(agree(key)), cek) }))
    const ckc = hash('sha256', cek, 'base64url')
    const header = Buffer.from(
      JSON.stringify({ typ: 'JWM', cty: 'JWM', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, ckc }),
    ).toString('base64url')
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', cek, iv, { authTagLength: 16 })
    cipher.setAAD(Buffer.from(header, 'latin1'))
    const ciphertext = cipher.update(message)
    cipher.final()
    return form.write({ header, entries, iv, ciphertext, tag: cipher.getAuthTag() })
  }
  const sealed = seal()
  return {
    seal,
    bytes: form.bytes(sealed),
    open() {
      const { header, entries, iv, ciphertext, tag } = form.read(sealed, { kid: own.kid ?? '', reader })
      const { epk } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { readonly epk: Jwk }
      const cek = unwrap(kdf(read(epk)), entries[0]?.wrapped ?? wrapIv)
      hash('sha256', cek, 'base64url')
      const decipher = createDecipheriv('aes-256-gcm', cek, iv, { authTagLength: 16 })
      decipher.setAAD(Buffer.from(header, 'latin1'))
      decipher.setAuthTag(tag)
      const message = decipher.update(ciphertext)
      decipher.final()
      const end = message.lastIndexOf(0x2e)
      const signature = Buffer.from(message.toString('latin1', end + 1), 'base64url')
      if (!verify(null, message.subarray(0, end), verifying, signature)) throw new Error('the signature does not hold')
      const [headerText = '', payloadText = ''] = message.toString('latin1', 0, end).split('.')
      JSON.parse(Buffer.from(headerText, 'base64url').toString())
      return Buffer.from(payloadText, 'base64url')
    },
  }
}

export const bareJson: Contestant = {
  name: 'bare JSON',
  prepare: async (work) =>
    prepare(work, {
      write: ({ header, entries, iv, ciphertext, tag }) =>
        JSON.stringify({
          protected: header,
          recipients: entries.map(({ kid, wrapped }) => ({ header: { kid }, encrypted_key: wrapped.toString('base64url') })),
          iv: iv.toString('base64url'),
          ciphertext: ciphertext.toString('base64url'),
          tag: tag.toString('base64url'),
        }),
      bytes: (written) => (written as string).length,
      read(written, { kid }) {
        const object = JSON.parse(written as string) as {
          readonly protected: string
          readonly recipients: readonly { readonly header: { readonly kid: string }; readonly encrypted_key: string }[]
          readonly iv: string
          readonly ciphertext: string
          readonly tag: string
        }
        const entry = object.recipients.find(({ header }) => header.kid === kid)
        return {
          header: object.protected,
          entries: [{ kid, wrapped: Buffer.from(entry?.encrypted_key ?? '', 'base64url') }],
          iv: Buffer.from(object.iv, 'base64url'),
          ciphertext: Buffer.from(object.ciphertext, 'base64url'),
          tag: Buffer.from(object.tag, 'base64url'),
        }
      },
    }),
}

// A flat body (header, IV, tag, ciphertext) and one buffer per recipient, as the binary serialization has it.
export const bareBinary: Contestant = {
  name: 'bare binary',
  prepare: async (work) =>
    prepare(work, {
      write: ({ header, entries, iv, ciphertext, tag }) => {
        const octets = Buffer.from(header, 'base64url')
        const length = Buffer.alloc(4)
        length.writeUInt32BE(octets.length)
        return {
          body: Buffer.concat([length, octets, iv, tag, ciphertext]),
          entries: entries.map(({ kid, wrapped }) => Buffer.concat([wrapped, Buffer.from(JSON.stringify({ kid }))])),
        }
      },
      bytes: (written) => {
        const { body, entries } = written as { readonly body: Buffer; readonly entries: readonly Buffer[] }
        return entries.reduce((sum, entry) => sum + entry.length, body.length)
      },
      read(written, { reader }) {
        const { body, entries } = written as { readonly body: Buffer; readonly entries: readonly Buffer[] }
        const end = 4 + body.readUInt32BE(0)
        const entry = entries[reader] ?? wrapIv
        const { kid } = JSON.parse(entry.toString('utf8', 40)) as { readonly kid: string }
        return {
          header: body.toString('base64url', 4, end),
          entries: [{ kid, wrapped: entry.subarray(0, 40) }],
          iv: body.subarray(end, end + 12),
          tag: body.subarray(end + 12, end + 28),
          ciphertext: body.subarray(end + 28),
        }
      },
    }),
}
