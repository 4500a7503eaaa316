import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blocksOf, pages, sdkExample, withFolder } from './examples.ts'
import { startRelay } from './local-relay.ts'
import { output, run } from './process.ts'
import { read, root } from './workspace.ts'

const tsc = join(root, 'node_modules/.bin/tsc')
const settings = {
  extends: '../../tsconfig.base.json',
  // An example may show a value and leave it there.
  compilerOptions: { noEmit: true, composite: false, incremental: false, noUnusedLocals: false },
  include: ['**/*.ts'],
}

it('every example of the pages compiles', { timeout: 120_000 }, async () => {
  const blocks = pages.flatMap((page) => blocksOf(page, 'ts'))
  expect(blocks.length).toBeGreaterThan(10)
  const files = blocks.map(({ page, index, code }) => [`${page.replace(/\W/g, '-')}-${index}.ts`, `${code}\nexport {}\n`])
  await withFolder({ ...Object.fromEntries(files), 'tsconfig.json': JSON.stringify(settings) }, async (folder) => {
    const { out } = await run(tsc, ['-p', folder], { cwd: folder })
    expect(out).toBe('')
  })
})

it('every JSON block of the pages is JSON', () => {
  const offences = pages.flatMap((page) =>
    blocksOf(page, 'json').flatMap(({ code }) => {
      try {
        JSON.parse(code)
        return []
      } catch {
        return [`${page}: ${code.slice(0, 60)}`]
      }
    }),
  )
  expect(offences).toEqual([])
})

it('the example of the README has at most 12 lines', () => {
  expect(sdkExample().trimEnd().split('\n').length).toBeLessThanOrEqual(12)
})

// What an example says behind console.log it prints, in order.
it('the examples of @parley/jwm print what they say', { timeout: 120_000 }, async () => {
  const blocks = blocksOf('packages/jwm/README.md', 'ts')
  expect(blocks.length).toBeGreaterThan(5)
  const emit = { ...settings, compilerOptions: { ...settings.compilerOptions, noEmit: false, outDir: 'out', rootDir: '.' } }
  const files = Object.fromEntries(blocks.map(({ index, code }) => [`example-${index}.ts`, code]))
  await withFolder({ ...files, 'tsconfig.json': JSON.stringify(emit) }, async (folder) => {
    await output(tsc, ['-p', folder], { cwd: folder })
    for (const { index, code } of blocks) {
      const said = [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text]) => text)
      expect(said.length).toBeGreaterThan(0)
      const printed = await output('node', [join(folder, `out/example-${index}.js`)], { cwd: folder })
      expect(printed).toBe(`${said.join('\n')}\n`)
    }
  })
})

// It runs as a reader would run it: compiled, in a process of its own, on the built packages.
it('the example of the README runs', { timeout: 120_000 }, async () => {
  const relay = await startRelay()
  try {
    const code = sdkExample().replace('ws://127.0.0.1:4001', relay.url)
    expect(code).toContain(relay.url)
    const emit = { ...settings, compilerOptions: { composite: false, incremental: false, outDir: 'out', rootDir: '.' } }
    await withFolder({ 'example.ts': code, 'tsconfig.json': JSON.stringify(emit) }, async (folder) => {
      await output(tsc, ['-p', folder], { cwd: folder })
      const home = join(folder, 'home')
      mkdirSync(home)
      expect(await output('node', [join(folder, 'out/example.js')], { cwd: home })).toBe('alice@a.localhost: Hello, Bob!\n')
    })
  } finally {
    await relay.close()
  }
})

it.each(readdirSync(join(root, 'examples')).map((name) => `examples/${name}`))(
  '%s runs, and prints what its page says',
  { timeout: 120_000 },
  async (example) => {
    const relay = await startRelay()
    try {
      await withFolder({}, async (folder) => {
        const said = await output('node', [join(root, example, 'main.js'), relay.url, folder], { cwd: folder })
        const [, printed] = /prints\n\n```\n([\s\S]*?)```/.exec(read(`${example}/README.md`)) ?? []
        expect(said).toBe(printed)
      })
    } finally {
      await relay.close()
    }
  },
)
