/**
 * The floor of the backend in pure JavaScript: the same object put together with noble and JSON alone, unchecked.
 * @module
 */
import { aeskw, gcm } from '@noble/ciphers/aes.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from '@parley/core'
import { type Contestant, random, type Work } from './work.ts'

const encode = (octets: Uint8Array): string => Buffer.from(octets).toString('base64url')
const decode = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64url'))
const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))

const prefixed = (text: string): Uint8Array => concat(Uint8Array.of(0, 0, 0, text.length), ascii(text))
const kdfInfo = concat(prefixed('ECDH-ES+A256KW'), new Uint8Array(8), Uint8Array.of(0, 0, 1, 0))
const kdf = (secret: Uint8Array): Uint8Array => sha256(concat(Uint8Array.of(0, 0, 0, 1), secret, kdfInfo))

type Envelope = {
  readonly protected: string
  readonly recipients: readonly { readonly header: { readonly kid: string }; readonly encrypted_key: string }[]
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
}

export const bareNoble: Contestant = {
  name: 'bare noble',
  async prepare({ payload, signer, recipients, reader }: Work) {
    const signing = decode(signer.d ?? '')
    const verifying = decode(signer.x ?? '')
    const publicKeys = recipients.map((jwk) => ({ kid: jwk.kid ?? '', key: decode(jwk.x ?? '') }))
    const own = recipients[reader] ?? signer
    const reading = decode(own.d ?? '')
    const seal = (): string => {
      const input = `${encode(ascii(JSON.stringify({ alg: 'EdDSA', kid: signer.kid, typ: 'JWM' })))}.${encode(payload)}`
      const message = ascii(`${input}.${encode(ed25519.sign(ascii(input), signing))}`)
      const cek = random.bytes(32)
      const ephemeral = random.bytes(32)
      const epk = { kty: 'OKP', crv: 'X25519', x: encode(x25519.getPublicKey(ephemeral)) }
      const entries = publicKeys.map(({ kid, key }) => ({
        header: { kid },
        encrypted_key: encode(aeskw(kdf(x25519.getSharedSecret(ephemeral, key))).encrypt(cek)),
      }))
      const ckc = encode(sha256(cek))
      const header = encode(ascii(JSON.stringify({ typ: 'JWM', cty: 'JWM', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, ckc })))
      const iv = random.bytes(12)
      const sealed = gcm(cek, iv, ascii(header)).encrypt(message)
      const [ciphertext, tag] = [sealed.subarray(0, message.length), sealed.subarray(message.length)]
      const made: Envelope = {
        protected: header,
        recipients: entries,
        iv: encode(iv),
        ciphertext: encode(ciphertext),
        tag: encode(tag),
      }
      return JSON.stringify(made)
    }
    const text = seal()
    return {
      seal,
      bytes: text.length,
      open() {
        const object = JSON.parse(text) as Envelope
        const entry = object.recipients.find(({ header }) => header.kid === own.kid)
        const { epk } = JSON.parse(Buffer.from(object.protected, 'base64url').toString()) as {
          readonly epk: { readonly x: string }
        }
        const kek = kdf(x25519.getSharedSecret(reading, decode(epk.x)))
        const cek = aeskw(kek).decrypt(decode(entry?.encrypted_key ?? ''))
        sha256(cek)
        const sealed = concat(decode(object.ciphertext), decode(object.tag))
        const message = gcm(cek, decode(object.iv), ascii(object.protected)).decrypt(sealed)
        const end = message.lastIndexOf(0x2e)
        const signature = decode(Buffer.from(message.subarray(end + 1)).toString('latin1'))
        if (!ed25519.verify(signature, message.subarray(0, end), verifying)) throw new Error('the signature does not hold')
        return decode(Buffer.from(message.subarray(0, end)).toString('latin1').split('.')[1] ?? '')
      },
    }
  },
}
