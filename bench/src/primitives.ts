/**
 * A floor below the floor: what the cryptographic primitives of one message cost by themselves, one after the other,
 * with nothing parsed or put together in between.
 * @module
 */
import { createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { publicJwk } from '@parley/jose'
import { agreements, kdf, unwrap, wrap } from './bare.ts'
import type { Contestant } from './work.ts'

export const primitives: Contestant = {
  name: 'primitives',
  async prepare({ curve, payload, signer, recipients, reader }) {
    const agreement = agreements[curve]
    const signing = createPrivateKey({ format: 'jwk', key: signer })
    const verifying = createPublicKey({ format: 'jwk', key: publicJwk(signer) })
    const publicKeys = recipients.map((jwk) => agreement.publicKey(publicJwk(jwk)))
    const signedBytes = 150 + Math.ceil((payload.length * 4) / 3)
    const signed = randomBytes(signedBytes)
    const signature = sign(null, signed, signing)
    const cek = randomBytes(32)
    const iv = randomBytes(12)
    const { epk, agree } = agreement.ephemeral()
    const wrapped = wrap(kdf(agree(publicKeys[reader])), cek)
    const encrypt = () => {
      const cipher = createCipheriv('aes-256-gcm', cek, iv, { authTagLength: 16 })
      const ciphertext = cipher.update(signed)
      cipher.final()
      return { ciphertext, tag: cipher.getAuthTag() }
    }
    const { ciphertext, tag } = encrypt()
    const read = agreement.reading(recipients[reader] ?? signer)
    return {
      seal() {
        sign(null, signed, signing)
        const ephemeral = agreement.ephemeral()
        for (const key of publicKeys) wrap(kdf(ephemeral.agree(key)), cek)
        return encrypt()
      },
      open() {
        unwrap(kdf(read(epk)), wrapped)
        const decipher = createDecipheriv('aes-256-gcm', cek, iv, { authTagLength: 16 })
        decipher.setAuthTag(tag)
        decipher.update(ciphertext)
        decipher.final()
        verify(null, signed, verifying, signature)
        return payload
      },
    }
  },
}
