import { type StoreOp, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { checkStore } from '../src/index.ts'
import { createWorld } from './network.ts'

/** A relay that was ended, with an account of two cards. */
async function ended() {
  const world = createWorld()
  const relay = await world.relay('a.example')
  const account = world.account('alice@a.example', 1)
  const device = world.device(account, { relay, at: 0 })
  await device.online({ register: true })
  await device.request('publish-card', { card: account.next(account.cards[0]?.card.devices ?? []).jws })
  relay.kill()
  const store = relay.disk.open()
  const rowsOf = async (prefix: string): Promise<string[]> => {
    const found: string[] = []
    for await (const [key] of store.iterate({ gte: prefix, lt: `${prefix}~` })) found.push(key)
    return found
  }
  const change = (...ops: readonly StoreOp[]): Promise<void> => store.batch(ops, { durable: true })
  return { store, rowsOf, change, look: () => checkStore(store, { now: world.clock.now() }) }
}

describe('a look through a relay’s store', () => {
  it('finds nothing in one that is whole', async () => {
    const { look } = await ended()
    expect(await look()).toMatchObject({ accounts: 1, findings: [], more: 0 })
  })

  it('finds a card that is noise, one that is missing in the chain, and has no cure for them', async () => {
    const { look, rowsOf, change } = await ended()
    const [first = '', second = ''] = await rowsOf('account/alice@a.example card/')
    const before = (await look()).rows
    await change({ type: 'put', key: second, value: utf8('noise') })
    expect((await look()).findings).toMatchObject([{ row: second, problem: 'is no card (card-malformed)' }])
    const again = await ended()
    await again.change({ type: 'del', key: first })
    const { findings, rows } = await again.look()
    expect(findings).toEqual([{ row: second, problem: 'does not follow the card before (card-chain-broken)' }])
    expect(rows).toBe(before - 1)
  })

  it('finds a statement of nobody and a wrong count of accounts, and mends both', async () => {
    const { look, rowsOf, change } = await ended()
    const [statement = ''] = await rowsOf('account/alice@a.example statement/')
    await change({ type: 'put', key: statement, value: utf8('noise') }, { type: 'put', key: 'relay/accounts', value: utf8('5') })
    const { findings } = await look()
    expect(findings.map(({ row }) => row)).toEqual([statement, 'relay/accounts'])
    await change(...findings.flatMap(({ repair }) => repair?.ops ?? []))
    expect((await look()).findings).toEqual([])
  })

  it('finds an invitation that is noise, and a chain of keys that is none', async () => {
    const { look, change } = await ended()
    await change(
      { type: 'put', key: 'invite/x', value: utf8('noise') },
      { type: 'put', key: 'relay/key-chain', value: utf8('noise') },
    )
    const { findings } = await look()
    expect(findings.map(({ row }) => row)).toEqual(['invite/x', 'relay/key-chain'])
    await change(...findings.flatMap(({ repair }) => repair?.ops ?? []))
    expect((await look()).findings.map(({ row }) => row)).toEqual(['relay/key-chain'])
  })

  it.each([
    ['relay/meta', 'ERR_RELAY_STORE_NEWER'],
    ['mailbox/meta', 'ERR_MAILBOX_STORE_NEWER'],
  ])('does not judge what a newer version has written (%s)', async (key, code) => {
    const { look, change } = await ended()
    await change({ type: 'put', key, value: utf8('{"schema":99,"domain":"a.example","epoch":"AAAAAAAAAAA"}') })
    await expect(look()).rejects.toMatchObject({ code })
  })

  it('finds that the relay’s own records are gone or damaged', async () => {
    const { look, change } = await ended()
    await change({ type: 'put', key: 'relay/meta', value: utf8('{}') }, { type: 'put', key: 'relay/key', value: utf8('{}') })
    expect((await look()).findings.map(({ row }) => row)).toEqual(['relay/key', 'relay/meta'])
    await change({ type: 'del', key: 'relay/meta' }, { type: 'del', key: 'relay/key' })
    expect((await look()).findings.map(({ row }) => row)).toEqual(['relay/meta', 'relay/key'])
  })
})
