import { publicJwk } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { acceptCards, decideHeld, type Pin } from '../src/index.ts'
import { account, after, alice, device, first, laptop, now, pair, phone, recovery } from './fixtures.ts'

const expected = { address: alice }
const second = after(first, { devices: [device(phone, { admin: true }), device(laptop)] })
const third = after(second, {
  devices: [device(phone, { admin: true }), device(laptop, { removed: now / 1000, reason: 'retired' })],
})

function pinned(...jws: string[]): Pin {
  const acceptance = acceptCards(undefined, jws, expected)
  if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome)
  return acceptance.pin
}

describe('first use', () => {
  it('pins the newest of a whole chain', () => {
    expect(pinned(first.jws, second.jws, third.jws)).toEqual({ address: alice, account: account.id, jws: third.jws, version: 3 })
  })
  it('refuses a chain without its beginning, with a hole, or none', () => {
    for (const cards of [[second.jws], [first.jws, third.jws], []]) {
      expect(acceptCards(undefined, cards, expected)).toEqual({ outcome: 'refused', code: 'card-chain-broken' })
    }
  })
  it('refuses another account key than the link names, and takes the one it names', () => {
    expect(acceptCards(undefined, [first.jws], { address: alice, account: recovery.id })).toEqual({
      outcome: 'refused',
      code: 'card-other-account',
    })
    expect(acceptCards(undefined, [first.jws], { address: alice, account: account.id }).outcome).toBe('accepted')
  })
  it('refuses the card of another address', () => {
    expect(acceptCards(undefined, [first.jws], { address: 'bob@a.example' as never })).toEqual({
      outcome: 'refused',
      code: 'card-other-account',
    })
  })
})

describe('a pinned account', () => {
  it('moves on with the chain, and stays where nothing is new', () => {
    expect(acceptCards(pinned(first.jws), [second.jws, third.jws], expected)).toMatchObject({
      outcome: 'accepted',
      pin: { version: 3 },
    })
    expect(acceptCards(pinned(first.jws), [first.jws], expected).outcome).toBe('unchanged')
    expect(acceptCards(pinned(first.jws), [], expected).outcome).toBe('unchanged')
  })
  it('refuses older cards and broken chains', () => {
    expect(acceptCards(pinned(first.jws, second.jws), [first.jws], expected)).toEqual({
      outcome: 'refused',
      code: 'card-rollback',
    })
    expect(acceptCards(pinned(first.jws), [third.jws], expected)).toEqual({ outcome: 'refused', code: 'card-chain-broken' })
  })
  it('holds two cards of one version, with both as proof', () => {
    const fork = after(first, { devices: [device(phone), device(pair())] })
    const acceptance = acceptCards(pinned(first.jws, second.jws), [fork.jws], expected)
    expect(acceptance).toMatchObject({ outcome: 'held', held: { code: 'card-fork', proof: [second.jws, fork.jws] } })
  })
  it('takes a new account key that matches the pinned next, without a word', () => {
    const renewed = after(first, { accountKey: publicJwk(recovery.jwk), next: pair().id }, recovery)
    const pin: Pin = { ...pinned(first.jws), verifiedAt: 1 }
    const acceptance = acceptCards(pin, [renewed.jws], expected)
    expect(acceptance).toMatchObject({ outcome: 'accepted', pin: { account: recovery.id } })
    expect(acceptance.outcome === 'accepted' && acceptance.pin.verifiedAt).toBeUndefined()
  })
  it('holds any other change of the account key until the person decides', () => {
    const thief = pair()
    const stolen = after(first, { accountKey: publicJwk(thief.jwk) }, thief)
    const pin: Pin = { ...pinned(first.jws), verifiedAt: 1 }
    const acceptance = acceptCards(pin, [stolen.jws], expected)
    expect(acceptance).toMatchObject({ outcome: 'held', held: { code: 'account-key-changed' } })
    if (acceptance.outcome !== 'held') return
    expect(decideHeld(acceptance.pin, 'keep')).toEqual(pin)
    expect(decideHeld(acceptance.pin, 'trust')).toEqual({ address: alice, account: thief.id, jws: stolen.jws, version: 2 })
  })
  it('refuses a card that loses a device or brings a removed one back', () => {
    for (const devices of [[device(laptop)], [device(phone, { admin: true }), device(laptop)]]) {
      const pin = pinned(first.jws, second.jws, third.jws)
      expect(acceptCards(pin, [after(third, { devices }).jws], expected)).toEqual({
        outcome: 'refused',
        code: 'card-chain-broken',
      })
    }
  })
})
