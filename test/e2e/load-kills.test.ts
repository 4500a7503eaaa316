import type { Agent, AgentEvent } from '@parley/agent'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createStage, inTime, type Relay, type Stage } from './programs.ts'

const isLong = process.env['PARLEY_SOAK'] === '1'
const killsMax = isLong ? 100 : 20
// Sent and not yet come, per pair of people: enough that something is on every hop at every moment.
const underWay = 48

type Person = { readonly address: string; readonly agent: Agent; readonly heard: Map<string, string[]>; attemptsMax: number }

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
const people: Person[] = []
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays()
})
afterEach(async () => {
  await Promise.all(people.splice(0).map(({ agent }) => agent.close()))
  await stage.close()
})

it(`${killsMax} kills of relays under load lose nothing, and everything comes once and in order`, {
  timeout: 180_000 + killsMax * 6_000,
}, async () => {
  const problems: AgentEvent[] = []
  let dropped = 0
  let came = 0
  const onCame = new Set<() => void>()
  const join = async (address: string, relay: Relay): Promise<Person> => {
    const agent = await openAgent({ home: stage.path(address), address, relay: relay.url, protocols: [chat] })
    await inTime(agent.connected(), () => `${address} is not connected`)
    const person: Person = { address, agent, heard: new Map(), attemptsMax: 0 }
    people.push(person)
    agent.watch((event) => {
      if (event.kind !== 'problem') return
      // What was sent again after a crash and had come already: the counters dropped it.
      if (event.code === 'duplicate') dropped++
      else problems.push(event)
    })
    agent.handle(chat.text, async ({ from, body, attempt }) => {
      const list = person.heard.get(from) ?? []
      person.heard.set(from, list)
      list.push(body.text)
      person.attemptsMax = Math.max(person.attemptsMax, attempt)
      came++
      for (const look of [...onCame]) look()
    })
    return person
  }
  const [alice, carol, bob, dave] = [
    await join('alice@a.localhost', relays.a),
    await join('carol@a.localhost', relays.a),
    await join('bob@b.localhost', relays.b),
    await join('dave@b.localhost', relays.b),
  ]
  // Across both relays both ways, and within one.
  const pairs: readonly (readonly [Person, Person])[] = [
    [alice, bob],
    [bob, alice],
    [carol, dave],
    [alice, carol],
  ]
  const sent = new Map(pairs.map((pair) => [pair, [] as string[]]))
  let isOver = false
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((done) => {
      const look = (): void => {
        if (!condition()) return
        onCame.delete(look)
        done()
      }
      onCame.add(look)
      look()
    })
  const sending = Promise.all(
    pairs.map(async (pair) => {
      const [from, to] = pair
      const mine = sent.get(pair) ?? []
      while (!isOver) {
        await until(() => isOver || mine.length - (to.heard.get(from.address)?.length ?? 0) < underWay)
        if (isOver) break
        const text = `${mine.length}`
        await from.agent.send(to.address, chat.text({ text }))
        mine.push(text)
      }
    }),
  )
  sending.catch(() => {})

  const started = performance.now()
  const kills = { a: 0, b: 0 }
  for (let i = 0; i < killsMax; i++) {
    // By what has come, not by time; the numbers differ, so that the moment within a stanza's way does too.
    const from = came
    await inTime(Promise.race([until(() => came >= from + 37 + 13 * (i % 7)), sending]), () => 'nothing comes any more', 90_000)
    const victim = i % 3 === 0 ? 'b' : 'a'
    expect(await relays[victim].program.kill()).toMatchObject({ signal: 'SIGKILL', err: '' })
    await relays[victim].restart()
    kills[victim]++
  }
  isOver = true
  for (const look of [...onCame]) look()
  await sending
  const seconds = (performance.now() - started) / 1000
  const total = [...sent.values()].reduce((sum, { length }) => sum + length, 0)
  await inTime(
    until(() => came >= total),
    () => `${total} sent, ${came} came`,
    120_000,
  )
  await Promise.all(people.map(({ agent }) => inTime(agent.drained(), () => 'something stays in an outbox', 90_000)))

  console.log(
    `load: ${killsMax} kills (relay a ${kills.a}, relay b ${kills.b}) in ${seconds.toFixed(0)} s, ${total} messages, ` +
      `${Math.round(total / seconds)} a second, ${total - came} lost, ${Math.max(0, came - total)} twice (${dropped} came again and were dropped)`,
  )
  for (const [[from, to], texts] of sent) expect(to.heard.get(from.address)).toEqual(texts)
  // Nobody's handler failed or died, so nothing was handed over again.
  expect(people.map(({ attemptsMax }) => attemptsMax)).toEqual([1, 1, 1, 1])
  expect(problems).toEqual([])
})
