import { parseAddress, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { createWorld, type World } from './network.ts'

async function scene(devices = 1, seed = 1) {
  const world = createWorld(seed)
  const relay = await world.relay('a.example')
  const aliceAccount = world.account('alice@a.example')
  const bobAccount = world.account('bob@a.example', devices)
  const alice = world.device(aliceAccount, { relay })
  const bobs = bobAccount.keys.map((_, at) => world.device(bobAccount, { relay, at }))
  const bob = bobs[0] as (typeof bobs)[0]
  await alice.online({ register: true })
  await bob.online({ register: true })
  return { world, relay, aliceAccount, bobAccount, alice, bob, bobs }
}

const accepted = (world: World, device: { events: readonly { kind: string }[] }, count: number): Promise<void> =>
  world.until(() => device.events.filter(({ kind }) => kind === 'accepted').length === count)

describe('a relay between its own accounts', () => {
  it('brings stanzas to a device that is online, in order, and tells the card version', async () => {
    const { world, alice, bob } = await scene()
    const ids = Array.from({ length: 200 }, (_, i) => alice.send(bob.address, `message ${i}`))
    await world.until(() => bob.texts.length === 200)
    expect(bob.texts).toEqual(ids.map((_, i) => `message ${i}`))
    await accepted(world, alice, 200)
    expect(alice.ended(ids[7] as never)).toEqual({ kind: 'accepted', id: ids[7], to: [bob.address], cards: { [bob.address]: 1 } })
  })

  it('keeps them for every device of the card that is away, also over a crash', async () => {
    const { world, relay, alice, bobs } = await scene(3)
    const [first, second, third] = bobs as [never, never, never] as typeof bobs
    first?.drop()
    for (let i = 0; i < 3; i++) alice.send(bobs[0]?.address as never, `message ${i}`)
    await accepted(world, alice, 3)
    relay.kill()
    await relay.start()
    for (const device of [first, second, third]) await device?.online()
    await world.until(() => bobs.every(({ texts }) => texts.length === 3))
    for (const { texts } of bobs) expect(texts).toEqual(['message 0', 'message 1', 'message 2'])
    await world.pass(1000)
    expect((await relay.relay.stats()).mailbox.count).toBe(0)
  })

  it('repeats what was delivered and not acknowledged, and nothing that was', async () => {
    const { world, alice, bob } = await scene()
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    bob.isHolding = true
    alice.send(bob.address, 'two')
    await world.until(() => bob.texts.length === 2)
    bob.drop()
    await world.pass(100)
    bob.isHolding = false
    await bob.online()
    await world.until(() => bob.texts.length === 3)
    expect(bob.texts).toEqual(['one', 'two', 'two'])
  })

  it('delivers no more than the window to a reader who acknowledges nothing, and the rest when it does', async () => {
    const { world, alice, bob } = await scene()
    bob.isHolding = true
    for (let i = 0; i < 150; i++) alice.send(bob.address, `message ${i}`)
    await accepted(world, alice, 150)
    await world.pass(1000)
    expect(bob.texts).toHaveLength(64)
    bob.isHolding = false
    const last = bob.events.findLast((event) => event.kind === 'stanza')
    if (last?.kind === 'stanza') bob.handled(last.stanza.n ?? 0)
    await world.until(() => bob.texts.length === 150)
  })

  it('gives a named entry to its device only, the other one to all, and nothing back to the sender', async () => {
    const { world, bobs } = await scene(3)
    const [first, second, third] = bobs as [(typeof bobs)[0], (typeof bobs)[0], (typeof bobs)[0]]
    await second.online()
    await third.online()
    const entries = [
      { device: '*', octets: utf8('for all') },
      { device: second.id, octets: utf8('for the second') },
    ] as const
    first.send(first.address, 'copy', { entries })
    await world.until(() => second.texts.length === 1 && third.texts.length === 1)
    const entryOf = (device: typeof second): string | undefined => {
      const event = device.events.findLast((each) => each.kind === 'stanza')
      return event?.kind === 'stanza' ? new TextDecoder().decode(event.stanza.entry) : undefined
    }
    expect([entryOf(second), entryOf(third)]).toEqual(['for the second', 'for all'])
    first.send(first.address, 'only one', { entries: entries.slice(1) })
    await world.until(() => second.texts.length === 2)
    await world.pass(500)
    expect([first.texts, third.texts]).toEqual([[], ['copy']])
  })

  it('passes ephemeral stanzas to those who are online and stores none', async () => {
    const { world, relay, alice, bobs } = await scene(2)
    alice.send(bobs[0]?.address as never, 'typing', { class: 'ephemeral' })
    await world.until(() => bobs[0]?.texts.length === 1)
    expect((await relay.relay.stats()).mailbox.count).toBe(0)
    await bobs[1]?.online()
    await world.pass(500)
    expect(bobs[1]?.texts).toEqual([])
  })

  it('drops, and counts, ephemeral stanzas for a device that reads more slowly than they come', async () => {
    const { world, relay, alice, bob } = await scene()
    relay.relay.setLimits({ bufferedBytesMax: 1 })
    // All arrive in one moment.
    world.network.faults = { ...world.network.faults, delayMsMin: 1, delayMsMax: 1 }
    for (const text of ['one', 'two', 'three']) alice.send(bob.address, text, { class: 'ephemeral' })
    await world.until(() => bob.texts.length === 1)
    await world.pass(100)
    expect(bob.texts).toEqual(['one'])
    expect(relay.counts.get('relay.ephemeral.dropped')).toBe(2)
  })

  it('ends each stanza that cannot go with its code, and the rest goes on', async () => {
    const { world, alice, bob } = await scene()
    const ghost = parseAddress('ghost@a.example')
    const now = world.clock.now()
    const ids = {
      'recipient-unknown': alice.send(ghost, 'x'),
      'domain-unknown': alice.send(parseAddress('bob@nowhere.example'), 'x'),
      'stanza-malformed': alice.send([bob.address, parseAddress('bob@b.example')], 'x'),
      expired: alice.send(bob.address, 'x', { expiry: now }),
      'expiry-too-late': alice.send(bob.address, 'x', { expiry: now + 60 * 86_400_000 }),
    }
    const mixed = alice.send([ghost, bob.address], 'both')
    await world.until(() => bob.texts.length === 1 && alice.client.unsettled.length === 0)
    for (const [code, id] of Object.entries(ids)) expect(alice.ended(id)).toMatchObject({ kind: 'bounced', code, to: undefined })
    const ends = alice.events.filter((event) => 'id' in event && event.id === mixed)
    expect(ends).toMatchObject([
      { kind: 'bounced', code: 'recipient-unknown', to: [ghost] },
      { kind: 'accepted', to: [bob.address] },
    ])
  })

  it('says mailbox-full for the account that is full, and takes more after its reader came', async () => {
    const world = createWorld()
    const { mailboxLimits } = await import('@parley/mailbox')
    const relay = await world.relay('a.example', { limits: { mailbox: { ...mailboxLimits, countMax: 2 } } })
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) =>
      world.device(world.account(`${name}@a.example`), { relay }),
    )
    if (alice === undefined || bob === undefined || carol === undefined) throw new Error('three devices')
    for (const each of [alice, bob, carol]) await each.online({ register: true })
    bob.drop()
    await world.pass(100)
    for (let i = 0; i < 2; i++) alice.send(bob.address, 'x')
    await accepted(world, alice, 2)
    const id = alice.send([bob.address, carol.address], 'both')
    await world.until(() => carol.texts.length === 1 && alice.client.unsettled.length === 0)
    expect(alice.events.filter((event) => 'id' in event && event.id === id)).toMatchObject([
      { kind: 'bounced', code: 'mailbox-full', retryable: true, to: [bob.address] },
      { kind: 'accepted', to: [carol.address] },
    ])
    expect(relay.counts.get('relay.limit.mailbox.countMax')).toBeGreaterThan(0)
    await bob.online()
    await world.until(() => bob.texts.length === 2)
    await world.pass(500)
    alice.send(bob.address, 'again')
    await world.until(() => bob.texts.includes('again'))
  })

  it('stores a stanza once that a sender repeats under its id', async () => {
    const { world, alice, bob } = await scene()
    const id = alice.send(bob.address, 'once')
    alice.send(bob.address, 'once', { id })
    await accepted(world, alice, 2)
    await world.pass(500)
    expect(bob.texts).toEqual(['once'])
  })

  it('refuses new stanzas while the disk is full, delivers what is stored, and recovers', async () => {
    const { world, relay, alice, bob } = await scene()
    bob.drop()
    await world.pass(100)
    alice.send(bob.address, 'before')
    await accepted(world, alice, 1)
    relay.disk.full = true
    const refused = alice.send(bob.address, 'meanwhile')
    await world.until(() => alice.ended(refused) !== undefined)
    expect(alice.ended(refused)).toMatchObject({ kind: 'bounced', code: 'unavailable', retryable: true })
    await bob.online()
    await world.until(() => bob.texts.length === 1)
    relay.disk.full = false
    alice.send(bob.address, 'after')
    await world.until(() => bob.texts.length === 2)
    expect(bob.texts).toEqual(['before', 'after'])
  })

  it('gives a device a new epoch after a restore, and deletes nothing for the old one', async () => {
    const { world, relay, alice, bob } = await scene()
    alice.send(bob.address, 'one')
    await world.until(() => bob.texts.length === 1)
    bob.drop()
    await world.pass(500)
    alice.send(bob.address, 'two')
    await accepted(world, alice, 2)
    const backup = relay.disk.snapshot()
    alice.send(bob.address, 'three')
    await accepted(world, alice, 3)
    await bob.online()
    await world.until(() => bob.texts.length === 3)
    relay.kill()
    relay.disk.restore(backup)
    await relay.start({ restored: true })
    const before = bob.position
    await bob.online()
    await world.until(() => bob.texts.length === 4)
    expect(bob.texts).toEqual(['one', 'two', 'three', 'two'])
    expect(bob.position?.epoch).not.toBe(before?.epoch)
  })

  it('forgets what has expired', async () => {
    const { world, relay, alice, bob } = await scene()
    bob.drop()
    await world.pass(100)
    alice.send(bob.address, 'short', { expiry: world.clock.now() + 60_000 })
    await accepted(world, alice, 1)
    await world.pass(200_000)
    expect((await relay.relay.stats()).mailbox.count).toBe(0)
    await bob.online()
    await world.pass(500)
    expect(bob.texts).toEqual([])
  })
})
