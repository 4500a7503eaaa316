import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { alice, bob, createStage, isReady, type Relay, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays()
  await stage.output('alice', ['init', alice, '--relay', relays.a.url])
  await stage.output('bob', ['init', bob, '--relay', relays.b.url])
})
afterEach(() => stage.close())

const texts = ['one', 'two', 'three']
const input = 'one\ntwo\nthree\n'

describe('lines on standard input', () => {
  it('arrive in order where somebody listens', async () => {
    const listener = stage.parley('bob', ['listen', '--json', '--events'])
    await listener.next(isReady)
    const out = await stage.output('alice', ['send', bob, '--json'], { input })
    for (const text of texts) {
      const { json } = await listener.next((line) => line.json.text !== undefined)
      expect(json).toMatchObject({ text, attempt: 1, from: alice })
    }
    const sent = out.trimEnd().split('\n')
    expect(sent.filter((line) => line.includes('"queued"'))).toHaveLength(3)
    expect(sent.filter((line) => line.includes('"accepted"'))).toHaveLength(3)
    expect((await listener.stop()).code).toBe(0)
  })

  it('wait in the mailbox, and arrive in order when somebody comes', async () => {
    await stage.output('alice', ['send', bob], { input })
    const out = await stage.output('bob', ['listen', '--json', '--count', '3'])
    const shown = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(shown).toMatchObject(texts.map((text) => ({ text, attempt: 1, from: alice })))
    expect(new Set(shown.map(({ thread_id }) => thread_id)).size).toBe(1)
  })

  it('are messages without a line feed at the end too, and not when they are blank', async () => {
    await stage.output('alice', ['send', bob], { input: 'first\n\n  \nlast' })
    const out = await stage.output('bob', ['listen', '--json', '--count', '2'])
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).text),
    ).toEqual(['first', 'last'])
  })
})

it('a reply names the message it replies to, and contacts are told of the delivery', async () => {
  // Receipts go to contacts alone.
  await stage.output('bob', ['contacts', 'add', `im:${alice}`])
  const listener = stage.parley('bob', ['listen', '--json', '--events'])
  await listener.next(isReady)
  const out = await stage.output('alice', ['send', bob, 'seven', 'words', '--wait', 'delivered', '--json'])
  const { json } = await listener.next((line) => line.json.text === 'seven words')
  expect(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '')).toEqual({ event: 'delivered', id: json.id })
  await listener.stop()
  await stage.output('bob', ['send', alice, 'yes', '--reply', json.id ?? ''])
  const reply = JSON.parse(await stage.output('alice', ['listen', '--json', '--count', '1']))
  expect(reply).toMatchObject({ text: 'yes', from: bob, referent_id: json.id, thread_id: json.thread_id })
})
