import { publicJwk } from '@parley/jose'
import { signMessage } from '@parley/jwm'
import { describe, expect, it } from 'vitest'
import { activeDevices, cardType, deviceOn, readCard, signCard } from '../src/index.ts'
import { account, device, first, laptop, now, phone, recovery } from './fixtures.ts'

describe('a card', () => {
  it('reads back as it was signed', () => {
    expect(readCard(first.jws)).toEqual({ ok: true, ...first })
  })

  it('is refused when any character of it changes', () => {
    for (let i = 0; i < first.jws.length; i += 7) {
      const changed = `${first.jws.slice(0, i)}${first.jws[i] === 'A' ? 'B' : 'A'}${first.jws.slice(i + 1)}`
      if (changed !== first.jws) expect(readCard(changed).ok).toBe(false)
    }
  })

  it('is refused when another key than the account key signed it', () => {
    expect(() => signCard(first.card, { key: phone.key, now })).toThrowError(
      expect.objectContaining({ code: 'ERR_IDENTITY_CARD_INVALID' }),
    )
  })

  it.each([
    ['another type', { type: 'urn:parley:kernel:1:login' }],
    ['no sender', { from: 'im:mallory@a.example' }],
  ])('is refused with %s', (_, changes) => {
    const body = {
      address: first.card.address,
      version: 1,
      prev: null,
      account_key: publicJwk(account.jwk) as never,
      next: recovery.id,
      devices: [{ id: device(phone).id, signing_key: publicJwk(phone.jwk) as never, added: 1 }],
    }
    const attributes = { type: cardType, from: 'im:alice@a.example', body }
    expect(readCard(signMessage(attributes, { signer: account.key })).ok).toBe(true)
    expect(readCard(signMessage({ ...attributes, ...changes }, { signer: account.key }))).toEqual({
      ok: false,
      code: 'card-malformed',
    })
  })

  it.each([
    ['a device whose id is not the thumbprint of its key', [{ ...device(phone), id: device(laptop).id }]],
    ['the same device twice', [device(phone), device(phone)]],
    ['no device', []],
    ['a removal without a reason', [{ ...device(phone), removed: 1 }]],
  ])('is refused with %s', (_, devices) => {
    expect(() => signCard({ ...first.card, devices }, { key: account.key, now })).toThrowError(
      expect.objectContaining({ code: 'ERR_IDENTITY_CARD_INVALID' }),
    )
  })

  it('is refused above its size limit without being parsed', () => {
    expect(readCard('x'.repeat(40_000))).toEqual({ ok: false, code: 'card-too-large' })
  })

  it('tells active devices from removed ones', () => {
    const card = {
      ...first.card,
      devices: [device(phone), device(laptop, { removed: now / 1000, reason: 'compromised' as const })],
    }
    expect(activeDevices(card).map(({ id }) => id)).toEqual([phone.id])
    expect(deviceOn(card, device(laptop).id)?.status).toBe('compromised')
    expect(deviceOn(card, device(recovery).id)).toBeUndefined()
  })
})
