/**
 * didcomm-node 0.4.1 (Rust as WebAssembly): sign, then anoncrypt for every agreement key of one document. Its message is
 * JSON around the payload, and its keys are parsed anew for each message, because its interface has no prepared ones.
 * @module
 */
import { publicJwk } from '@parley/jose'
import didcomm from 'didcomm-node'
import type { Contestant } from './work.ts'

const alice = 'did:example:alice'
const bob = 'did:example:bob'
const type = 'JsonWebKey2020'

export const didcommNode: Contestant = {
  name: 'didcomm-node',
  async prepare({ payload, signer, recipients, reader }) {
    const methods = recipients.map((jwk, i) => ({
      id: `${bob}#${i}`,
      type,
      controller: bob,
      publicKeyJwk: plain(publicJwk(jwk)),
    }))
    const signing = { id: `${alice}#key`, type, controller: alice, publicKeyJwk: plain(publicJwk(signer)) }
    const none = { keyAgreement: [], authentication: [], verificationMethod: [], service: [] }
    const documents = [
      { ...none, id: alice, authentication: [signing.id], verificationMethod: [signing] },
      { ...none, id: bob, keyAgreement: methods.map(({ id }) => id), verificationMethod: methods },
    ]
    const resolver = { resolve: async (did: string) => documents.find(({ id }) => id === did) ?? null }
    const secretsOf = (secrets: readonly { readonly id: string; readonly type: string; readonly privateKeyJwk: object }[]) => ({
      get_secret: async (wanted: string) => secrets.find(({ id }) => id === wanted) ?? null,
      find_secrets: async (wanted: string[]) => wanted.filter((one) => secrets.some(({ id }) => id === one)),
    })
    const senders = secretsOf([{ id: signing.id, type, privateKeyJwk: plain(signer) }])
    const own = recipients[reader] ?? signer
    const readers = secretsOf([{ id: `${bob}#${reader}`, type, privateKeyJwk: plain(own) }])
    const text = new TextDecoder().decode(payload)
    const options = { protect_sender: false, forward: false, enc_alg_anon: 'A256gcmEcdhEsA256kw' } as const
    const seal = async (): Promise<string> => {
      const message = new didcomm.Message({
        id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11',
        typ: 'application/didcomm-plain+json',
        type: 'urn:example:bench',
        body: { text },
        to: [bob],
        from: alice,
      })
      const [sealed] = await message.pack_encrypted(bob, null, alice, resolver as never, senders as never, options)
      message.free()
      return sealed
    }
    const sealed = await seal()
    return {
      seal,
      bytes: sealed.length,
      async open() {
        const [message] = await didcomm.Message.unpack(sealed, resolver as never, readers as never, {})
        const value = message.as_value() as { readonly body: { readonly text: string } }
        message.free()
        return new TextEncoder().encode(value.body.text)
      },
    }
  },
}

// Without kid: it finds keys by the names in the document.
function plain({ kid: _, ...jwk }: { readonly kid?: string }): object {
  return jwk
}
