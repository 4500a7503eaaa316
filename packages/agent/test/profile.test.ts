import { createMemoryStore, createSimRandom } from '@parley/core/sim'
import { readStatement } from '@parley/identity'
import { generateKey, publicJwk, thumbprint } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { deviceLine, readDeviceLine, signNextCard, stateKey, withDevice, withoutDevice } from '../src/profile.ts'
import { hasProfile, makeAccount } from '../src/set-up.ts'
import { day, furtherDevice, person, start } from './people.ts'

const clock = { now: () => start, monotonic: () => 0, at: () => () => {} }

describe('a new account', () => {
  it('shows its recovery key once: the store does not hold it, the card names it', async () => {
    const store = createMemoryStore()
    const random = createSimRandom('recovery')
    const storeKeys = [random.bytes(32)]
    expect(await hasProfile(store)).toBe(false)
    const alice = await person('alice@a.test')
    const options = { store, storeKeys, clock, random, address: alice.address, relayUrl: 'ws://127.0.0.1:1' }
    const { recoveryKey } = await makeAccount(options)
    expect(recoveryKey).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(await hasProfile(store)).toBe(true)
    for await (const [, value] of store.iterate({})) expect(Buffer.from(value).includes(recoveryKey)).toBe(false)
    await expect(makeAccount(options)).rejects.toMatchObject({ code: 'ERR_AGENT_PROFILE_EXISTS' })
  })

  it('has one admin device with a statement in force', async () => {
    const { self, keyring, device } = await person('alice@a.test')
    const card = self.card()
    expect(card?.card).toMatchObject({ version: 1, prev: null, devices: [{ id: device, admin: true }] })
    expect(self.isAdmin()).toBe(true)
    const pin = self.pin()
    const jws = self.profile().statement?.jws ?? ''
    expect(pin && keyring.statements({ fetched: 0, list: [jws] }, pin, start)).toHaveLength(1)
    expect(pin && keyring.statements({ fetched: 0, list: [jws] }, pin, start + 31 * day)).toHaveLength(0)
  })
})

describe('a device line', () => {
  it('names the account and the signing key of a device that is no admin', async () => {
    const admin = await person('alice@a.test')
    const second = await furtherDevice(admin)
    expect(second.self.isAdmin()).toBe(false)
    const line = deviceLine(second.self.profile())
    expect(line).toMatch(/^im:alice@a\.test\?device=[A-Za-z0-9_-]{43}$/)
    expect(readDeviceLine(` ${line}\n`)).toMatchObject({ address: admin.address, id: second.device })
    expect(admin.self.others()).toEqual([second.device])
  })

  it('is refused when it is anything else', async () => {
    const line = deviceLine((await person('alice@a.test')).self.profile())
    const bad = [
      '',
      'hello',
      line.slice(3),
      line.slice(0, -1),
      `${line}A`,
      line.replace('device', 'k'),
      `${line}?x`,
      `${line}&x=1`,
    ]
    for (const text of bad) {
      expect(() => readDeviceLine(text), text).toThrow(
        expect.objectContaining({ code: 'ERR_AGENT_DEVICE_LINE_MALFORMED' }) as Error,
      )
    }
  })
})

describe('the devices of the next card', () => {
  it('are the same when nothing changes, so that no card is made for it', async () => {
    const { self, device } = await person('alice@a.test')
    const card = self.card()?.card as never as Parameters<typeof withDevice>[0]
    const known = card.devices[0] as (typeof card.devices)[0]
    expect(withDevice(card, known, start)).toBe(card.devices)
    expect(withoutDevice(card, 'nobody' as never, { reason: 'retired', now: start })).toBe(card.devices)
    const removed = withoutDevice(card, device, { reason: 'retired', now: start })
    expect(removed).toMatchObject([{ id: device, removed: start / 1000, reason: 'retired' }])
    const without = { ...card, devices: removed }
    expect(withoutDevice(without, device, { reason: 'compromised', now: start + day })).toBe(removed)
    expect(() => withDevice(without, known, start)).toThrow(
      expect.objectContaining({ code: 'ERR_AGENT_DEVICE_REMOVED' }) as Error,
    )
  })

  it('are signed only where the account key is', async () => {
    const admin = await person('alice@a.test')
    const second = await furtherDevice(admin)
    const head = second.self.card()
    const signingKey = publicJwk(generateKey('Ed25519', { random: admin.random }))
    const devices = head === undefined ? [] : withDevice(head.card, { id: thumbprint(signingKey) as never, signingKey }, start)
    expect(() => second.run((tx) => signNextCard(tx, head as never, devices))).toThrow(
      expect.objectContaining({ code: 'ERR_AGENT_NOT_ADMIN' }) as Error,
    )
  })
})

it('states a new agreement key and keeps the old one until nothing under it can come', async () => {
  const { self, state, run, random } = await person('alice@a.test')
  const card = self.card()
  const before = self.profile().statement
  run((tx) => stateKey(tx, { card: card as never, random }), start + 7 * day)
  const after = self.profile().statement
  expect(after).toMatchObject({ n: 2, published: false })
  expect(after?.kid).not.toBe(before?.kid)
  expect(state.get('key', before?.kid ?? '')?.expiry).toBeGreaterThanOrEqual(start + 7 * day + 62 * day)
  expect(state.get('key', after?.kid ?? '')?.expiry).toBeUndefined()
  const read = readStatement(after?.jws ?? '', { card: card as never, now: start + 7 * day })
  expect(read.ok).toBe(true)
})
