import { toDomain, utf8 } from '@parley/core'
import { publicJwk } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { encodeDomainKeys, formatContactLink, parseContactLink, readDomainKeys, safetyNumber } from '../src/index.ts'
import { account, alice, pair, recovery } from './fixtures.ts'

const bob = 'bob@b.example' as never

describe('the safety number', () => {
  it('is the same on both sides and sixty digits long', () => {
    const number = safetyNumber({ address: alice, account: account.id }, { address: bob, account: recovery.id })
    expect(number).toMatch(/^(\d{5} ){11}\d{5}$/)
    expect(safetyNumber({ address: bob, account: recovery.id }, { address: alice, account: account.id })).toBe(number)
  })
  it('changes with either key', () => {
    const number = safetyNumber({ address: alice, account: account.id }, { address: bob, account: recovery.id })
    expect(safetyNumber({ address: alice, account: account.id }, { address: bob, account: pair().id })).not.toBe(number)
  })
})

describe('a contact link', () => {
  it('round trips, with and without the account key', () => {
    for (const link of [{ address: alice, account: account.id }, { address: alice }])
      expect(parseContactLink(formatContactLink(link))).toEqual(link)
  })
  it.each([
    'alice@a.example',
    'im:alice',
    'im:alice@a.example?k=short',
    'im:alice@a.example?x=1',
    `im:alice@a.example?k=${account.id}?k=2`,
  ])('refuses %j', (text) =>
    expect(() => parseContactLink(text)).toThrowError(expect.objectContaining({ code: 'ERR_IDENTITY_LINK_MALFORMED' })),
  )
})

describe('domain keys', () => {
  it('round trip, and drop keys of unknown kinds', () => {
    const domain = toDomain('a.example')
    if (domain === undefined) throw new Error('a domain')
    const octets = encodeDomainKeys({ domain, keys: [publicJwk(account.jwk)] })
    expect(readDomainKeys(octets)).toMatchObject({ ok: true, domain, keys: [{ kty: 'OKP', crv: 'Ed25519', x: account.jwk.x }] })
    const mixed = utf8(JSON.stringify({ domain, keys: [{ kty: 'AKP' }, publicJwk(account.jwk)] }))
    expect(readDomainKeys(mixed)).toMatchObject({ ok: true, keys: [{ x: account.jwk.x }] })
  })
  it.each(['{}', '[]', '{"domain":"a.example","keys":[]}', '{"domain":"a b","keys":[{}]}', '{"domain":"a.example","keys":[{}]}'])(
    'refuse %s',
    (text) => {
      expect(readDomainKeys(utf8(text))).toEqual({ ok: false, code: 'domain-keys-malformed' })
    },
  )
})
