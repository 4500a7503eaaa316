import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type JsonObject, parseAddress, type StanzaId, toDomain, utf8, uuidUrnFrom } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { readDomainKeys } from '@parley/identity'
import { generateKey, importKey, type Jwk, thumbprint } from '@parley/jose'
import {
  bounceCodes,
  packPost,
  postPath,
  readPost,
  signBounce,
  signS2s,
  signSuccession,
  streamCodes,
  streamLimits,
} from '@parley/stream'
import { describe, expect, it } from 'vitest'
import { relayLimits } from '../src/index.ts'
import { createWorld, idOf } from './network.ts'

const page = (name: string): string => readFileSync(fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url)), 'utf8')
const examplesOf = (text: string): readonly JsonObject[] =>
  [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, code = '']) => JSON.parse(code))
const federation = page('federation.md')
const entry = page('http-entry.md')

const random = createSimRandom('pages')
const now = 1_767_225_600_000
const lifetimeMs = streamLimits.proofLifetimeMs
const a = toDomain('a.example') as NonNullable<ReturnType<typeof toDomain>>
const b = toDomain('b.example') as NonNullable<ReturnType<typeof toDomain>>
const key = () => importKey(generateKey('Ed25519', { random }))
const signer = key()

/** Members and kinds of values, all the way down. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]))
}

/** What somebody signed. */
const payloadOf = (jws: string): JsonObject => JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString())

/** A signed example: everything but keys and digests as it is made. */
function expectSigned(example: JsonObject | undefined, jws: string): void {
  const { body, ...outside } = payloadOf(jws)
  const { body: shown, ...told } = example ?? {}
  expect(told).toEqual(outside)
  expect(shapeOf(shown)).toEqual(shapeOf(body))
}

async function scene() {
  const world = createWorld()
  const relay = await world.relay('b.example', {
    port: 6102,
    url: 'wss://relay.b.example:5280',
    publicCards: true,
    limits: { requestsPerPeerPerSecond: 1 },
  })
  const alice = world.account('alice@b.example')
  const bob = world.account('bob@b.example')
  for (const who of [alice, bob]) await world.device(who, { relay }).online({ register: true })
  const ask = async (method: string, path: string, body: Uint8Array = new Uint8Array(0)) => {
    let answered: { status: number; value: JsonObject | undefined } | undefined
    relay.http({ method, path, body, peer: 'somebody' }).then((response) => {
      const text = new TextDecoder().decode(response.body)
      answered = { status: response.status, value: text === '' ? undefined : JSON.parse(text) }
    })
    await world.until(() => answered !== undefined)
    return answered
  }
  const post = (to: readonly string[]): Uint8Array => {
    const [mine] = alice.keys
    if (mine === undefined) throw new Error('a key')
    const sent = world.clock.now()
    const stanza = {
      id: uuidUrnFrom(world.random.bytes(16)) as StanzaId,
      to: to.map(parseAddress),
      class: 'durable',
      sent,
      expiry: sent + 3_600_000,
      entries: [{ device: '*', octets: utf8('entry') }],
      body: utf8('body'),
    } as const
    return packPost(stanza, { from: alice.address, device: idOf(mine), signer: mine, domain: b, now: sent })
  }
  return { ask, post }
}

describe('docs/federation.md', () => {
  const [document, proof, bounce, succession, ...others] = examplesOf(federation)

  it('shows the document that is read, as a relay answers it', async () => {
    const { ask } = await scene()
    const read = readDomainKeys(utf8(JSON.stringify(document)))
    expect(read).toMatchObject({ ok: true, domain: 'b.example', relay: 'wss://relay.b.example:5280' })
    const shown = read.ok ? read.keys[0] : undefined
    expect(document?.['keys']).toMatchObject([{ kid: thumbprint(shown as Jwk) }])
    const answered = await ask('GET', '/.well-known/parley')
    expect(shapeOf(answered?.value)).toEqual(shapeOf(document))
  })

  it('shows what is signed', () => {
    const claim = { nonce: 'A'.repeat(22), ownNonce: 'B'.repeat(22), initiating: a, accepting: b } as const
    expectSigned(proof, signS2s({ ...claim, direction: 'out', epoch: 'A'.repeat(11), start: 0 }, { signer, now, lifetimeMs }))
    const told = { id: 'urn:uuid:5ff1cd0a-7f0b-4f2c-9d3c-1c1d9f3f7a10' as StanzaId, to: [parseAddress('bob@b.example')] }
    const ended = { ...told, code: 'recipient-unknown', retryable: false }
    expectSigned(bounce, signBounce(ended, { signer, address: parseAddress('alice@a.example'), now }))
    expectSigned(succession, signSuccession(b, { signer, next: key(), now }).jws)
    expect(others).toEqual([])
  })

  it('tells every code of a bounce, and whether to try again', () => {
    const [, table = ''] = federation.split('\n## Bounces\n')
    const rows = [...(table.split('\n## ')[0]?.matchAll(/^\| `([a-z-]+)` \| (yes|no) \|/gm) ?? [])]
    expect(Object.fromEntries(rows.map(([, code, again]) => [code, { retryable: again === 'yes' }]))).toEqual(bounceCodes)
  })
})

describe('docs/http-entry.md', () => {
  const [signed, accepted, limited, card, ...others] = examplesOf(entry)

  it('shows the post that is made and read', async () => {
    const { post } = await scene()
    const octets = post(['bob@b.example'])
    const read = readPost(octets)
    const jws = JSON.parse(new TextDecoder().decode(octets.subarray(0, octets.indexOf(0x0a)))).jws
    const { time_stamp: made, expiry, ...rest } = payloadOf(jws)
    const { time_stamp: shownMade, expiry: shownExpiry, ...shown } = signed ?? {}
    expect(shapeOf(shown)).toEqual(shapeOf(rest))
    expect({ type: shown['type'], to: shown['to'] }).toEqual({ type: rest['type'], to: rest['to'] })
    expect(Number(shownExpiry) - Number(shownMade)).toBe(Number(expiry) - Number(made))
    expect(read?.address).toBe('alice@b.example')
    expect(entry).toContain(`POST ${postPath}`)
  })

  it('shows the answers that come', async () => {
    const { ask, post } = await scene()
    expect(await ask('POST', postPath, post(['bob@b.example', 'ghost@b.example']))).toEqual({ status: 200, value: accepted })
    await ask('POST', postPath)
    const answered = await ask('POST', postPath)
    expect(answered?.status).toBe(429)
    expect(shapeOf(answered?.value)).toEqual(shapeOf(limited))
    expect(answered?.value?.['code']).toBe(limited?.['code'])
    const shown = await (await scene()).ask('GET', '/.well-known/parley/card/bob')
    expect(shapeOf(shown?.value)).toEqual(shapeOf(card))
    expect(others).toEqual([])
  })
})

it.each([
  ['docs/federation.md', federation],
  ['docs/http-entry.md', entry],
])('%s names limits and codes that there are, and says what it risks', (_, text) => {
  const names = [...text.matchAll(/`([a-z][A-Za-z]+(?:Max|Ms|MsMin|MsMax|PerSecond))`/g)].map(([, name]) => name)
  const known = [...Object.keys(relayLimits), ...Object.keys(streamLimits)]
  expect(names.length).toBeGreaterThan(1)
  expect(names.filter((name) => !known.includes(name ?? ''))).toEqual([])
  const codes = [...text.matchAll(/^\| `([a-z]+(?:-[a-z]+)+)` \|/gm)].map(([, code]) => code)
  const all = [...Object.keys(streamCodes), ...Object.keys(bounceCodes)]
  expect(codes.filter((code) => !all.includes(code ?? ''))).toEqual([])
  for (const section of ['Security considerations', 'Privacy considerations', 'Rejected designs'])
    expect(text.split(`\n## ${section}\n`)[1]?.split('\n## ')[0]?.trim().length).toBeGreaterThan(100)
})
