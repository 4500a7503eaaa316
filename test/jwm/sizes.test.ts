import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from 'node:crypto'
import { base64url, type Random, utf8 } from '@parley/core'
import { importKey, type Key, publicJwk, sealJwe, signCompact, toCompactJwe } from '@parley/jose'
import { type JwmForm, makeJwm, openJwm, sealMessage } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { must, oct, octets, pair, random } from './people.ts'

const alice = pair('Ed25519', 'a')
const bob = pair('X25519', 'b')
const smk = oct(32, { kid: 's' }).key
const object = { id: 'urn:uuid:8e8a4b0c-6f0e-4f3b-9c51-0d8f8f6a7a11', body: { text: 'see you at eight' } }
const encoded = (bytes: number): number => Math.ceil((bytes * 4) / 3)

describe('a small message in a URL', () => {
  test('signed and encrypted it stays below 2048 characters, and its size is reported', () => {
    const parts = { signers: [alice.secret], recipients: [bob.open], random }
    for (const form of ['compact', 'urlsafe'] as const) {
      const { jwm, bytes } = must(makeJwm(octets(object), { ...parts, form }))
      const url = new URL(`https://a.example/m?jwm=${jwm}`)
      expect(bytes).toBe((jwm as string).length)
      expect(url.href.length).toBeLessThan(2048)
      expect(url.searchParams.get('jwm')).toBe(jwm)
      expect(openJwm(url.searchParams.get('jwm') ?? '', { keys: [bob.secret], verifyKeys: [alice.open] })).toMatchObject({
        object,
      })
    }
  })

  test('the reported size is that of every form', () => {
    for (const form of ['general', 'flattened', 'binary'] as const) {
      const { jwm, bytes } = must(makeJwm(octets(object), { recipients: [bob.open], random, form }))
      expect(bytes).toBe(jwm instanceof Uint8Array ? jwm.length : Buffer.byteLength(JSON.stringify(jwm)))
    }
  })
})

describe('ten octets', () => {
  const ten = utf8('0123456789')
  // Octets beside base64url of the content, with the shortest headers that the algorithm allows.
  test('cost 65 octets more with a MAC, 81 as AEAD under a shared key, 124 with a signature', () => {
    const mac = signCompact(ten, { key: importKey({ kty: 'oct', k: base64url(random.bytes(32)) }), alg: 'HS256' })
    const signed = signCompact(ten, { key: importKey({ ...alice.jwk, kid: 'a' }), alg: 'Ed25519' })
    const sealed = toCompactJwe(
      sealJwe(ten, { recipients: [{ key: oct(16, { alg: 'A128GCM' }).key }], random, enc: 'A128GCM', allProtected: true }),
    )
    const overheads = [mac, sealed, signed].map((text) => text.length - encoded(ten.length))
    expect(overheads).toEqual([65, 81, 124])
  })

  test('go under a key agreed before, with a counter as IV, and open in any order', () => {
    // Both ends agree once, out of band, and derive the key: no public key is in a message.
    const peer = pair('X25519')
    const agreed = (mine: typeof bob, theirs: typeof bob): Key => {
      const privateKey = createPrivateKey({ key: mine.jwk as never, format: 'jwk' })
      const publicKey = createPublicKey({ key: publicJwk(theirs.jwk) as never, format: 'jwk' })
      const secret = diffieHellman({ privateKey, publicKey })
      return importKey({
        kty: 'oct',
        k: Buffer.from(hkdfSync('sha256', secret, '', 'sensors', 16)).toString('base64url'),
        kid: '1',
        alg: 'A128GCM',
      })
    }
    let count = 0
    const counter: Random = {
      bytes(length) {
        const iv = new Uint8Array(length)
        new DataView(iv.buffer).setUint32(length - 4, ++count)
        return iv
      },
    }
    const here = agreed(bob, peer)
    const sent = Array.from({ length: 3 }, () =>
      must(makeJwm(ten, { recipients: [here], random: counter, form: 'compact', enc: 'A128GCM' })),
    )
    expect(sent.map(({ jwm }) => Buffer.from((jwm as string).split('.')[2] ?? '', 'base64url').readUInt32BE(8))).toEqual([
      1, 2, 3,
    ])
    for (const { jwm } of sent.reverse())
      expect(openJwm(jwm, { keys: [agreed(peer, bob)] })).toMatchObject({ ok: true, payload: ten })
    expect(sent[0]?.bytes).toBeLessThan(140)
  })

  test('may show chosen fields before decryption, which a change in them forbids', () => {
    const reading = { type: 'urn:sensor:reading', body: { value: 21 } }
    const jwm = must(makeJwm(octets(reading), { recipients: [smk], random, form: 'compact', replicate: ['type'] })).jwm as string
    const [header = '', ...rest] = jwm.split('.')
    const shown = JSON.parse(Buffer.from(header, 'base64url').toString()) as { readonly type: string }
    expect(shown.type).toBe('urn:sensor:reading')
    const other = base64url(octets({ ...shown, type: 'urn:sensor:alarm' }))
    expect(openJwm([other, ...rest].join('.'), { keys: [smk] })).toMatchObject({ ok: false, code: 'decryption-failed' })
  })
})

describe('overhead', () => {
  const sizes = [0, 1000, 1_000_000]
  const overheadOf = (bytes: number, parts: object, form: JwmForm): number => {
    const payload = new Uint8Array(bytes).fill(0x61)
    return must(makeJwm(payload, { random, form, ...parts })).bytes
  }

  test.each<[string, object, JwmForm, (bytes: number) => number]>([
    ['signed', { signers: [alice.secret] }, 'compact', encoded],
    ['encrypted', { recipients: [bob.open] }, 'compact', encoded],
    ['encrypted', { recipients: [bob.open] }, 'flattened', encoded],
    ['encrypted', { recipients: [bob.open] }, 'binary', (bytes) => bytes],
    ['signed and encrypted', { signers: [alice.secret], recipients: [bob.open] }, 'binary', encoded],
  ])('of a message that is %s is the same few hundred octets at any size: %j, %s', (_, parts, form, carried) => {
    const constants = sizes.map((bytes) => overheadOf(bytes, parts, form) - carried(bytes))
    for (const constant of constants) {
      expect(constant).toBeGreaterThan(0)
      expect(constant).toBeLessThan(560)
      // base64url may round up once more in each layer.
      expect(Math.abs(constant - (constants[0] ?? 0))).toBeLessThanOrEqual(4)
    }
  })

  test('of a large message of the profile is a third of its content and a constant', () => {
    const text = 'x'.repeat(262_144)
    const { body, entries } = sealMessage(
      { body: { text } },
      { signer: alice.secret, recipients: [{ kid: 'b', key: bob.open }], random },
    )
    const total = body.length + (entries[0]?.entry.length ?? 0)
    expect(total).toBeLessThanOrEqual(1.36 * text.length)
    expect(total - encoded(text.length)).toBeLessThan(800)
  })

  test('of a further layer is one encoding of what is inside, and no more', () => {
    const inner = 200_000
    const layers: readonly (readonly [object, JwmForm])[] = [
      [{ signers: [alice.secret] }, 'flattened'],
      [{ signers: [alice.secret], recipients: [bob.open] }, 'flattened'],
      [{ signers: [alice.secret], recipients: [bob.open] }, 'binary'],
    ]
    const [one = 0, two = 0, binary = 0] = layers.map(([parts, form]) => overheadOf(inner, parts, form))
    expect(one / inner).toBeLessThan(1.34)
    expect(two / one).toBeLessThan(1.34)
    // The binary serialization adds no encoding of its own.
    expect(binary / one).toBeLessThan(1.01)
  })

  test('of a further recipient is its own entry, and the ciphertext is the same octets for all', () => {
    const size = (count: number): number =>
      must(
        makeJwm(new Uint8Array(5000), {
          recipients: Array.from({ length: count }, (_, i) => pair('X25519', `r${i}`).open),
          random,
          form: 'general',
        }),
      ).bytes
    const [one, two, ten] = [size(1), size(2), size(10)]
    expect(two - one).toBeLessThan(120)
    expect((ten - two) / 8).toBeCloseTo(two - one, -1)
  })
})
