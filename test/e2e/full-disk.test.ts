import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { alice, createStage, inTime, ready, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 30_000 })

const bob = 'bob@a.localhost'
// Longer than what is left of the pages that the database's files have.
const during = 'during '.repeat(2000).trimEnd()
let stage: Stage
let data: string
let mounted = false
beforeAll(() => {
  stage = createStage()
  data = stage.path('small disk')
  mkdirSync(data)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', data], { stdio: 'ignore' })
    mounted = true
  } catch {
    // Only root may mount; the store port that refuses is tested beside apps/relay.
  }
})
afterAll(async () => {
  await stage.close().catch(() => {})
  if (mounted) execFileSync('umount', [data])
  await stage.close()
})

/** Somebody else's files take the rest of the disk. */
function fill(): number {
  let filled = 0
  for (const size of [1024 * 1024, 64 * 1024, 4096]) {
    for (;;) {
      try {
        writeFileSync(`${data}/filler-${filled}`, Buffer.alloc(size, 1))
        filled++
      } catch {
        break
      }
    }
  }
  return filled
}

function empty(filled: number): void {
  for (let i = 0; i <= filled; i++) rmSync(`${data}/filler-${i}`, { force: true })
}

describe('a relay whose disk fills up', () => {
  it('refuses what is new so that it can be sent again, delivers what it has, and goes on when there is room', async ({
    skip,
  }) => {
    if (!mounted) skip('no right to mount a small disk')
    // No reserve: the database itself meets the end of the disk.
    const program = stage.relayProgram({ domain: 'a.localhost', data, args: ['--disk-free-bytes-min', '0'] })
    const url = `ws://127.0.0.1:${await ready(program)}`
    const health = async (): Promise<string> => (await fetch(`${url.replace('ws', 'http')}/readyz`)).text()
    for (const [profile, address] of [
      ['alice', alice],
      ['bob', bob],
    ] as const)
      await stage.output(profile, ['init', address, '--relay', url])
    await stage.output('alice', ['send', bob, 'before'])
    const filled = fill()
    expect(filled).toBeGreaterThan(5)
    const late = await stage.run('alice', ['send', bob, during, '--timeout', '3s'])
    // Kept in the outbox, to be sent again: nobody said that it was lost.
    expect(late.code).toBe(75)
    expect(await health()).not.toBe('ok\n')
    const heard = await stage.output('bob', ['listen', '--json', '--count', '1'])
    expect(JSON.parse(heard).text).toBe('before')
    empty(filled)
    // The relay notices by itself; the test's time limit ends this.
    while ((await health()) !== 'ok\n');
    const listening = stage.parley('bob', ['listen', '--json', '--count', '2'])
    expect((await stage.run('alice', ['send', bob, 'after'])).code).toBe(0)
    // What was refused has its own time to be tried again; its sender has to be there then.
    stage.parley('alice', ['listen'])
    const heardAll = await inTime(listening.ended, () => `bob heard ${listening.lines.length} lines`, 40_000)
    const texts = heardAll.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).text)
    expect(texts.filter((text) => text !== 'before')).toEqual([during, 'after'])
    expect(await health()).toBe('ok\n')
    expect((await program.stop()).code).toBe(0)
  })
})

describe('an agent whose disk fills up', () => {
  it('says so to whoever sends, and goes on without a restart when there is room', async ({ skip }) => {
    if (!mounted) skip('no right to mount a small disk')
    const program = stage.relayProgram({ domain: 'a.localhost', data: stage.path('relay') })
    const url = `ws://127.0.0.1:${await ready(program)}`
    await stage.output('bob at home', ['init', bob, '--relay', url])
    const agent = await openAgent({ home: `${data}/agent`, address: alice, relay: url, protocols: [chat] })
    await inTime(agent.connected(), () => 'not connected')
    await agent.send(bob, chat.text({ text: 'before' }))
    const filled = fill()
    // Some more fits into what the files of the database have left of their pages.
    let taken = 0
    const sendOn = async (): Promise<void> => {
      for (;;) {
        await agent.send(bob, chat.text({ text: `${during} ${taken}` }))
        taken++
      }
    }
    await expect(sendOn()).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_FAILED', retryable: true })
    empty(filled)
    const after = await inTime(agent.send(bob, chat.text({ text: 'after' })), () => 'nothing is taken any more')
    await inTime(agent.drained(), () => `not drained: ${JSON.stringify(agent.connection)}`, 60_000)
    expect(after.id).toMatch(/^urn:uuid:/)
    await agent.close()
    const heard = await stage.output('bob at home', ['listen', '--json', '--count', String(taken + 2)])
    const texts = heard
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).text)
    expect(texts).toEqual(['before', ...Array.from({ length: taken }, (_, i) => `${during} ${i}`), 'after'])
    expect((await program.stop()).code).toBe(0)
  })
})
