import { afterEach, beforeEach, expect, it } from 'vitest'
import { alice, bob, createStage, inTime, type Line, type Program, type Relay, type Stage } from './programs.ts'

const isLong = process.env['PARLEY_SOAK'] === '1'
const killsMax = isLong ? 200 : 20
// Chooses victims and moments. The processes themselves do not repeat what they did.
const seed = Number(process.env['SIM_SEED'] ?? 1)

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays()
  await stage.output('alice', ['init', alice, '--relay', relays.a.url])
  await stage.output('bob', ['init', bob, '--relay', relays.b.url])
})
afterEach(() => stage.close())

it(`${killsMax} kills of relays and listener lose nothing and give at most one message again for each kill of the listener`, {
  timeout: 120_000 + killsMax * 6_000,
}, async () => {
  const random = generator(seed)
  const victims = generator(seed + 1)
  const kills = { a: 0, b: 0, listener: 0 }
  // What a person would see: lines of the sender, and of the listener over all its lives.
  const queued: string[] = []
  const accepted = new Set<string>()
  const shown: { readonly id: string; readonly attempt: number; readonly text: string }[] = []
  const onLine: (() => void)[] = []
  const observe = (program: Program, fn: (line: Line) => void): Program => {
    program.watch((line) => {
      fn(line)
      for (const each of onLine.splice(0)) each()
    })
    return program
  }

  const listen = (): Program =>
    observe(stage.parley('bob', ['listen', '--json']), ({ json: { id, attempt, text } }) => {
      if (id !== undefined && attempt !== undefined && text !== undefined) shown.push({ id, attempt, text })
    })
  let listener = listen()

  /** One life of `parley send`: a few lines, each written when the one before is in the outbox. */
  const sendSome = async (count: number): Promise<void> => {
    const sender = observe(stage.parley('alice', ['send', bob, '--json', '--timeout', '60s']), ({ json: { event, id } }) => {
      if (event === 'queued' && id !== undefined) queued.push(id)
      if (event === 'accepted' && id !== undefined) accepted.add(id)
    })
    for (let i = 0; i < count; i++) {
      sender.write(`message ${queued.length}\n`)
      await sender.next(({ json }) => json.event === 'queued')
    }
    sender.end()
    const { code, err } = await inTime(sender.ended, () => 'parley send: not ended', 90_000)
    // 75: kept in the outbox; the next life sends it.
    if (code !== 0 && code !== 75) throw new Error(`parley send ended with ${code}: ${err}`)
  }

  let isOver = false
  const writing = (async () => {
    while (!isOver) await sendSome(1 + random.below(8))
    await sendSome(1)
  })()

  // Awaited at the end; a sender that fails also ends the wait for the next line.
  writing.catch(() => {})
  const restarts: Promise<void>[] = []
  for (let i = 0; i < killsMax; i++) {
    const victim = (['a', 'b', 'listener'] as const)[victims.below(3)] ?? 'listener'
    for (let lines = random.below(8); lines > 0; lines--) {
      await inTime(Promise.race([new Promise<void>((seen) => onLine.push(seen)), writing]), () => 'nobody printed anything')
    }
    // Between two lines: this chooses the moment of the kill and orders nothing.
    await new Promise((moment) => setTimeout(moment, random.below(60)))
    if (victim === 'listener') {
      expect(await listener.kill()).toMatchObject({ signal: 'SIGKILL', err: '' })
      listener = listen()
    } else restarts.push((await killAndRestart(relays[victim])).restarted)
    kills[victim]++
  }
  isOver = true
  await writing
  await Promise.all(restarts)
  const isComplete = (): boolean => new Set(shown.map(({ id }) => id)).size === queued.length
  const everything = (async () => {
    while (!isComplete()) await new Promise<void>((seen) => onLine.push(seen))
  })()
  await inTime(everything, () => `${queued.length} sent, ${new Set(shown.map(({ id }) => id)).size} came`, 90_000)
  await listener.stop()

  const first = new Map<string, { readonly attempt: number; readonly text: string }>()
  for (const { id, ...rest } of shown) if (!first.has(id)) first.set(id, rest)
  const again = new Set(shown.filter(({ attempt }) => attempt > 1).map(({ id }) => id))
  const unseen = [...first.values()].filter(({ attempt }) => attempt > 1).length
  const lost = [...queued, ...accepted].filter((id) => !first.has(id))
  console.log(
    `seed ${seed}: ${killsMax} kills (relay a ${kills.a}, relay b ${kills.b}, listener ${kills.listener}), ` +
      `${queued.length} messages, ${again.size} given again (${unseen} of them first seen so), ${lost.length} lost`,
  )
  expect(lost).toEqual([])
  expect([...first.keys()]).toEqual(queued)
  expect([...first.values()].map(({ text }) => text)).toEqual(queued.map((_, i) => `message ${i}`))
  const handOvers = shown.map(({ id, attempt }) => `${id} ${attempt}`)
  expect(new Set(handOvers).size).toBe(handOvers.length)
  expect(again.size).toBeLessThanOrEqual(kills.listener)
  expect(Math.min(kills.a, kills.b, kills.listener)).toBeGreaterThan(0)
})

it('a relay that is killed before it was ready starts again on the same folder', { timeout: 120_000 }, async () => {
  const random = generator(seed)
  for (let i = 0; i < (isLong ? 40 : 4); i++) {
    const first = await killAndRestart(relays.b)
    await new Promise((moment) => setTimeout(moment, random.below(250)))
    const second = await killAndRestart(relays.b)
    await Promise.all([first.restarted, second.restarted])
  }
  await stage.output('alice', ['send', bob, 'still there?'])
  expect(JSON.parse(await stage.output('bob', ['listen', '--json', '--count', '1']))).toMatchObject({ text: 'still there?' })
})

/** Kills the relay and starts it at once. Its restart may be cut off by the next kill, and by nothing else. */
async function killAndRestart(relay: Relay): Promise<{ readonly restarted: Promise<void> }> {
  expect(await relay.program.kill()).toMatchObject({ signal: 'SIGKILL', err: '' })
  const restarting = relay.restart()
  const { program } = relay
  const restarted = restarting.catch(async () => expect(await program.ended).toMatchObject({ signal: 'SIGKILL', err: '' }))
  // Awaited at the end of the test.
  restarted.catch(() => {})
  return { restarted }
}

/** Numbers out of a seed (mulberry32). */
function generator(start: number): { below(max: number): number } {
  let state = start >>> 0
  return {
    below(max) {
      state = (state + 0x6d2b79f5) >>> 0
      let t = Math.imul(state ^ (state >>> 15), state | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return ((t ^ (t >>> 14)) >>> 0) % max
    },
  }
}
