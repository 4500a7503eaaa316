import { type Domain, silent, type Transport, toDomain } from '@parley/core'
import { createSchedule, createSimRandom } from '@parley/core/sim'
import { encodeDomainKeys } from '@parley/identity'
import { generateKey, type Jwk } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import { createKeysOfDomains } from '../src/domain-keys.ts'
import { relayLimits } from '../src/index.ts'

const named = (name: string): Domain => toDomain(name) as Domain
const key = generateKey('Ed25519', { random: createSimRandom('domain keys') }) as Jwk

/** Documents are asked for at a network that answers when it is told to. */
function scene(limits: Partial<typeof relayLimits> = {}) {
  const schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  const asked: string[] = []
  const answers: (() => void)[] = []
  const request: Transport['request'] = (url) => {
    asked.push(url)
    const domain = named(new URL(url).host)
    return new Promise((done) => {
      answers.push(() => done({ status: 200, body: encodeDomainKeys({ domain, keys: [key], relay: `wss://relay.${domain}` }) }))
    })
  }
  const keys = createKeysOfDomains({
    transport: { request } as Transport,
    clock: schedule.clock(),
    limits: { ...relayLimits, ...limits },
    telemetry: silent,
  })
  const answer = (): void => {
    for (const each of answers.splice(0)) each()
  }
  return { keys, asked, answer }
}

describe('the keys of other domains', () => {
  it('are fetched for those who only claim to be a domain as long as half of the fetches are free', async () => {
    const { keys, asked, answer } = scene({ keysFetchesMax: 4 })
    const claims = ['c.example', 'd.example', 'e.example'].map((name) => keys.find({ domain: named(name) }, { claimed: true }))
    expect(await claims[2]).toBeUndefined()
    const needed = ['a.example', 'b.example'].map((name) => keys.find({ domain: named(name) }))
    expect(asked).toHaveLength(4)
    expect(await keys.find({ domain: named('f.example') })).toBeUndefined()
    answer()
    for (const found of [...claims.slice(0, 2), ...needed]) expect((await found)?.url).toMatch(/^wss:\/\/relay\./)
  })

  it('that could not be asked for because too many were are asked for the next time', async () => {
    const { keys, asked, answer } = scene({ keysFetchesMax: 1 })
    const first = keys.find({ domain: named('a.example') })
    expect(await keys.find({ domain: named('b.example') })).toBeUndefined()
    answer()
    await first
    const second = keys.find({ domain: named('b.example') })
    expect(asked).toHaveLength(2)
    answer()
    expect(await second).toBeDefined()
  })

  it('that were found without a route are no word on where a route leads', async () => {
    const { keys, answer } = scene()
    const domain = named('a.example')
    const found = keys.find({ domain })
    answer()
    expect((await found)?.url).toBe('wss://relay.a.example')
    const routed = keys.find({ domain, url: 'wss://a.example' })
    answer()
    expect((await routed)?.url).toBe('wss://a.example')
  })
})
