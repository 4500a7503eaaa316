import { expect, it } from 'vitest'
import { day, furtherDevice, knows, type Person, person, start } from './people.ts'

const audience = (of: Person, to: Person, now = start) => {
  const pin = of.state.get('pin', to.address)
  const theirs = of.state.get('statements', to.address)
  const own = of.self.pin()
  if (pin === undefined || theirs === undefined || own === undefined) throw new Error('nobody is known')
  return of.keyring.audience({ pin, theirs, own, ours: of.state.get('statements', of.address), device: of.device, now })
}

it('prepares a key once for its row, and another for another', async () => {
  const alice = await person('alice@a.test')
  const row = alice.state.get('key', 'signing')
  if (row === undefined) throw new Error('no key')
  expect(alice.keyring.key(row.jwk)).toBe(alice.keyring.key(row.jwk))
  expect(alice.keyring.key({ ...row.jwk })).not.toBe(alice.keyring.key(row.jwk))
})

it('checks the statements of an account once, and lets them end in time', async () => {
  const [alice, bob] = [await person('alice@a.test'), await person('bob@b.test')]
  knows(alice, [bob])
  const [row, pin] = [alice.state.get('statements', bob.address), alice.state.get('pin', bob.address)]
  if (row === undefined || pin === undefined) throw new Error('bob is unknown')
  const [statement] = alice.keyring.statements(row, pin, start)
  expect(statement?.device).toBe(bob.device)
  // The list is what counts: a row with another mark is not checked anew.
  expect(alice.keyring.statements({ ...row, outdated: 7 }, pin, start)[0]).toBe(statement)
  expect(alice.keyring.statements(row, pin, start + 31 * day)).toEqual([])
})

it('knows devices by their status', async () => {
  const alice = await person('alice@a.test')
  const pin = alice.self.pin()
  if (pin === undefined) throw new Error('no card')
  expect(alice.keyring.device(pin, alice.device)?.status).toBe('active')
  for (const id of ['nobody', bobsId]) expect(alice.keyring.device(pin, id)).toBeUndefined()
})
const bobsId = 'A'.repeat(43)

it('puts an audience in order once, until a card, a statement or the time changes it', async () => {
  const [alice, bob] = [await person('alice@a.test'), await person('bob@b.test')]
  knows(alice, [bob])
  const first = audience(alice, bob)
  expect(first.devices.map(({ id, agreement }) => [id, agreement !== undefined])).toEqual([[bob.device, true]])
  expect(audience(alice, bob, start + day)).toBe(first)
  const late = audience(alice, bob, start + 31 * day)
  expect(late.devices.map(({ agreement }) => agreement)).toEqual([undefined])
  expect(late.digest).toBe(first.digest)
  const second = await furtherDevice(bob)
  knows(alice, [bob, second])
  const larger = audience(alice, bob)
  expect([larger.names.length, larger.digest === first.digest]).toEqual([2, false])
  const laptop = await furtherDevice(alice)
  expect(audience(alice, bob).names).toHaveLength(3)
  expect(audience(alice, bob).devices.map(({ id }) => id)).toContain(laptop.device)
  expect(audience(alice, bob).devices.map(({ id }) => id)).not.toContain(alice.device)
})
