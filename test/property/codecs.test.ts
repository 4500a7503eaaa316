import { parseAddress, toDeviceId, toStanzaId, utf8, uuidUrnFrom } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { type CardDevice, readCard, readStatement, signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, publicJwk, thumbprint } from '@parley/jose'
import { type Frame, readFrame, writeFrame } from '@parley/stream'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('codecs')))

const random = createSimRandom('codecs')

function some<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value that was made is one')
  return value
}

const pairs = Array.from({ length: 6 }, () => generateKey('Ed25519', { random }))
const deviceIds = pairs.map((jwk) => some(toDeviceId(thumbprint(jwk))))
const addresses = ['alice@a.example', 'bob@b.example', 'carol@b.example'].map(parseAddress)
const now = 1_767_225_600_000

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const place = fc.integer({ min: 1, max: 2 ** 40 })
const octets = fc.uint8Array({ maxLength: 40 })
const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => some(toStanzaId(uuidUrnFrom(bytes))))
const text = fc.string({ unit: 'binary', maxLength: 10 })
const address = fc.constantFrom(...addresses)
const entries = fc.uniqueArray(fc.tuple(fc.constantFrom(...deviceIds, '*' as const), octets), {
  selector: ([device]) => device,
  maxLength: 4,
})

const stanza = fc
  .record({
    id: uuid,
    from: address,
    device: fc.constantFrom(...deviceIds),
    to: fc.subarray(addresses, { minLength: 1 }),
    sent: count,
    expiry: count,
    entries,
    body: octets,
    c: place,
    n: place,
    isDurable: fc.boolean(),
  })
  .map(
    ({ id, from, device, to, sent, expiry, entries, body, c, n, isDurable }): Frame => ({
      t: 'stanza',
      place: isDurable ? { c, n } : { c },
      header: { id, from, device, to, class: isDurable ? 'durable' : 'ephemeral', sent, expiry },
      entries: entries.map(([name, octets]) => ({ device: name, octets })),
      body,
    }),
  )
const value = fc.dictionary(text, fc.oneof(text, count, fc.boolean()), { maxKeys: 3 })
const others = fc.oneof(
  fc.record({ t: fc.constant('ack' as const), epoch: text, h: count }),
  fc.record({
    t: fc.constant('request' as const),
    id: fc.string({ minLength: 1, maxLength: 64 }),
    what: fc.constantFrom('cards', 'roster'),
    value,
  }),
  fc.record({
    t: fc.constant('response' as const),
    id: fc.string({ minLength: 1, maxLength: 64 }),
    ok: fc.constant(true as const),
    value,
  }),
  fc.record({ t: fc.constant('login' as const), jws: text }),
  fc.record({ t: fc.constant('challenge' as const), nonce: text, domain: text, time: count }),
) as fc.Arbitrary<Frame>
const frame = fc.oneof(stanza, others)

const plain = (frame: Frame): unknown =>
  JSON.parse(JSON.stringify(frame, (_, part: unknown) => (part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part)))

describe('a frame', () => {
  it('comes back as it was written', () => {
    check(
      fc.property(frame, (frame) => {
        const read = readFrame(writeFrame(frame))
        if (!read.ok) throw new Error(read.code)
        // A stanza that was read has its header as it is stored, too.
        expect(plain(read.frame)).toMatchObject(plain(frame) as object)
      }),
      500,
    )
  })

  it('of any octets is a frame or has a code, and never throws', () => {
    const damaged = fc
      .tuple(frame, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat())
      .map(([frame, changes, cut]) => {
        const bytes = writeFrame(frame).slice()
        for (const [at, octet] of changes) bytes[at % bytes.length] = octet
        return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
      })
    const headers = fc.tuple(fc.json(), octets).map(([header, payload]) => Uint8Array.from([...utf8(header), 0x0a, ...payload]))
    check(
      fc.property(fc.oneof(damaged, headers, octets), (bytes) => {
        const read = readFrame(bytes)
        if (!read.ok) expect(['frame-malformed', 'frame-too-large']).toContain(read.code)
        else expect(plain(some(again(read.frame)))).toEqual(plain(read.frame))
      }),
      1500,
    )
  })
})

function again(frame: Frame): Frame | undefined {
  const read = readFrame(writeFrame(frame))
  return read.ok ? read.frame : undefined
}

describe('cards and statements', () => {
  const [accountJwk, recoveryJwk] = [generateKey('Ed25519', { random }), generateKey('Ed25519', { random })]
  const account = importKey(accountJwk)
  const devices = fc.subarray(pairs, { minLength: 1 }).chain((chosen) =>
    fc.tuple(
      ...chosen.map((jwk, i) =>
        fc
          .record({
            added: fc.nat(2 ** 31),
            isAdmin: fc.boolean(),
            removed: fc.option(fc.nat(2 ** 31), { nil: undefined }),
            reason: fc.constantFrom('retired' as const, 'compromised' as const),
          })
          .map(
            ({ added, isAdmin, removed, reason }): CardDevice => ({
              id: some(toDeviceId(thumbprint(jwk))),
              signingKey: publicJwk(jwk),
              added,
              // The first stays, and may approve others.
              ...(isAdmin || i === 0 ? { admin: true } : {}),
              ...(removed === undefined || i === 0 ? {} : { removed, reason }),
            }),
          ),
      ),
    ),
  )
  const card = fc.tuple(address, devices).map(([owner, list]) =>
    signCard(
      {
        address: owner,
        version: 1,
        prev: null,
        accountKey: publicJwk(accountJwk),
        next: thumbprint(recoveryJwk),
        devices: list,
      },
      { key: account, now },
    ),
  )

  it('come back as they were signed, and with any character changed they do not', () => {
    check(
      fc.property(card, fc.nat(), ({ jws, card, hash }, at) => {
        expect(readCard(jws)).toMatchObject({ ok: true, card, hash, jws })
        const place = at % jws.length
        const changed = `${jws.slice(0, place)}${jws[place] === 'A' ? 'B' : 'A'}${jws.slice(place + 1)}`
        expect(readCard(changed).ok).toBe(false)
      }),
      80,
    )
  })

  it('name their device and no other', () => {
    const plan = fc.tuple(card, fc.nat(), fc.integer({ min: 1, max: 20 }), fc.nat())
    check(
      fc.property(plan, ([signed, n, days, at]) => {
        const [device] = signed.card.devices
        const jwk = pairs.find((pair) => thumbprint(pair) === device?.id)
        if (device === undefined || jwk === undefined) throw new Error('no device')
        const agreementKey = publicJwk(generateKey('X25519', { random }))
        const { kid: _, ...bare } = agreementKey
        const issued = now / 1000
        const statement = {
          device: device.id,
          account: signed.account,
          agreementKey: bare,
          n,
          issued,
          expiry: issued + days * 86_400,
          head: signed.hash,
        }
        const text = signStatement(statement, { key: importKey(jwk) })
        const read = readStatement(text, { card: signed, now })
        expect(read).toMatchObject({
          ok: true,
          statement: { device: device.id, n, head: signed.hash, agreementKey: { x: bare.x ?? '' } },
        })
        const place = at % text.length
        const changed = `${text.slice(0, place)}${text[place] === 'A' ? 'B' : 'A'}${text.slice(place + 1)}`
        expect(readStatement(changed, { card: signed, now }).ok).toBe(false)
      }),
      60,
    )
  })
})
