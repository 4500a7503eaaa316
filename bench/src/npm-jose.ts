/**
 * npm `jose` (WebCrypto). Its keys are imported once, and it finds the reader's entry by `kid` as well as it can.
 * @module
 */
import { publicJwk } from '@parley/jose'
import * as jose from 'jose'
import type { Contestant } from './work.ts'

export const npmJose: Contestant = {
  name: 'npm jose',
  async prepare({ payload, signer, recipients, reader }) {
    const alg = 'ECDH-ES+A256KW'
    const signing = await jose.importJWK(signer as jose.JWK, 'EdDSA')
    const verifying = await jose.importJWK(publicJwk(signer) as jose.JWK, 'EdDSA')
    const publicKeys = await Promise.all(
      recipients.map(async (jwk) => ({ kid: jwk.kid ?? '', key: await jose.importJWK(publicJwk(jwk) as jose.JWK, alg) })),
    )
    const readerJwk = recipients[reader]
    const reading = await jose.importJWK(readerJwk as jose.JWK, alg)
    const text = new TextEncoder()
    const seal = async (): Promise<string> => {
      const signed = await new jose.CompactSign(payload)
        .setProtectedHeader({ alg: 'EdDSA', kid: signer.kid ?? '', typ: 'JWM' })
        .sign(signing)
      const encrypting = new jose.GeneralEncrypt(text.encode(signed)).setProtectedHeader({
        alg,
        enc: 'A256GCM',
        typ: 'JWM',
        cty: 'JWM',
      })
      for (const { kid, key } of publicKeys) encrypting.addRecipient(key).setUnprotectedHeader({ kid })
      return JSON.stringify(await encrypting.encrypt())
    }
    const sealed = await seal()
    return {
      seal,
      bytes: sealed.length,
      async open() {
        const { plaintext } = await jose.generalDecrypt(JSON.parse(sealed) as jose.GeneralJWE, (_, { header }) => {
          if (header?.kid !== readerJwk?.kid) throw new Error('an entry of somebody else')
          return reading
        })
        return (await jose.compactVerify(plaintext, verifying)).payload
      },
    }
  },
}
