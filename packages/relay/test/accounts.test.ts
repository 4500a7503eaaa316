import type { Address } from '@parley/core'
import { signAccountRemoval } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { createWorld, type RelayTestOptions } from './network.ts'

async function scene(options: RelayTestOptions = {}) {
  const world = createWorld()
  const relay = await world.relay('a.example', options)
  const join = async (address: string, how: { invite?: string } = {}) => {
    const account = world.account(address)
    const device = world.device(account, { relay })
    await device.online({ register: true, ...how })
    return { account, device }
  }
  return { world, relay, join }
}

describe('an invitation', () => {
  it('opens as many accounts as it says, and survives a restart meanwhile', async () => {
    const { relay, join } = await scene({ registration: 'invite' })
    const { token } = await relay.relay.invites.create({ uses: 2 })
    await join('alice@a.example', { invite: token })
    relay.kill()
    await relay.start()
    expect(await relay.relay.invites.list()).toMatchObject([{ uses: 1 }])
    await join('bob@a.example', { invite: token })
    await expect(join('carol@a.example', { invite: token })).rejects.toThrow('invite-refused')
    expect(await relay.relay.invites.list()).toEqual([])
  })

  it('is not used up by a registration whose answer was lost', async () => {
    const { world, relay, join } = await scene({ registration: 'invite' })
    const { token } = await relay.relay.invites.create()
    const { device } = await join('alice@a.example', { invite: token })
    device.drop()
    await world.pass(100)
    await device.online({ register: true, invite: token })
    expect(device.events.at(-1)).toMatchObject({ kind: 'ready', welcome: { account: 'known' } })
  })

  it.each([
    ['none', undefined],
    ['a wrong one', 'A'.repeat(24)],
    ['no token at all', '../../etc'],
  ])('is needed: %s is refused', async (_, invite) => {
    const { relay, join } = await scene({ registration: 'invite' })
    await relay.relay.invites.create()
    await expect(join('alice@a.example', invite === undefined ? {} : { invite })).rejects.toThrow('invite-refused')
  })

  it('is asked for before anybody learns whether an address is taken', async () => {
    const { relay, join } = await scene({ registration: 'invite' })
    const { token } = await relay.relay.invites.create()
    await join('alice@a.example', { invite: token })
    await expect(join('alice@a.example')).rejects.toThrow('invite-refused')
  })

  it('is not spent on an address that is taken', async () => {
    const { relay, join } = await scene({ registration: 'invite' })
    await join('alice@a.example', { invite: (await relay.relay.invites.create()).token })
    const { token } = await relay.relay.invites.create()
    await expect(join('alice@a.example', { invite: token })).rejects.toThrow('address-taken')
    await join('bob@a.example', { invite: token })
  })

  it('ends with its time, and when it is revoked', async () => {
    const { world, relay, join } = await scene({ registration: 'invite' })
    const brief = await relay.relay.invites.create({ lifetimeMs: 1000 })
    const revoked = await relay.relay.invites.create()
    expect(await relay.relay.invites.revoke(revoked.id)).toBe(true)
    expect(await relay.relay.invites.revoke(revoked.id)).toBe(false)
    await world.pass(1000)
    await expect(join('alice@a.example', { invite: brief.token })).rejects.toThrow('invite-refused')
    await expect(join('alice@a.example', { invite: revoked.token })).rejects.toThrow('invite-refused')
    expect(await relay.relay.invites.list()).toEqual([])
  })

  it('is nowhere in the store', async () => {
    const { relay } = await scene({ registration: 'invite' })
    const { token } = await relay.relay.invites.create()
    relay.kill()
    for await (const [key, value] of relay.disk.open().iterate({ gte: '' }))
      expect(key + new TextDecoder().decode(value)).not.toContain(token)
  })

  it('is one of a bounded number', async () => {
    const { relay } = await scene({ registration: 'invite', limits: { invitesMax: 1 } })
    await relay.relay.invites.create()
    await expect(relay.relay.invites.create()).rejects.toThrow(expect.objectContaining({ code: 'ERR_RELAY_INVITES_FULL' }))
    expect(() => relay.relay.invites.create({ uses: 0 })).toThrow(RangeError)
    expect(relay.counts.get('relay.limit.invitesMax')).toBe(1)
  })
})

describe('an account', () => {
  it('is listed with its devices and what waits for them', async () => {
    const { world, relay, join } = await scene()
    const alice = await join('alice@a.example')
    const bob = await join('bob@a.example')
    bob.device.drop()
    await world.pass(100)
    const id = alice.device.send(bob.account.address, 'hello')
    await world.until(() => alice.device.ended(id) !== undefined)
    const { accounts } = relay.relay
    expect(await accounts.list()).toEqual(['alice@a.example', 'bob@a.example'])
    expect(await accounts.list({ limit: 1 })).toEqual(['alice@a.example'])
    expect(await accounts.list({ after: 'alice@a.example' as Address })).toEqual(['bob@a.example'])
    expect(await accounts.get(bob.account.address)).toMatchObject({
      address: 'bob@a.example',
      registered: expect.any(Number),
      version: 1,
      devices: [{ id: bob.device.id, status: 'active', online: false, mailbox: { count: 1 } }],
      blocked: [],
    })
    expect(await accounts.get('nobody@a.example' as Address)).toBeUndefined()
  })

  it('that is removed leaves nothing: no connection, no card, no mail, no place in the count', async () => {
    const { world, relay, join } = await scene({ limits: { accountsMax: 2 } })
    const alice = await join('alice@a.example')
    const bob = await join('bob@a.example')
    expect(await relay.relay.accounts.remove(bob.account.address)).toBe(true)
    expect(await relay.relay.accounts.remove(bob.account.address)).toBe(false)
    await world.until(() => bob.device.fatal !== undefined)
    expect(bob.device.fatal).toBe('account-removed')
    expect(await alice.device.request('cards', { address: bob.account.address })).toMatchObject({
      ok: false,
      code: 'item-not-found',
    })
    const id = alice.device.send(bob.account.address, 'gone?')
    await world.until(() => alice.device.ended(id) !== undefined)
    expect(alice.device.ended(id)).toMatchObject({ kind: 'bounced', code: 'recipient-unknown' })
    await expect(bob.device.online()).rejects.toThrow('login-refused')
    await join('carol@a.example')
  })

  it('that is removed while the process dies is there to be removed again, or has left no mail', async () => {
    let crashes = 0
    for (let at = 1; at <= crashes + 1; at++) {
      const { world, relay, join } = await scene()
      const alice = await join('alice@a.example')
      const bob = await join('bob@a.example')
      bob.device.drop()
      await world.pass(100)
      const id = alice.device.send(bob.account.address, 'waits')
      await world.until(() => alice.device.ended(id) !== undefined)
      expect((await relay.relay.stats()).mailbox.count).toBe(1)
      let points = 0
      relay.disk.onBatch = () => {
        points++
        if (points !== at) return
        crashes++
        relay.kill()
      }
      await relay.relay.accounts.remove(bob.account.address).catch(() => {})
      relay.disk.onBatch = () => {}
      if (crashes < at) break
      await relay.start()
      await relay.relay.accounts.remove(bob.account.address)
      expect(await relay.relay.accounts.get(bob.account.address)).toBeUndefined()
      expect((await relay.relay.stats()).mailbox.count).toBe(0)
    }
    expect(crashes).toBeGreaterThan(3)
  })

  it('that was removed keeps its address from others until no mail for it can be under way', async () => {
    const { world, relay, join } = await scene({ limits: { addressHeldMs: 60_000 } })
    await join('bob@a.example')
    await relay.relay.accounts.remove('bob@a.example' as Address)
    await expect(join('bob@a.example')).rejects.toThrow('address-taken')
    await world.pass(60_000)
    await join('bob@a.example')
  })

  it('that was removed long ago leaves no trace when others go', async () => {
    const { world, relay, join } = await scene({ limits: { addressHeldMs: 60_000 } })
    for (const name of ['alice', 'bob', 'carol']) await join(`${name}@a.example`)
    const held = () => [...relay.disk.contents().keys()].filter((key) => key.startsWith('held/'))
    await relay.relay.accounts.remove('alice@a.example' as Address)
    await relay.relay.accounts.remove('bob@a.example' as Address)
    expect(held()).toHaveLength(2)
    await world.pass(60_000)
    await relay.relay.accounts.remove('carol@a.example' as Address)
    expect(held()).toEqual(['held/carol@a.example'])
  })

  it('is removed by the holder of its key, and by no device without it', async () => {
    const { world, relay, join } = await scene()
    const { account, device } = await join('alice@a.example')
    const other = world.account('mallory@a.example')
    const now = world.clock.now()
    const forged = signAccountRemoval(account.address, { accountKey: other.accountKey, now })
    expect(await device.request('remove-account', { proof: forged })).toMatchObject({ ok: false, code: 'forbidden' })
    const stale = signAccountRemoval(account.address, { accountKey: account.accountKey, now: now - 600_000 })
    expect(await device.request('remove-account', { proof: stale })).toMatchObject({ ok: false, code: 'forbidden' })
    expect(await device.request('remove-account', {})).toMatchObject({ ok: false, code: 'request-malformed' })
    const proof = signAccountRemoval(account.address, { accountKey: account.accountKey, now: world.clock.now() })
    void device.request('remove-account', { proof }).catch(() => {})
    await world.until(() => device.fatal === 'account-removed')
    expect(await relay.relay.accounts.list()).toEqual([])
  })

  it('has a bounded number of devices', async () => {
    const { world, relay } = await scene({ limits: { devicesPerAccountMax: 1 } })
    const account = world.account('alice@a.example', 2)
    const two = world.device(account, { relay })
    await expect(two.online({ register: true })).rejects.toThrow('registration-refused')
    const one = world.account('bob@a.example')
    const device = world.device(one, { relay })
    await device.online({ register: true })
    const next = one.next([...(one.cards[0]?.card.devices ?? []), ...(account.cards[0]?.card.devices ?? [])])
    expect(await device.request('publish-card', { card: next.jws })).toMatchObject({ ok: false, code: 'too-many-devices' })
    expect(relay.counts.get('relay.limit.devicesPerAccountMax')).toBe(2)
  })

  it('has a bounded number of cards of a bounded size', async () => {
    const { world, relay } = await scene({ limits: { cardsPerAccountMax: 2, cardBytesMax: 1500 } })
    const account = world.account('alice@a.example')
    const device = world.device(account, { relay })
    await device.online({ register: true })
    const [own] = account.cards[0]?.card.devices ?? []
    const devices = own === undefined ? [] : [own]
    const publish = async (card: string) => device.request('publish-card', { card })
    expect(await publish(account.next(devices).jws)).toMatchObject({ ok: true })
    expect(await publish(account.next(devices).jws)).toMatchObject({ ok: false, code: 'too-many-cards', retryable: false })
    expect(await publish('x'.repeat(1501))).toMatchObject({ ok: false, code: 'card-too-large' })
    expect(relay.counts.get('relay.limit.cardsPerAccountMax')).toBe(1)
    expect(relay.counts.get('relay.limit.cardBytesMax')).toBe(1)
  })
})

describe('the mailboxes of an account', () => {
  it('hold a bounded number of stanzas together, and one that is full keeps nobody else from theirs', async () => {
    const { world, relay } = await scene({ limits: { accountCountMax: 2 } })
    const alice = world.device(world.account('alice@a.example'), { relay })
    await alice.online({ register: true })
    const account = world.account('bob@a.example', 2)
    const bob = world.device(account, { relay })
    await bob.online({ register: true })
    bob.drop()
    await world.pass(100)
    const outcome = async (to: Address) => {
      const id = alice.send(to, 'hello')
      await world.until(() => alice.ended(id) !== undefined)
      return alice.ended(id)
    }
    // Two devices: the first stanza is two.
    expect(await outcome(account.address)).toMatchObject({ kind: 'accepted' })
    expect(await outcome(account.address)).toMatchObject({ kind: 'bounced', code: 'mailbox-full', retryable: true })
    expect(relay.counts.get('relay.limit.accountCountMax')).toBeGreaterThan(0)
    expect(relay.counts.get('relay.limit.mailbox.countMax')).toBe(undefined)
    const carol = world.device(world.account('carol@a.example'), { relay })
    await carol.online({ register: true })
    expect(await outcome(carol.address)).toMatchObject({ kind: 'accepted' })
  })
})

describe('a block', () => {
  it.each([
    ['an address', 'alice@a.example'],
    ['a domain', 'b.example'],
  ])('of %s is kept over a crash, told, and lifted', async (_, from) => {
    const { relay, join } = await scene()
    const bob = await join('bob@a.example')
    expect(await bob.device.request('block', { from })).toMatchObject({ ok: true })
    relay.kill()
    await relay.start()
    await bob.device.online()
    expect(await bob.device.request('blocklist', {})).toMatchObject({ value: { blocked: [from] } })
    expect(await bob.device.request('unblock', { from })).toMatchObject({ ok: true })
    expect(await bob.device.request('blocklist', {})).toMatchObject({ value: { blocked: [] } })
  })

  it('of an account stops what comes from there, at once and also after a restart, and nothing else', async () => {
    const { world, relay, join } = await scene()
    const alice = await join('alice@a.example')
    const bob = await join('bob@a.example')
    const carol = await join('carol@a.example')
    const outcome = async (from: typeof alice, to = bob.account.address) => {
      const id = from.device.send(to, 'hello')
      await world.until(() => from.device.ended(id) !== undefined)
      return from.device.ended(id)
    }
    await bob.device.request('block', { from: alice.account.address })
    expect(await outcome(alice)).toMatchObject({ kind: 'bounced', code: 'forbidden', retryable: false })
    expect(await outcome(carol)).toMatchObject({ kind: 'accepted' })
    expect(await outcome(alice, carol.account.address)).toMatchObject({ kind: 'accepted' })
    relay.kill()
    await relay.start()
    await alice.device.online()
    expect(await outcome(alice)).toMatchObject({ kind: 'bounced', code: 'forbidden' })
    await bob.device.online()
    await bob.device.request('unblock', { from: alice.account.address })
    expect(await outcome(alice)).toMatchObject({ kind: 'accepted' })
  })

  it('of what is no name, of oneself or of the own domain is refused, and so is one too many', async () => {
    const { join, relay } = await scene({ limits: { blocksPerAccountMax: 1 } })
    const { device } = await join('alice@a.example')
    for (const from of ['', 'x y', 7, 'alice@a.example', 'a.example'])
      expect(await device.request('block', { from })).toMatchObject({ ok: false, code: 'request-malformed' })
    await device.request('block', { from: 'b.example' })
    expect(await device.request('block', { from: 'b.example' })).toMatchObject({ ok: true })
    expect(await device.request('block', { from: 'c.example' })).toMatchObject({ ok: false, code: 'too-many-blocks' })
    expect(relay.counts.get('relay.limit.blocksPerAccountMax')).toBe(1)
  })

  it('by the operator stops an account for everybody', async () => {
    const { world, relay, join } = await scene()
    const alice = await join('alice@a.example')
    const bob = await join('bob@a.example')
    await relay.relay.blocklist.add('alice@a.example')
    await expect(relay.relay.blocklist.add('not a name')).rejects.toThrow(TypeError)
    const id = alice.device.send(bob.account.address, 'spam')
    await world.until(() => alice.device.ended(id) !== undefined)
    expect(alice.device.ended(id)).toMatchObject({ kind: 'bounced', code: 'forbidden' })
    relay.kill()
    await relay.start()
    expect(relay.relay.blocklist.list()).toEqual(['alice@a.example'])
    expect(await relay.relay.blocklist.remove('alice@a.example')).toBe(true)
    expect(await relay.relay.blocklist.remove('alice@a.example')).toBe(false)
  })
})
