import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLevelStore } from '@parley/platform/level'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { contentKeyOf, envelopesOf, readSecrets } from './captured.ts'
import { alice, bob, createStage, isReady, type Relay, readTrace, type Stage, type Traced } from './programs.ts'

const texts = {
  secret: 'The key is under the third flowerpot from the left.',
  reply: 'Which flowerpot, the terracotta one?',
  second: 'No, the blue one with the chipped rim.',
}

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays({ traceOctets: 0 })
})
afterEach(() => stage.close())

it('no relay receives, sends or stores plaintext, types, thread or message ids, private or content keys', {
  timeout: 60_000,
}, async () => {
  const recoveryKeys: string[] = []
  for (const [profile, address, url] of [
    ['alice', alice, relays.a.url],
    ['phone', bob, relays.b.url],
  ] as const) {
    const out = await stage.output(profile, ['init', address, '--relay', url])
    recoveryKeys.push(/^recovery key\s+(\S+)$/m.exec(out)?.[1] ?? '')
  }
  const ids = await talk()

  await relays.a.program.stop()
  await relays.b.program.stop()
  const traces = [readTrace(relays.a.trace), readTrace(relays.b.trace)] as const
  const haystack = [
    ...traces.flatMap(octetsOf),
    ...[relays.a.trace, relays.b.trace].map((file) => readFileSync(file)),
    ...[relays.a.data, relays.b.data].flatMap(filesBelow),
    ...(await rowsOf(relays.a.data)),
    ...(await rowsOf(relays.b.data)),
  ]

  const profiles = await Promise.all(['alice', 'phone', 'laptop'].map((name) => readSecrets(stage.path(name))))
  const keys = new Map(profiles.flatMap((profile) => [...profile.keys]))
  const envelopes = traces.flatMap((trace) => envelopesOf(trace, 'in'))
  const contentKeys = envelopes.flatMap(({ envelope }) => {
    const jwk = keys.get(envelope.header.kid)
    return jwk === undefined ? [] : [contentKeyOf(envelope, jwk)]
  })
  const needles = new Map<string, Uint8Array>()
  for (const [name, text] of Object.entries(texts)) needles.set(`text ${name}`, Buffer.from(text))
  for (const [i, id] of ids.entries()) needles.set(`id ${i}`, Buffer.from(id))
  for (const type of ['urn:parley:chat', 'urn:parley:kernel:1:key', 'thread_id', 'referent_id'])
    needles.set(type, Buffer.from(type))
  for (const [kid, jwk] of keys) needles.set(`key ${kid}`, Buffer.from(jwk.d ?? jwk.k ?? '', 'base64url'))
  for (const [i, { storeKey }] of profiles.entries()) needles.set(`store key ${i}`, storeKey)
  for (const [i, key] of recoveryKeys.entries()) needles.set(`recovery key ${i}`, Buffer.from(key, 'base64url'))
  for (const [i, key] of contentKeys.entries()) needles.set(`content key ${i}`, key)

  const found = [...needles].filter(([, needle]) => isIn(haystack, needle)).map(([name]) => name)
  const bytes = haystack.reduce((sum, octets) => sum + octets.length, 0)
  console.log(
    `${needles.size} secrets (${keys.size} keys of profiles, ${contentKeys.length} content keys) sought in ${bytes} octets ` +
      `of ${traces[0].length + traces[1].length} frames, two data folders and two traces: ${found.length} found`,
  )
  expect(found).toEqual([])
  // The search sees what is there: names, public keys and ciphertext.
  const [first] = envelopes
  const publicKeys = profiles.map(({ keys: own }) => [...own.values()].find(({ crv }) => crv === 'Ed25519')?.x ?? '')
  for (const text of [alice, first?.header.id ?? '', ...publicKeys])
    expect([text, isIn(haystack, Buffer.from(text))]).toEqual([text, true])
  // As octets: the text of the envelope stands nowhere, and where in a longer base64 its octets begin is chance.
  for (const part of [first?.envelope.ciphertext ?? '', ...publicKeys])
    expect([part, isIn(haystack, Buffer.from(part, 'base64url'))]).toEqual([part, true])
  for (const jwk of keys.values()) expect((jwk.d ?? jwk.k ?? '').length).toBe(43)
  expect(contentKeys.length).toBeGreaterThanOrEqual(6)
  for (const key of recoveryKeys) expect(key).toHaveLength(43)
})

/** A text, its reply, and a text to a device that must ask for the key; answers thread and message ids. */
async function talk(): Promise<readonly string[]> {
  const ids = new Set<string>()
  const noteIds = (json: { readonly id?: string; readonly thread_id?: string }): void => {
    ids.add(json.id ?? '')
    ids.add(json.thread_id ?? '')
  }
  const listening = stage.parley('phone', ['listen', '--json', '--events', '--count', '1'])
  await listening.next(isReady)
  await stage.output('alice', ['send', bob, texts.secret])
  const first = await listening.next(({ json }) => json.text === texts.secret)
  noteIds(first.json)
  await listening.ended
  await stage.output('phone', ['send', alice, texts.reply, '--reply', first.json.id ?? ''])
  noteIds(JSON.parse(await stage.output('alice', ['listen', '--json', '--count', '1'])))

  const line = (await stage.output('laptop', ['device', 'request', bob, '--relay', relays.b.url])).trim()
  await stage.output('phone', ['device', 'approve', line])
  const phone = stage.parley('phone', ['listen', '--json', '--events'])
  const laptop = stage.parley('laptop', ['listen', '--json', '--events', '--count', '1'])
  await Promise.all([phone.next(isReady), laptop.next(({ json }) => json.event === 'card' && json.address === bob)])
  await stage.output('alice', ['send', bob, texts.second])
  await laptop.next(({ json }) => json.event === 'locked' && json.cause === 'key-unknown')
  const second = await laptop.next(({ json }) => json.text === texts.second)
  noteIds(second.json)
  await Promise.all([laptop.ended, phone.stop()])
  return [...ids]
}

/** What the frames carried, in clear: not only as the trace writes it. */
function octetsOf(trace: readonly Traced[]): readonly Buffer[] {
  return trace.map(({ payload, payload_bytes }) => {
    const octets = Buffer.from(payload, 'base64url')
    if (octets.length !== payload_bytes) throw new Error('the trace is cut')
    return octets
  })
}

function filesBelow(folder: string): readonly Buffer[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
}

/** Keys and values of the store, as they are before the database packs them. */
async function rowsOf(data: string): Promise<readonly Buffer[]> {
  const store = await openLevelStore(join(data, 'store'))
  const rows: Buffer[] = []
  for await (const [key, value] of store.iterate({})) rows.push(Buffer.from(key), Buffer.from(value))
  await store.close()
  if (rows.length === 0) throw new Error('the relay stored nothing')
  return rows
}

/** Whether the octets are anywhere: as they are, in hex, in base64 or base64url, or in base64 once more, as a key in a signed text is. */
function isIn(haystack: readonly Buffer[], needle: Uint8Array): boolean {
  const hex = Buffer.from(needle).toString('hex')
  const once = inBase64(needle)
  const forms = [Buffer.from(needle), Buffer.from(hex), Buffer.from(hex.toUpperCase()), ...once, ...once.flatMap(inBase64)]
  return haystack.some((octets) => forms.some((form) => octets.includes(form)))
}

/** The characters that are the same wherever the octets stand within what is encoded, for the three ways they may stand. */
function inBase64(needle: Uint8Array): readonly Buffer[] {
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), needle]).toString('base64url')
    const last = (before + needle.length) % 3 === 0 ? encoded.length : encoded.length - 1
    const text = encoded.slice(before === 0 ? 0 : before + 1, last)
    return [Buffer.from(text), Buffer.from(text.replaceAll('-', '+').replaceAll('_', '/'))]
  })
}
