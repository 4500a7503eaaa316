import { writeFrame } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { createWorld } from './network.ts'

async function scene() {
  const world = createWorld()
  const relay = await world.relay('a.example')
  const account = world.account('alice@a.example', 3)
  const [first, second, third] = account.keys.map((_, at) => world.device(account, { relay, at }))
  if (first === undefined || second === undefined || third === undefined) throw new Error('three devices')
  await first.online({ register: true })
  const [one, two, three] = account.keys
  if (one === undefined || two === undefined || three === undefined) throw new Error('three keys')
  return { world, relay, account, first, second, third, keys: [one, two, three] as const }
}

describe('the directory', () => {
  it('answers the chain of cards after a version, and the statements beside the newest', async () => {
    const { account, first, keys } = await scene()
    const next = account.next(account.cards[0]?.card.devices ?? [])
    expect(await first.request('publish-card', { card: next.jws })).toMatchObject({ ok: true, value: { version: 2 } })
    const jws = account.cards.map((card) => card.jws)
    expect(await first.request('cards', { address: account.address, since: 0 })).toMatchObject({
      value: { cards: jws, version: 2 },
    })
    expect(await first.request('cards', { address: account.address, since: 1 })).toMatchObject({
      value: { cards: jws.slice(1), version: 2 },
    })
    expect(await first.request('cards', { address: account.address, since: 7 })).toMatchObject({
      value: { cards: [], version: 2 },
    })
    const statement = account.statement(keys[0], 2)
    expect(await first.request('publish-statement', { statement })).toMatchObject({ ok: true, value: { n: 2 } })
    expect(await first.request('statements', { address: account.address })).toMatchObject({
      value: { statements: [statement], card: next.jws },
    })
  })

  it('keeps everything over a crash', async () => {
    const { account, first, relay } = await scene()
    const next = account.next(account.cards[0]?.card.devices ?? [])
    await first.request('publish-card', { card: next.jws })
    relay.kill()
    await relay.start()
    await first.online()
    expect(await first.request('cards', { address: account.address, since: 0 })).toMatchObject({ value: { version: 2 } })
  })

  it('takes a card again that it has', async () => {
    const { account, first } = await scene()
    expect(await first.request('publish-card', { card: account.cards[0]?.jws })).toMatchObject({
      ok: true,
      value: { version: 1 },
    })
  })

  it('refuses a card that does not follow, each with its code', async () => {
    const { world, account, first } = await scene()
    const devices = account.cards[0]?.card.devices ?? []
    const second = account.next(devices)
    const third = account.next(devices)
    const before = async (card: string) => first.request('publish-card', { card })
    expect(await before(third.jws)).toMatchObject({ ok: false, code: 'card-chain-broken' })
    expect(await before('no.card.here')).toMatchObject({ ok: false, code: 'card-invalid' })
    expect(await before(second.jws.replace(/.$/, (last) => (last === 'A' ? 'E' : 'A')))).toMatchObject({
      ok: false,
      code: 'card-invalid',
    })
    expect(await before('x'.repeat(40_000))).toMatchObject({ ok: false, code: 'card-too-large' })
    expect(await before(world.account('bob@a.example').cards[0]?.jws ?? '')).toMatchObject({ ok: false, code: 'forbidden' })
    const stranger = world.account('alice@a.example')
    expect(await before(stranger.cards[0]?.jws ?? '')).toMatchObject({ ok: false, code: 'card-fork' })
    expect(await before(stranger.next(stranger.cards[0]?.card.devices ?? []).jws)).toMatchObject({
      ok: false,
      code: 'card-chain-broken',
    })
    expect(await before(second.jws)).toMatchObject({ ok: true })
    expect(await before(third.jws)).toMatchObject({ ok: true })
    expect(await before(second.jws)).toMatchObject({ ok: false, code: 'card-rollback' })
    expect(await first.request('publish-card', {})).toMatchObject({ ok: false, code: 'request-malformed' })
  })

  it('refuses a card on which a device is simply missing', async () => {
    const { account, first } = await scene()
    const next = account.next((account.cards[0]?.card.devices ?? []).slice(1))
    expect(await first.request('publish-card', { card: next.jws })).toMatchObject({ ok: false, code: 'card-chain-broken' })
  })

  it('refuses statements of other devices, older ones and forged ones', async () => {
    const { account, first, keys, world } = await scene()
    const publish = async (statement: string) => first.request('publish-statement', { statement })
    expect(await publish(account.statement(keys[1]))).toMatchObject({ ok: false, code: 'statement-invalid' })
    expect(await publish(account.statement(keys[0], 3))).toMatchObject({ ok: true })
    expect(await publish(account.statement(keys[0], 2))).toMatchObject({ ok: false, code: 'statement-invalid' })
    const bob = world.account('bob@a.example')
    expect(await publish(bob.statement(bob.keys[0] as never))).toMatchObject({ ok: false, code: 'statement-invalid' })
    expect(await first.request('publish-statement', { statement: 7 })).toMatchObject({ ok: false, code: 'request-malformed' })
  })

  it('ends a removed device at once: its stream, its mailbox, its statement and its right to log in', async () => {
    const { world, relay, account, first, second, third, keys } = await scene()
    await second.online()
    await second.request('publish-statement', { statement: account.statement(keys[1]) })
    third.isHolding = true
    await third.online()
    const note = first.send(account.address, 'before')
    await world.until(() => first.ended(note) !== undefined && second.texts.length === 1)
    const [one, two] = account.cards[0]?.card.devices ?? []
    const gone = { removed: world.clock.now() / 1000, reason: 'compromised' } as const
    const next = account.next([one, two && { ...two, ...gone }, account.deviceOf(keys[2], gone)].flatMap((each) => each ?? []))
    expect(await first.request('publish-card', { card: next.jws })).toMatchObject({ ok: true })
    await world.until(() => second.fatal !== undefined && third.fatal !== undefined)
    expect([second.fatal, third.fatal]).toEqual(['device-removed', 'device-removed'])
    expect((await relay.relay.stats()).mailbox.count).toBe(0)
    expect(await first.request('statements', { address: account.address })).toMatchObject({
      value: { statements: [expect.any(String)] },
    })
    await expect(second.online()).rejects.toThrow('device-removed')
    // Whoever did not hear the answer says it again.
    expect(await first.request('publish-card', { card: next.jws })).toMatchObject({ ok: true })
    const after = first.send(account.address, 'after')
    await world.until(() => first.ended(after) !== undefined)
    expect((await relay.relay.stats()).mailbox.count).toBe(0)
  })

  it('takes the mail of a removed device away when the card comes again after a crash', async () => {
    let crashes = 0
    for (let at = 1; at <= crashes + 1; at++) {
      const { world, relay, account, first, second } = await scene()
      await second.online()
      second.drop()
      await world.pass(100)
      const note = first.send(account.address, 'for the others')
      await world.until(() => first.ended(note) !== undefined)
      const [one, two, three] = account.cards[0]?.card.devices ?? []
      const gone = { removed: world.clock.now() / 1000, reason: 'retired' } as const
      const devices = [one, two && { ...two, ...gone }, three && { ...three, ...gone }].flatMap((each) => each ?? [])
      const next = account.next(devices)
      let points = 0
      relay.disk.onBatch = () => {
        points++
        if (points !== at) return
        crashes++
        relay.kill()
      }
      first.raw(writeFrame({ t: 'request', id: 'lost', what: 'publish-card', value: { card: next.jws } }))
      await world.pass(1000)
      relay.disk.onBatch = () => {}
      if (crashes < at) break
      await relay.start()
      await first.online()
      expect(await first.request('publish-card', { card: next.jws })).toMatchObject({ ok: true })
      expect((await relay.relay.stats()).mailbox.count).toBe(0)
    }
    expect(crashes).toBeGreaterThan(3)
  })

  it('answers with a code what it does not know', async () => {
    const { first } = await scene()
    expect(await first.request('cards', { address: 'ghost@a.example', since: 0 })).toMatchObject({
      ok: false,
      code: 'item-not-found',
    })
    expect(await first.request('statements', { address: 'ghost@a.example' })).toMatchObject({ ok: false, code: 'item-not-found' })
    expect(await first.request('cards', { address: 'bob@nowhere.example' })).toMatchObject({ ok: false, code: 'domain-unknown' })
    expect(await first.request('cards', { address: 'no address' })).toMatchObject({ ok: false, code: 'request-malformed' })
    expect(await first.request('cards', { address: first.address, since: -1 })).toMatchObject({
      ok: false,
      code: 'request-malformed',
    })
    expect(await first.request('later', {})).toMatchObject({ ok: false, code: 'request-unknown' })
    expect(await first.request('status', {})).toMatchObject({ ok: true, value: { mailbox: { count: 0 } } })
  })
})
