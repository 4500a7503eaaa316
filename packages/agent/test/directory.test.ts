import { type JsonObject, parseAddress } from '@parley/core'
import { createSchedule } from '@parley/core/sim'
import { readCard, signCard } from '@parley/identity'
import { generateKey, importKey, publicJwk } from '@parley/jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { createCommitter } from '../src/commit.ts'
import { cardHash, createDirectory, type Directory, noteVersion } from '../src/directory.ts'
import { AgentError } from '../src/errors.ts'
import { agentLimits } from '../src/limits.ts'
import { signNextCard, stateKey, withDevice } from '../src/profile.ts'
import { createTime } from '../src/time.ts'
import { type Person, person } from './people.ts'

const bobs = parseAddress('bob@b.test')
let alice: Person
let bob: Person
let directory: Directory
let schedule: ReturnType<typeof createSchedule>
let log: string[]
/** What the relay answers; a code is a refusal. */
let served: { cards: readonly string[]; page?: number } | string
let asked: number

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  log = []
  asked = 0
  served = { cards: [headOf(bob).jws] }
  const clock = schedule.clock()
  const { commit } = createCommitter({
    ...alice,
    time: createTime(clock, undefined),
    onDiscard() {},
    onErased() {},
    onEffectFailed() {},
  })
  directory = createDirectory({
    ...alice,
    commit,
    clock,
    limits: agentLimits,
    request,
    taken: (_, address) => log.push(`taken ${address}`),
    failed: (_, address, code) => log.push(`failed ${address} ${code}`),
    report: (code, from) => log.push(`report ${code} ${from}`),
    wake: () => log.push('wake'),
  })
})

async function request(what: string, { since }: JsonObject): Promise<JsonObject> {
  asked++
  await undefined
  if (typeof served === 'string')
    throw new AgentError('ERR_AGENT_REQUEST_REFUSED', served, { reason: served, retryable: served === 'unavailable' })
  if (what === 'statements') return { statements: [bob.self.profile().statement?.jws ?? '', 7] }
  const rest = served.cards.slice(Number(since))
  const cards = rest.slice(0, served.page ?? rest.length)
  return { cards, version: served.cards.length, ...(cards.length < rest.length ? { more: true } : {}) }
}

const headOf = (of: Person): NonNullable<ReturnType<Person['self']['card']>> => of.self.card() as never
const pinned = (): number | undefined => alice.state.get('pin', bobs)?.version

/** Bob's card with further devices, one version each. */
function longerChain(count: number): string[] {
  const cards = [headOf(bob)]
  for (let i = 0; i < count; i++) {
    const signingKey = publicJwk(generateKey('Ed25519', { random: bob.random }))
    const head = cards.at(-1) as never as ReturnType<typeof headOf>
    const devices = withDevice(head.card, { id: signingKey.kid as never, signingKey }, Date.UTC(2026))
    cards.push(bob.run((tx) => signNextCard(tx, head, devices)))
  }
  return cards.map(({ jws }) => jws)
}

describe('an account', () => {
  it('is pinned at first use, with its statements', async () => {
    await directory.fetch(bobs)
    expect(pinned()).toBe(1)
    expect(alice.state.get('statements', bobs)?.list).toHaveLength(1)
    expect(log).toEqual([`taken ${bobs}`])
  })

  it('is taken along its chain, however many answers that takes', async () => {
    served = { cards: longerChain(5), page: 2 }
    await directory.fetch(bobs)
    expect(pinned()).toBe(6)
    served = { cards: longerChain(5).slice(0, 3) }
    // A relay that hides newer cards changes nothing; statements that end bound how long it can (design §2).
    await directory.fetch(bobs)
    expect(pinned()).toBe(6)
  })

  it('that nobody knows fails whatever waits for it', async () => {
    served = 'item-not-found'
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_REQUEST_REFUSED', reason: 'item-not-found' })
    expect(log).toEqual([`failed ${bobs} recipient-unknown`])
  })

  it('is not taken when its key is not the one of the link', async () => {
    alice.run((tx) => tx.put('conversation', bobs, { seq: 0, account: 'another' }))
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
    expect(pinned()).toBeUndefined()
    expect(log).toEqual([`failed ${bobs} card-other-account`, `report card-other-account ${bobs}`])
  })

  it('is not taken with cards of another account', async () => {
    served = { cards: [headOf(alice).jws] }
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
    expect(pinned()).toBeUndefined()
  })

  it('is fetched once when several want it', async () => {
    await Promise.all([directory.fetch(bobs), directory.fetch(bobs), directory.want(bobs)])
    expect(asked).toBe(2)
  })
})

describe('a fork of the pinned card', () => {
  let fork: string
  beforeEach(async () => {
    await directory.fetch(bobs)
    const { card } = headOf(bob)
    const account = bob.state.get('key', 'account')?.jwk
    fork = signCard({ ...card, next: 'A'.repeat(43) }, { key: importKey(account as never), now: Date.UTC(2026) }).jws
    served = { cards: [fork] }
    log = []
  })

  it('is held with both cards as proof, and reported', async () => {
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
    expect(alice.state.get('pin', bobs)?.held).toEqual({ code: 'card-fork', proof: [headOf(bob).jws, fork] })
    expect(log).toEqual([`report card-fork ${bobs}`])
  })

  it('that the person turned down is reported, and holds nothing up again', async () => {
    alice.run((tx) => tx.put('conversation', bobs, { seq: 0, declined: cardHash(fork) }))
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
    expect(alice.state.get('pin', bobs)?.held).toBeUndefined()
    expect(log).toEqual([`report card-fork ${bobs}`])
  })
})

describe('a newer card that somebody spoke of', () => {
  const outdated = (): number | undefined => alice.state.get('statements', bobs)?.outdated

  it('is remembered until the cards were asked for', async () => {
    await directory.fetch(bobs)
    expect(alice.run((tx) => [noteVersion(tx, bobs, 1), noteVersion(tx, bobs, 2)])).toEqual([false, true])
    expect(outdated()).toBe(2)
    served = { cards: longerChain(1) }
    await directory.fetch(bobs)
    expect([pinned(), outdated()]).toEqual([2, undefined])
    expect(log).toEqual([`taken ${bobs}`, `taken ${bobs}`])
  })

  it('is asked for twice and no more, and its absence reported, when the relay has it not', async () => {
    await directory.fetch(bobs)
    alice.run((tx) => noteVersion(tx, bobs, 9))
    asked = 0
    await directory.fetch(bobs)
    expect([pinned(), outdated(), asked]).toEqual([1, undefined, 4])
    expect(log).toContain(`report card-withheld ${bobs}`)
  })

  it('is asked for again after a refusal, for a message waits for it', async () => {
    await directory.fetch(bobs)
    alice.run((tx) => noteVersion(tx, bobs, 2))
    served = { cards: [headOf(alice).jws] }
    await expect(directory.fetch(bobs)).rejects.toMatchObject({ code: 'ERR_AGENT_TRUST_HELD' })
    served = { cards: longerChain(1) }
    await schedule.run({ timeMax: schedule.time() + 30_000 })
    expect([pinned(), outdated()]).toEqual([2, undefined])
  })

  it('shows by a statement that names it', async () => {
    await directory.fetch(bobs)
    const chain = longerChain(2)
    const head = readCard(chain.at(-1) ?? '')
    if (!head.ok) throw new Error(head.code)
    bob.run((tx) => stateKey(tx, { card: head, random: bob.random }))
    served = { cards: chain.slice(0, 2) }
    await directory.fetch(bobs)
    // The relay kept the newest to itself.
    expect([pinned(), log.at(-1)]).toEqual([2, `report card-withheld ${bobs}`])
    served = { cards: chain }
    log = []
    await directory.fetch(bobs)
    expect([pinned(), log]).toEqual([3, [`taken ${bobs}`]])
  })
})

describe('a relay that is away', () => {
  it('is asked again with growing waits, however often the account is wanted meanwhile', async () => {
    served = 'unavailable'
    for (let i = 0; i < 60; i++) {
      directory.want(bobs)
      await schedule.run({ timeMax: schedule.time() + 500 })
    }
    expect(asked).toBeLessThan(30)
    served = { cards: [headOf(bob).jws] }
    await schedule.run({ timeMax: schedule.time() + 30_000 })
    expect(pinned()).toBe(1)
  })

  it('is asked at once when the connection is back', async () => {
    served = 'unavailable'
    for (let i = 0; i < 20; i++) await directory.fetch(bobs).catch(() => {})
    served = { cards: [headOf(bob).jws] }
    directory.resume()
    await schedule.run({ timeMax: schedule.time() })
    expect(pinned()).toBe(1)
  })

  it('is not asked any more after the end', async () => {
    served = 'unavailable'
    await directory.fetch(bobs).catch(() => {})
    directory.close()
    const before = asked
    directory.want(bobs)
    await schedule.run({ timeMax: 120_000 })
    expect(asked).toBe(before)
  })
})
