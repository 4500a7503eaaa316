import { publicJwk } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { agreementKid, readStatement, type Statement, signStatement, statementsInForce } from '../src/index.ts'
import { account, after, device, first, laptop, now, pair, phone, recovery } from './fixtures.ts'

const agreement = pair('X25519')
const day = 86_400
const statement: Statement = {
  device: device(phone).id,
  account: account.id,
  agreementKey: publicJwk(agreement.jwk),
  n: 1,
  issued: now / 1000,
  expiry: now / 1000 + 30 * day,
  head: first.hash,
}
const options = { card: first, now }
const signed = (changes: Partial<Statement> = {}, by = phone): string =>
  signStatement({ ...statement, ...changes }, { key: by.key })

describe('a key statement', () => {
  it('reads back, with the thumbprint of its key as kid', () => {
    const result = readStatement(signed(), options)
    expect(result).toMatchObject({ ok: true, statement: { device: phone.id, n: 1 } })
    expect(result.ok && agreementKid(result.statement)).toBe(agreement.id)
  })

  it.each([
    ['a device that is not on the card', () => signed({ device: device(laptop).id }, laptop), 'statement-not-on-card'],
    ['another account', () => signed({ account: recovery.id }), 'statement-other-account'],
    [
      'an expiry in the past',
      () => signed({ issued: now / 1000 - 40 * day, expiry: now / 1000 - 11 * day }),
      'statement-expired',
    ],
    ['a life of more than thirty days', () => signed({ expiry: now / 1000 + 31 * day }), 'statement-expired'],
    [
      'an issue far in the future',
      () => signed({ issued: now / 1000 + 3 * day, expiry: now / 1000 + 4 * day }),
      'statement-expired',
    ],
    ['the device id of another', () => signed({ device: device(laptop).id }), 'statement-malformed'],
    ['text', () => 'nonsense', 'statement-malformed'],
  ])('is refused with %s', (_, make, code) => {
    expect(readStatement(make(), options)).toEqual({ ok: false, code })
  })

  it('is refused of a removed device', () => {
    const card = after(first, {
      devices: [device(phone, { admin: true, removed: now / 1000, reason: 'retired' }), device(laptop)],
    })
    expect(readStatement(signed(), { card, now })).toEqual({ ok: false, code: 'statement-not-on-card' })
  })

  it('gives way to the one with the higher number', () => {
    const { kid: _, ...newer } = publicJwk(pair('X25519').jwk)
    const list = [signed({ n: 3, agreementKey: newer }), signed({ n: 2 }), 'nonsense']
    expect(statementsInForce(list, options)).toMatchObject([{ n: 3, agreementKey: newer }])
  })
})
