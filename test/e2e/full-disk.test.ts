import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
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
    // Somebody else's file takes the rest of the disk.
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
    expect(filled).toBeGreaterThan(5)
    const late = await stage.run('alice', ['send', bob, during, '--timeout', '3s'])
    // Kept in the outbox, to be sent again: nobody said that it was lost.
    expect(late.code).toBe(75)
    expect(await health()).not.toBe('ok\n')
    const heard = await stage.output('bob', ['listen', '--json', '--count', '1'])
    expect(JSON.parse(heard).text).toBe('before')
    for (let i = 0; i <= filled; i++) rmSync(`${data}/filler-${i}`, { force: true })
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
