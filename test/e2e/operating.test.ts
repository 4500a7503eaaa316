import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createStage, freePort, inTime, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 120_000 })

const root = fileURLToPath(new URL('../..', import.meta.url))
let stage: Stage
beforeAll(() => {
  stage = createStage()
})
afterAll(() => stage.close())

/** A block of commands of the page, and the output under it. */
type Step = { readonly commands: string; readonly shown: string }

function stepsOf(page: string): readonly Step[] {
  const blocks = [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({ kind, text }))
  return blocks.flatMap(({ kind, text }, i) => {
    const next = blocks[i + 1]
    return kind === 'sh' ? [{ commands: text, shown: next?.kind === 'text' ? next.text : '' }] : []
  })
}

/** Output without what is of one day or one run: keys, times, sizes and rates. */
function lasting(text: string): string {
  return text
    .replace(/urn:uuid:[0-9a-f-]{36}/g, 'URN')
    .replace(/invite=[\w-]{24}/g, 'invite=TOKEN')
    .replace(/[\w-]{43}|(?<=recovery key +)[\w-]{8}…/g, 'KEY')
    .replace(/^(id +)[\w-]{16}$/gm, '$1ID')
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d\.\d+Z)?/g, 'TIME')
    .replace(/[\d.]+ (?:[KMG]i)?B\b/g, 'SIZE')
    .replace(/[\d.]+ ms/g, 'MS')
    .replace(/up \S+ s {2}pid \d+ {2}\S+/g, 'UP')
    .replace(/^(parley_relay_\w+_total) .*$/gm, '$1')
    .replace(/\d+ rows/g, 'ROWS')
    .replace(/^(?:relay|mailbox|store)\.\S+ .*$\n?/gm, '')
    .replace(/ +/g, ' ')
    .trimEnd()
}

it('docs/operating.md goes as it says', async () => {
  const steps = stepsOf(readFileSync(join(root, 'docs/operating.md'), 'utf8'))
  expect(steps.length).toBeGreaterThan(6)
  const bin = stage.path('bin')
  mkdirSync(bin)
  symlinkSync(join(root, 'apps/relay/bin/parley-relay.js'), join(bin, 'parley-relay'))
  symlinkSync(join(root, 'apps/cli/bin/parley.js'), join(bin, 'parley'))
  // The page's ports may be taken here.
  const ports = new Map([
    ['5280', String(await freePort())],
    ['9464', String(await freePort())],
  ])
  const translated = (text: string, pairs: readonly (readonly [string, string])[]): string =>
    pairs.reduce((before, [from, to]) => before.replaceAll(from, to), text)
  const script = steps.map(({ commands }, i) => `${translated(commands, [...ports])}\necho "@@ ${i}"`).join('\n')
  const shell = stage.execute('bash', ['-e', '-c', `trap 'kill $(jobs -p) 2> /dev/null || :' EXIT\n${script}\n`], {
    input: '',
    env: { PATH: `${bin}:${process.env['PATH']}` },
  })
  const { code, out, err } = await inTime(shell.ended, () => `the walk stands still after ${shell.lines.at(-1)?.text}`, 100_000)
  expect([code, err]).toEqual([0, expect.any(String)])
  const back = [...ports].map(([ours, theirs]) => [theirs, ours] as const)
  const seen = translated(out, back).split(/@@ \d+\n/)
  for (const [i, { shown }] of steps.entries()) expect(lasting(seen[i] ?? '')).toBe(lasting(shown))
})
