import { describe, expect, it } from 'vitest'
import type { Draft } from '../src/outbox.ts'
import type { StanzaRow } from '../src/rows.ts'
import { sealRow } from '../src/seal.ts'
import { cut, day, furtherDevice, knows, lifetimeMs, type Person, person, receiver, send, start } from './people.ts'

async function pair(): Promise<{ readonly alice: Person; readonly bob: Person; readonly text: Draft }> {
  const alice = await person('alice@a.test')
  const bob = await person('bob@b.test')
  knows(alice, [bob])
  knows(bob, [alice])
  return { alice, bob, text: { to: bob.address, type: 'urn:parley:chat:1:text', body: { text: 'hi' }, threadId: 't' } }
}

const shape = (stanzas: readonly StanzaRow[]): readonly unknown[] =>
  stanzas.map(({ to, entries }) => [to, ...entries.map(([device]) => device)])

describe('the first message of a conversation', () => {
  it('goes behind its key, which names every device that can have it', async () => {
    const { alice, bob, text } = await pair()
    const [second, other] = [await furtherDevice(bob), await furtherDevice(alice)]
    knows(alice, [bob, second])
    expect(shape(send(alice, text).stanzas)).toEqual([
      [bob.address, bob.device, second.device],
      [alice.address, other.device],
      [bob.address, '*'],
      [alice.address, '*'],
    ])
    expect(shape(send(alice, text).stanzas)).toEqual([
      [bob.address, '*'],
      [alice.address, '*'],
    ])
  })

  it('waits for the card and for the statements', async () => {
    const { alice, bob, text } = await pair()
    alice.run((tx) => tx.del('statements', bob.address))
    expect(send(alice, text)).toMatchObject({ outcome: 'wants', stanzas: [] })
    alice.run((tx) => tx.del('pin', bob.address))
    expect(send(alice, text).outcome).toBe('wants')
    expect(alice.state.size('outbox')).toBe(2)
  })

  it('waits while the recipient is held', async () => {
    const { alice, bob, text } = await pair()
    alice.run((tx) => {
      const pin = tx.get('pin', bob.address)
      if (pin !== undefined) tx.put('pin', bob.address, { ...pin, held: { code: 'card-fork', proof: ['', ''] } })
    })
    expect(send(alice, text)).toMatchObject({ outcome: 'held', stanzas: [] })
  })

  it('takes no key to a device without a statement in force', async () => {
    const { alice, bob, text } = await pair()
    const second = await furtherDevice(bob)
    knows(alice, [bob])
    expect(shape(send(alice, text).stanzas)).toEqual([
      [bob.address, bob.device],
      [bob.address, '*'],
    ])
    knows(alice, [bob, second])
    // Its statement came: the key of the conversation goes to it, and to nobody again.
    expect(shape(send(alice, text).stanzas)).toEqual([
      [bob.address, second.device],
      [bob.address, '*'],
    ])
    expect(shape(send(alice, text, start + 31 * day).stanzas)).toEqual([[bob.address, '*']])
  })

  it('to the own account alone is delivered at once, and reaches the other devices', async () => {
    const { alice, text } = await pair()
    knows(alice, [alice])
    const note = send(alice, { ...text, to: alice.address })
    expect(alice.state.get('sent', note.id)?.state).toBe('delivered')
    expect(note.stanzas).toEqual([])
    const other = await furtherDevice(alice)
    const copies = send(alice, { ...text, to: alice.address })
    const inbound = receiver(other)
    inbound.take(alice, copies.stanzas)
    expect(inbound.texts()).toEqual(['hi'])
  })
})

it('waits for the cards when a newer one is known to exist', async () => {
  const { alice, bob, text } = await pair()
  const row = alice.state.get('statements', bob.address) ?? { fetched: 0, list: [] }
  alice.run((tx) => tx.put('statements', bob.address, { ...row, outdated: 2 }))
  expect(send(alice, text).outcome).toBe('wants')
  alice.run((tx) => tx.put('statements', bob.address, row))
  expect(send(alice, text).outcome).toBe('done')
})

describe('what is sealed', () => {
  it('stands in the store octet by octet, so that what is sent again is the same', async () => {
    const { alice, text } = await pair()
    const { stanzas } = send(alice, text)
    const before = stanzas.map(({ id, bytes }) => [id, Buffer.from(bytes).toString('hex')])
    const after = [...alice.state.rows('stanza')].map(([, { id, bytes }]) => [id, Buffer.from(bytes).toString('hex')])
    expect(after).toEqual(before)
    expect(alice.state.size('outbox')).toBe(0)
  })

  it('remembers which stanzas carry it to its recipient, and the hash that a receipt must name', async () => {
    const { alice, bob, text } = await pair()
    await furtherDevice(alice)
    const { id, stanzas } = send(alice, text)
    const carrier = stanzas.find(({ to, entries }) => to === bob.address && entries[0]?.[0] === '*')
    expect(alice.state.get('sent', id)).toMatchObject({ state: 'queued', stanzas: [carrier?.id], pending: [carrier?.id] })
    expect(alice.state.get('sent', id)?.hash).toHaveLength(43)
  })

  it('shows no text, no type and no thread', async () => {
    const { alice, text } = await pair()
    for (const { bytes } of send(alice, { ...text, body: { text: 'plain words' }, threadId: 'thread-name' }).stanzas)
      for (const word of ['plain words', 'urn:parley', 'thread-name']) expect(Buffer.from(bytes).includes(word)).toBe(false)
  })

  it('gives a device its own entry and no other', async () => {
    const { alice, bob, text } = await pair()
    const second = await furtherDevice(bob)
    knows(alice, [bob, second])
    const [ahead] = send(alice, text).stanzas as [StanzaRow]
    const [mine, theirs] = [cut(ahead, alice, bob), cut(ahead, alice, second)]
    expect(mine?.entry).not.toEqual(theirs?.entry)
    expect(mine?.body).toEqual(theirs?.body)
    const stranger = await person('carol@b.test')
    expect(cut({ ...ahead, to: stranger.address }, alice, stranger)).toBeUndefined()
  })

  it('is not sealed any more when its time is over', async () => {
    const { alice, bob, text } = await pair()
    alice.run((tx) => tx.del('pin', bob.address))
    const { id } = send(alice, text)
    knows(alice, [bob])
    const [[key = ''] = []] = [...alice.state.rows('outbox')]
    alice.run((tx) => sealRow(tx, { ...alice, sealed() {}, renewed() {} }, key), start + lifetimeMs)
    expect(alice.state.get('sent', id)).toMatchObject({ state: 'failed', cause: 'expired' })
    expect(alice.state.size('outbox') + alice.state.size('stanza')).toBe(0)
  })
})

it('splits what has more than 256 entries into several stanzas of one message', async () => {
  const { alice, bob } = await pair()
  const jwk = bob.keyring.statements(
    alice.state.get('statements', bob.address) ?? { fetched: 0, list: [] },
    bob.self.pin() as never,
    start,
  )[0]?.agreementKey
  const devices = Array.from({ length: 300 }, (_, i) => `device-${i}` as never)
  const draft: Draft = { to: bob.address, type: 'urn:parley:kernel:1:key-answer', body: {}, devices, seal: { jwk: jwk as never } }
  const { stanzas } = send(alice, draft)
  expect(stanzas.map(({ entries }) => entries.length)).toEqual([256, 44])
  expect(new Set(stanzas.map(({ id }) => id)).size).toBe(2)
  expect(stanzas.flatMap(({ entries }) => entries.map(([device]) => device))).toEqual(devices)
})
