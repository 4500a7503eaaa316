import { describe, expect, test } from 'vitest'
import {
  type AudienceDevice,
  type AudienceMember,
  type OwnSession,
  ownErasureDue,
  planSend,
  prepareAudience,
  retire,
  type SendPlan,
  sessionLimits,
} from '../src/index.ts'
import { alice, audience, bob, day, device, mallory, member, now, owner, random } from './people.ts'

const devices = [device(alice, 1), device(bob, 0), device(bob, 1, false)]
type Changes = Partial<Omit<Parameters<typeof planSend>[0], 'audience'>> & {
  readonly audience?: readonly AudienceMember[]
  readonly devices?: readonly AudienceDevice[]
}
const plan = ({ audience: members = audience, devices: to = devices, ...changes }: Changes = {}): SendPlan => {
  const prepared = prepareAudience({ members, devices: to })
  return planSend({ current: undefined, uses: 0, conversation: bob.address, owner, audience: prepared, now, random, ...changes })
}
const ids = (list: SendPlan['ahead']): readonly string[] => list.map(({ id }) => id)
const first = plan()

describe('the first message of a conversation', () => {
  test('makes a key that goes ahead to every device with a statement', () => {
    expect(first.renewed).toBe('first')
    expect(first.retired).toBeUndefined()
    expect(first.session.conversation).toBe(bob.address)
    expect(first.uses).toBe(1)
    expect(ids(first.ahead)).toEqual([alice.devices[1], bob.devices[0]])
    expect(ids(first.lacking)).toEqual([bob.devices[1]])
  })

  test('makes a key of 256 bits that nothing else has', () => {
    const { smk } = first.session
    expect(smk.key).toMatchObject({ kty: 'oct', kid: smk.sid, alg: 'A256KW' })
    expect(smk.key.k).toHaveLength(43)
    expect(plan().session.smk.sid).not.toBe(smk.sid)
    expect(plan().session.smk.key.k).not.toBe(smk.key.k)
  })
})

describe('the next message', () => {
  test('goes under the same key and takes it ahead to nobody twice', () => {
    const next = plan({ current: first.session, uses: 1 })
    expect(next.renewed).toBeUndefined()
    // Nothing of it is to be stored but the count.
    expect(next.session).toBe(first.session)
    expect(next.uses).toBe(2)
    expect(next.ahead).toEqual([])
    expect(ids(next.lacking)).toEqual([bob.devices[1]])
  })

  test('takes the key ahead to a device that has a statement now', () => {
    const next = plan({ current: first.session, devices: [device(alice, 1), device(bob, 0), device(bob, 1)] })
    expect(next.renewed).toBeUndefined()
    expect(ids(next.ahead)).toEqual([bob.devices[1]])
    expect(next.lacking).toEqual([])
  })

  test('asks nothing of the order of devices and accounts, nor of a newer card without a change', () => {
    const newer = [...audience].reverse().map((entry) => ({ ...entry, version: 9 }))
    expect(plan({ current: first.session, devices: [...devices].reverse(), audience: newer }).renewed).toBeUndefined()
  })

  test('survives a store of JSON', () => {
    const current: OwnSession = JSON.parse(JSON.stringify(first.session))
    expect(plan({ current }).session).toBe(current)
  })

  test('goes on with a key that was stored without its digest', () => {
    const { digest, ...current } = first.session
    expect(plan({ current }).session).toEqual({ ...current, digest })
  })
})

describe('a key is renewed', () => {
  const { session } = first
  const cases: [string, Changes][] = [
    ['device-added', { current: session, devices: [...devices, device(mallory, 0)] }],
    ['device-removed', { current: session, devices: devices.slice(0, 2) }],
    ['device-removed', { current: session, devices: [...devices.slice(0, 2), device(mallory, 0)] }],
    ['audience', { current: session, audience: [...audience, member(mallory)] }],
    ['audience', { current: session, audience: [member(alice), { ...member(bob), account: member(mallory).account }] }],
    ['age', { current: session, now: now + 7 * day }],
    ['age', { current: session, now: now - day }],
    ['uses', { current: session, uses: sessionLimits.smkUsesMax }],
    ['retired', { current: retire(session, now) }],
    ['retired', { current: session, owner: { ...owner, device: alice.devices[1] } }],
  ]
  for (const [reason, changes] of cases) {
    test(`for ${reason}: ${Object.keys(changes).join(', ')}`, () => {
      const next = plan(changes)
      expect(next.renewed).toBe(reason)
      expect(next.session.smk.sid).not.toBe(session.smk.sid)
      expect(next.uses).toBe(1)
      expect(next.ahead).toHaveLength((changes.devices ?? devices).filter(({ agreement }) => agreement !== undefined).length)
      expect(next.retired).toMatchObject({ smk: session.smk, retired: changes.now ?? now })
    })
  }

  test('not before its time', () => {
    expect(plan({ current: session, now: session.smk.notAfter - 1 }).renewed).toBeUndefined()
    expect(plan({ current: session, uses: sessionLimits.smkUsesMax - 1 }).renewed).toBeUndefined()
  })
})

test('a key is kept for the lifetime of messages and two days after its last use', () => {
  expect(ownErasureDue(retire(first.session, now + day))).toBe(now + day + 32 * day)
  expect(ownErasureDue(first.session)).toBe(first.session.smk.notAfter + 32 * day)
  expect(ownErasureDue(retire(first.session, now + 99 * day))).toBe(first.session.smk.notAfter + 32 * day)
  expect(retire(retire(first.session, now), now + 5).retired).toBe(now)
})

test('an audience that is empty, too large or names an account twice is misuse', () => {
  for (const wrong of [[], [member(bob), member(bob)], Array.from({ length: 1025 }, () => member(bob))]) {
    expect(() => plan({ audience: wrong })).toThrow(RangeError)
  }
})
