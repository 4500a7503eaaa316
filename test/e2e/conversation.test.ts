import { afterEach, beforeEach, expect, it } from 'vitest'
import { conversation, createStage, inTime, type Stage } from './programs.ts'

let stage: Stage
beforeEach(() => {
  stage = createStage()
})
afterEach(() => stage.close())

it('npm start plays the conversation to its end where there is no terminal, in plain text', { timeout: 60_000 }, async () => {
  const { code, out, err } = await inTime(
    stage.start([conversation], { input: '' }).ended,
    () => 'the conversation goes on',
    50_000,
  )
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const headings = out.match(/^\([a-d]\) .+$/gm)
  expect(headings).toEqual([
    '(a) alice and bob talk',
    '(b) bob adds a laptop while alice still has his old card',
    '(c) bob goes away, and comes back',
    '(d) relay b is killed between accepting and delivering',
  ])
  for (const told of [
    /alice +fetched bob's card, version 1/,
    /alice +made a session key and sent it ahead to 1 device/,
    /alice +reads: .* a reply to /,
    /alice wrote +Hello Bob[^\n]*\n +relay a saw +\{"t":"stanza"[\s\S]*\n +relay b saw +\{[\s\S]*\n +bob read +Hello Bob/,
    /bob laptop +cannot open it: key-unknown; it asks for the key/,
    /bob laptop +reads: Yes please, both\./,
    /bob phone +reads: Platform 3\.\n.*reads: No, platform 5!\n.*reads: I have your seat\./,
    /relay +b\.localhost is gone \(SIGKILL\)\n +relay +b\.localhost is back, process \d+\n +bob phone +reads: Mind the gap\./,
    /Nothing was lost and nothing came twice\./,
  ]) {
    expect(out).toMatch(told)
  }
  expect(out).not.toContain('\u001b')
})
