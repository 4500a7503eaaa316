import { generateKey, type Jwk, publicJwk } from '@parley/jose'
import { systemRandom as random } from '@parley/platform/system'
import * as jose from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { envelopesOf, headerOf, readSecrets } from '../e2e/captured.ts'
import { alice, bob, createStage, parleyBin, type Relay, readTrace, type Stage } from '../e2e/programs.ts'

let stage: Stage
beforeEach(() => {
  stage = createStage()
})
afterEach(() => stage.close())

type Content = {
  readonly type: string
  readonly from: string
  readonly to: readonly string[]
  readonly body: { readonly text?: string }
}

describe('envelopes out of a relay', () => {
  let relays: { readonly a: Relay; readonly b: Relay }
  beforeEach(async () => {
    relays = await stage.relays({ traceOctets: 0 })
    await stage.output('alice', ['init', alice, '--relay', relays.a.url])
    await stage.output('bob', ['init', bob, '--relay', relays.b.url])
  })

  it('of a conversation are opened by npm jose with the recipient’s keys, and their signatures verified', async () => {
    await stage.output('alice', ['send', bob, 'Hello Bob, are the tickets still to be had?'])
    await stage.output('bob', ['listen', '--json', '--count', '1'])
    await relays.b.program.stop()
    const { keys } = await readSecrets(stage.path('bob'))
    const sender = await readSecrets(stage.path('alice'))
    const envelopes = envelopesOf(readTrace(relays.b.trace), 'in').filter(({ header }) => header.from === alice)

    const opened: { readonly alg: string; readonly content: Content }[] = []
    for (const { envelope } of envelopes) {
      const { alg, kid } = headerOf(envelope)
      const key = await jose.importJWK(keys.get(kid) as jose.JWK, alg)
      const { plaintext, protectedHeader } = await jose.flattenedDecrypt(envelope as unknown as jose.FlattenedJWE, key)
      expect(protectedHeader).toMatchObject({ typ: 'JWM', cty: 'JWM', enc: 'A256GCM' })
      const { kid: device = '' } = jose.decodeProtectedHeader(new TextDecoder().decode(plaintext))
      const signing = await jose.importJWK(publicJwk(sender.keys.get(device) as Jwk) as jose.JWK, 'EdDSA')
      const { payload } = await jose.compactVerify(plaintext, signing)
      opened.push({ alg, content: JSON.parse(new TextDecoder().decode(payload)) })
    }
    expect(opened).toMatchObject([
      { alg: 'ECDH-ES+A256KW', content: { type: 'urn:parley:kernel:1:key' } },
      {
        alg: 'A256KW',
        content: {
          type: 'urn:parley:chat:1:text',
          from: `im:${alice}`,
          to: [`im:${bob}`],
          body: { text: 'Hello Bob, are the tickets still to be had?' },
        },
      },
    ])
  })
})

describe('envelopes made with npm jose', () => {
  it('are opened by parley jwm open, signature and all', async () => {
    const ed = generateKey('Ed25519', { random })
    const x = generateKey('X25519', { random })
    const payload = { id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11', type: 'urn:example:1:hello', body: { text: 'hi' } }
    const signed = await new jose.CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'EdDSA', kid: ed.kid ?? '', typ: 'JWM' })
      .sign(await jose.importJWK(ed as jose.JWK, 'EdDSA'))
    const jwm = await new jose.GeneralEncrypt(new TextEncoder().encode(signed))
      .setProtectedHeader({ enc: 'A256GCM', typ: 'JWM', cty: 'JWM' })
      .addRecipient(await jose.importJWK(publicJwk(x) as jose.JWK, 'ECDH-ES+A256KW'))
      .setUnprotectedHeader({ alg: 'ECDH-ES+A256KW', kid: x.kid ?? '' })
      .encrypt()
    const input = JSON.stringify({ jwm, keys: [x], verify_keys: [publicJwk(ed)], require_signature: true })
    const { code, out } = await stage.start([parleyBin, 'jwm', 'open'], { input }).ended
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      payload,
      committed: false,
      layers: [
        { kind: 'jwe', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: x.kid },
        { kind: 'jws', signatures: [{ alg: 'EdDSA', kid: ed.kid, verified: true }] },
      ],
    })
  })
})
