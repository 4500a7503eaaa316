import { beforeEach, describe, expect, it } from 'vitest'
import { signNextCard, withoutDevice } from '../src/profile.ts'
import type { StanzaRow } from '../src/rows.ts'
import {
  day,
  furtherDevice,
  knows,
  lifetimeMs,
  type Person,
  person,
  type Receiver,
  receiver,
  send,
  setCard,
  start,
} from './people.ts'

let alice: Person
let bob: Person
let inbound: Receiver

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  knows(alice, [bob])
  knows(bob, [alice])
  inbound = receiver(bob)
})

/** A text of alice; the stanzas of it in the order they were sealed. */
function say(text: string, threadId = 't', now = start): readonly StanzaRow[] {
  return send(alice, { to: bob.address, type: 'urn:parley:chat:1:text', body: { text }, threadId }, now).stanzas
}

const locks = (): readonly string[] => [...bob.state.rows('locked')].map(([, { cause }]) => cause)

describe('what comes', () => {
  it('stands in the inbox in one step with its position, its number and a receipt for a contact', () => {
    bob.run((tx) => tx.put('conversation', alice.address, { seq: 0, contact: true }))
    inbound.take(alice, say('one'))
    expect(inbound.texts()).toEqual(['one'])
    expect(bob.state.get('position', 'relay')?.epoch).toBe('AAAAAAAAAAA')
    expect(bob.state.size('counter')).toBe(1)
    expect(bob.state.group('receipt', alice.address).keys.size).toBe(1)
  })

  it('gets no receipt when its sender is a stranger', () => {
    inbound.take(alice, say('one'))
    expect(bob.state.size('receipt')).toBe(0)
  })

  it('is dropped when it came before, however late', () => {
    const rows = say('one')
    inbound.take(alice, rows)
    inbound.take(alice, rows)
    inbound.take(alice, rows, start + 20 * day)
    expect(inbound.texts()).toEqual(['one'])
    expect(inbound.reports).toEqual(Array(2).fill(`duplicate ${alice.address}`))
  })

  it('is refused when it is too old or from ahead of time', () => {
    const rows = say('one')
    inbound.take(alice, rows, start + lifetimeMs + 2 * day)
    inbound.take(alice, rows, start - 2 * day)
    expect(inbound.texts()).toEqual([])
    expect(inbound.reports).toContain(`stale ${alice.address}`)
  })

  it('asks for the card when it names a newer one', async () => {
    await furtherDevice(alice)
    inbound.take(alice, say('one'))
    expect(inbound.texts()).toEqual(['one'])
    expect(inbound.wanted).toContain(alice.address)
  })

  it('begins so many threads of a stranger and no more, and goes on in those', () => {
    inbound = receiver(bob, { strangerThreadsMax: 2 })
    for (const thread of ['t1', 't2', 't3', 't1']) inbound.take(alice, say(`in ${thread}`, thread))
    expect(inbound.texts()).toEqual(['in t1', 'in t2', 'in t1'])
    expect(inbound.reports).toEqual([`thread-quota ${alice.address}`])
    bob.run((tx) => tx.put('conversation', alice.address, { seq: 0, contact: true }))
    inbound.take(alice, say('as a contact', 't4'))
    expect(inbound.texts()).toHaveLength(4)
  })

  it('is a kernel message or of a protocol that is spoken, else it waits for a newer program', () => {
    const { stanzas } = send(alice, { to: bob.address, type: 'urn:example:other:1:thing', body: {}, threadId: 'x' })
    inbound.take(alice, stanzas)
    expect(locks()).toEqual(['protocol-unknown'])
  })
})

describe('a message whose key did not come', () => {
  it('is locked, asked for once, and opened with all behind it in order when the key comes', () => {
    const [ahead, ...first] = say('one') as [StanzaRow, ...StanzaRow[]]
    inbound.take(alice, [...first, ...say('two'), ...say('three')])
    expect(inbound.texts()).toEqual([])
    expect(locks()).toEqual(['key-unknown', 'key-unknown', 'key-unknown'])
    expect(bob.state.size('request')).toBe(1)
    expect([...bob.state.rows('key')].filter(([, { expiry }]) => expiry !== undefined)).toHaveLength(1)
    inbound.take(alice, [ahead])
    expect(inbound.texts()).toEqual(['one', 'two', 'three'])
    expect(locks()).toEqual([])
    // The key came by itself, so the request and its private key are gone.
    expect(bob.state.size('request')).toBe(0)
    expect([...bob.state.rows('key')].filter(([, { expiry }]) => expiry !== undefined)).toHaveLength(0)
  })

  it('counts against the quota of a stranger, and not of a contact', () => {
    inbound = receiver(bob, { lockedStanzasMax: 2 })
    const rows = ['one', 'two', 'three'].flatMap((text) => say(text)).slice(1)
    inbound.take(alice, rows)
    expect(locks()).toHaveLength(2)
    expect(inbound.reports).toEqual([`locked-quota ${alice.address}`])
    bob.run((tx) => tx.put('conversation', alice.address, { seq: 0, contact: true }))
    inbound.take(alice, say('four'))
    expect(locks()).toHaveLength(3)
  })

  it('counts by octets as well', () => {
    inbound = receiver(bob, { lockedBytesMax: 10 })
    inbound.take(alice, say('one').slice(1))
    expect(inbound.reports).toEqual([`locked-quota ${alice.address}`])
  })

  it('ends with a name when its time is over', () => {
    inbound.take(alice, say('one').slice(1))
    inbound.expire(start + lifetimeMs)
    expect(locks()).toEqual([])
    expect(inbound.reports).toEqual([`undecryptable-key-unknown ${alice.address}`])
  })
})

describe('order in a thread', () => {
  it('is kept: a message waits for the one before it', () => {
    const [one, two, three] = ['one', 'two', 'three'].map((text) => say(text)) as [StanzaRow[], StanzaRow[], StanzaRow[]]
    inbound.take(alice, one.slice(0, 1))
    inbound.take(alice, three)
    inbound.take(alice, two)
    expect(locks()).toEqual(['order', 'order'])
    expect(inbound.texts()).toEqual([])
    inbound.take(alice, one)
    expect(inbound.texts()).toEqual(['one', 'two', 'three'])
  })

  it('does not hold up another thread', () => {
    const [one, two, other] = [say('one'), say('two'), say('other', 'u')]
    inbound.take(alice, one.slice(0, 1))
    inbound.take(alice, [...two, ...other])
    expect(inbound.texts()).toEqual(['other'])
  })

  it('ends after a while with a gap, and what comes after that is late', () => {
    const [one, two, three] = [say('one'), say('two'), say('three')]
    inbound.take(alice, [...one.slice(0, 1), ...two, ...three])
    inbound.expire(start + 29_999)
    expect(inbound.texts()).toEqual([])
    inbound.expire(start + 30_000)
    expect(inbound.texts()).toEqual(['two gap 1', 'three'])
    inbound.take(alice, one)
    expect(inbound.texts()).toEqual(['two gap 1', 'three', 'one late'])
    inbound.take(alice, one)
    expect(inbound.reports).toContain(`duplicate ${alice.address}`)
  })

  it('names in a gap all that is missing, each number once, and its own predecessor in any case', () => {
    const rows = [...Array(9)].map((_, i) => say(`${i + 1}`, i === 4 || i === 7 ? 'u' : 't'))
    const [one = [], , , four = [], five, , , eight = [], nine = []] = rows
    inbound.take(alice, one)
    inbound.take(alice, four)
    inbound.expire(start + 30_000)
    expect(inbound.texts()).toEqual(['1', '4 gap 2-3'])
    inbound.take(alice, eight)
    inbound.take(alice, nine)
    inbound.expire(start + 60_000)
    // The fifth is in the thread of the eighth, and was named there.
    expect(inbound.texts()).toEqual(['1', '4 gap 2-3', '8 gap 5', '9 gap 6-7'])
    inbound.take(alice, five ?? [])
    expect(inbound.texts().at(-1)).toBe('5 late')
  })

  it('is waited for longer while what is missing may be locked itself', async () => {
    const [ahead, one] = say('one') as [StanzaRow, StanzaRow]
    // A new device of bob makes a new session key: the second message can be opened and the first cannot.
    const second = await furtherDevice(bob)
    knows(alice, [bob, second])
    const two = say('two')
    inbound.take(alice, [one, ...two])
    expect(locks()).toEqual(['key-unknown', 'order'])
    inbound.expire(start + 30_000)
    expect(locks()).toEqual(['key-unknown', 'order'])
    inbound.take(alice, [ahead])
    expect(inbound.texts()).toEqual(['one', 'two'])
  })

  it('begins for a further device with what comes first, unless something earlier can still open', async () => {
    const first = say('before its time')
    const second = await furtherDevice(bob)
    knows(second, [alice])
    const late = receiver(second)
    // Alice does not know the device yet, so it lacks the key.
    const [two, three] = [say('two'), say('three')]
    late.take(alice, two)
    const sid = [...second.state.rows('locked')][0]?.[1].sid ?? ''
    knows(alice, [bob, second])
    const four = say('four')
    late.take(alice, [...three, ...four])
    expect([...second.state.rows('locked')].map(([, { cause }]) => cause)).toEqual(['key-unknown', 'key-unknown', 'order'])
    const old = alice.state.get('own', `${bob.address} ${sid}`)
    second.run((tx) => {
      if (old !== undefined)
        tx.put('held', `${alice.address} ${sid}`, { smk: old.smk, source: 'ahead', status: 'working', taken: start })
      late.inbound.unlock(tx, alice.address, ({ cause }) => cause === 'key-unknown')
    })
    expect(late.texts()).toEqual(['two', 'three', 'four'])
    // Should it come all the same, it is not lost, and flagged.
    late.take(alice, first)
    expect(late.texts()).toEqual(['two', 'three', 'four', 'before its time late'])
  })

  it('costs no opening while the one before is still missing', () => {
    const rows = Array.from({ length: 200 }, (_, i) => say(String(i)))
    const other = Array.from({ length: 200 }, (_, i) => say(`other ${i}`, 'u'))
    bob.run((tx) => tx.put('conversation', alice.address, { seq: 0, contact: true }))
    inbound.take(alice, rows[0]?.slice(0, 1) ?? [])
    inbound.take(alice, rows.slice(1).flat())
    expect(locks()).toHaveLength(199)
    // Each of these looks at the 199 that wait; opening them would be 40,000 decryptions.
    inbound.take(alice, other.flat())
    expect(inbound.texts()).toHaveLength(200)
    inbound.take(alice, rows[0] ?? [])
    expect(inbound.texts().slice(200)).toEqual(rows.map((_, i) => String(i)))
  }, 20_000)
})

describe('cards that are missing', () => {
  it('are asked for, and what waited is opened when they are there', () => {
    bob.run((tx) => tx.del('pin', alice.address))
    inbound.take(alice, say('one'))
    expect(locks()).toEqual(['card-unknown', 'key-unknown'])
    expect(inbound.wanted).toContain(alice.address)
    knows(bob, [alice])
    bob.run((tx) => inbound.inbound.unlock(tx, alice.address, ({ cause }) => cause === 'card-unknown'))
    expect(inbound.texts()).toEqual(['one'])
  })
})

describe('what a device sent that was removed as compromised', () => {
  let before: readonly StanzaRow[]
  const compromise = (): void => {
    const head = alice.self.card()
    if (head === undefined) throw new Error('no card')
    const devices = withoutDevice(head.card, alice.device, { reason: 'compromised', now: start })
    setCard(bob, alice.address, alice.run((tx) => signNextCard(tx, head, devices)).jws)
  }
  const decide = (decision: 'take' | 'drop'): void => bob.run((tx) => inbound.inbound.decide(tx, alice.address, decision))

  beforeEach(() => {
    const [ahead, ...rest] = say('before') as [StanzaRow, ...StanzaRow[]]
    before = rest
    inbound.take(alice, [ahead, ...before])
    const late = [...say('one'), ...say('two')]
    compromise()
    inbound.take(alice, late)
  })

  it('is held when it was not committed before the card came', () => {
    expect(inbound.texts()).toEqual(['before'])
    expect(locks()).toEqual(['signer-removed', 'signer-removed'])
    expect(inbound.reports).toEqual([])
  })

  it('is handed over in order when the person says so, once', () => {
    decide('take')
    expect([inbound.texts(), locks()]).toEqual([['before', 'one', 'two'], []])
    decide('take')
    expect(inbound.texts()).toHaveLength(3)
    inbound.take(alice, say('after that'))
    expect(locks()).toEqual(['signer-removed'])
  })

  it('ends with a report when the person drops it, or its time is over', () => {
    decide('drop')
    expect([inbound.texts(), locks()]).toEqual([['before'], []])
    inbound.take(alice, say('three'))
    inbound.expire(start + lifetimeMs)
    expect([inbound.texts(), locks()]).toEqual([['before'], []])
    expect(inbound.reports).toEqual(Array(3).fill(`signer-removed ${alice.address}`))
  })

  it('is held with the key that went ahead of it, and opens with it', async () => {
    const second = await furtherDevice(bob)
    knows(second, [alice])
    knows(alice, [bob, second])
    const there = receiver(second)
    const head = bob.state.get('pin', alice.address)
    const rows = say('three')
    if (head !== undefined) setCard(second, alice.address, head.jws)
    there.take(alice, rows)
    expect([...second.state.rows('locked')].map(([, { cause }]) => cause)).toEqual(['signer-removed', 'key-unknown'])
    second.run((tx) => there.inbound.decide(tx, alice.address, 'take'))
    expect(there.texts()).toEqual(['three'])
  })

  it('is repeated, and dropped as that, when it had come before', () => {
    inbound.take(alice, before)
    expect(inbound.reports).toEqual([`duplicate ${alice.address}`])
    expect(locks()).toHaveLength(2)
  })
})

it('drops its own stanza when a relay sends it back', () => {
  const stanza = { ...alice, from: bob.address, device: bob.device, entry: new Uint8Array(), body: new Uint8Array() }
  bob.run((tx) => inbound.inbound.receive(tx, { ...stanza, id: 'x' as never, n: 1, expiry: start }, 'AAAAAAAAAAA'))
  expect(inbound.reports).toEqual([`own-stanza ${bob.address}`])
})
