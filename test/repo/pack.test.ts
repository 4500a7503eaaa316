import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sdkExample } from './examples.ts'
import { type LocalRelay, startRelay } from './local-relay.ts'
import { output } from './process.ts'
import { type Manifest, manifest, publicFolders, root } from './workspace.ts'

type Packed = { readonly name: string; readonly filename: string }

const tsc = join(root, 'node_modules/.bin/tsc')
const folder = mkdtempSync(join(tmpdir(), 'parley pack '))
const consumer = join(folder, 'consumer')
let packed: readonly Packed[] = []
let relay: LocalRelay

// An empty folder that knows nothing of the workspace: only tarballs, and what they ask the registry for.
beforeAll(async () => {
  packed = JSON.parse(await output('node', [join(root, 'scripts/pack.mjs'), folder], { cwd: root })) as readonly Packed[]
  const tarballs = Object.fromEntries(packed.map(({ name, filename }) => [name, `file:${relative(consumer, filename)}`]))
  mkdirSync(consumer)
  const own = {
    name: 'consumer',
    private: true,
    type: 'module',
    dependencies: { ...tarballs, '@types/node': '20.19.0' },
    overrides: tarballs,
  }
  writeFileSync(join(consumer, 'package.json'), JSON.stringify(own))
  await output('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: consumer, timeoutMs: 300_000 })
  relay = await startRelay()
  writeFileSync(join(consumer, 'example.ts'), sdkExample().replace('ws://127.0.0.1:4001', relay.url))
}, 420_000)

afterAll(async () => {
  await relay?.close()
  rmSync(folder, { recursive: true, force: true })
})

describe.each(publicFolders)('%s, packed', (source) => {
  const { name } = manifest(source)
  const installed = (): string => join(consumer, 'node_modules', name)
  const own = (): Manifest => JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8')) as Manifest

  it('holds its licence, its page, its code and its types, and nothing else', () => {
    const paths = readdirSync(installed(), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(installed(), join(entry.parentPath, entry.name)))
      .filter((path) => !path.startsWith('node_modules'))
    expect(paths).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']))
    expect(paths.filter((path) => path.endsWith('.js')).length).toBeGreaterThan(0)
    const allowed =
      /^(?:LICENSE|package\.json|(?:[\w-]+\/)?README\.md|bin\/[\w-]+\.js|deploy\/(?:grafana\.json|parley-relay\.service)|dist\/[\w/.-]+\.(?:js|d\.ts|js\.map))$/
    expect(paths.filter((path) => !allowed.test(path) || /\/test\//.test(path))).toEqual([])
  })

  it('names its licence, engines and side effects, and no source or workspace', () => {
    expect(own()).toMatchObject({ license: 'Apache-2.0', sideEffects: false, engines: { node: '>=20.19.0' } })
    expect(JSON.stringify(own())).not.toMatch(/@parley\/source|workspace:/)
  })

  it('has every file that its entries name, with types', () => {
    const targets = (value: unknown): readonly string[] =>
      typeof value === 'string' ? [value] : Object.values((value ?? {}) as Record<string, unknown>).flatMap(targets)
    const { exports = {}, bin = {} } = own()
    for (const target of [...targets(exports), ...targets(bin)]) {
      expect(() => readFileSync(join(installed(), target)), target).not.toThrow()
    }
    for (const [path, conditions] of Object.entries(exports)) expect(JSON.stringify(conditions), path).toContain('"types"')
  })
})

describe('in an empty folder', () => {
  it('nothing of ours came from the registry', () => {
    const lock = JSON.parse(readFileSync(join(consumer, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly resolved?: string }>>
    }
    const ours = packed.map(({ name }) => name)
    const foreign = Object.entries(lock.packages).filter(
      ([path, { resolved }]) =>
        ours.some((name) => path.endsWith(`node_modules/${name}`)) && resolved?.startsWith('file:') !== true,
    )
    expect(foreign).toEqual([])
  })

  it.each([
    ['nodenext', 'nodenext'],
    ['preserve', 'bundler'],
  ])(
    'the example of the README compiles and runs with module %s, resolution %s',
    async (module, moduleResolution) => {
      const outDir = `out-${moduleResolution}`
      const compilerOptions = {
        module,
        moduleResolution,
        target: 'es2023',
        lib: ['es2023'],
        types: ['node'],
        strict: true,
        outDir,
        rootDir: '.',
      }
      writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['example.ts'] }))
      await output(tsc, ['-p', consumer], { cwd: consumer })
      expect(await runExample(`${outDir}/example.js`)).toBe('alice@a.localhost: Hello, Bob!\n')
    },
    120_000,
  )

  it('vite builds the example of the README for Node, and it runs', async () => {
    const out = join(consumer, 'out-vite')
    await build({ root: consumer, configFile: false, logLevel: 'silent', build: { ssr: 'example.ts', outDir: out } })
    const [file = ''] = readdirSync(out)
    expect(await runExample(`out-vite/${file}`)).toBe('alice@a.localhost: Hello, Bob!\n')
  }, 120_000)

  it('the programs say how they are used', async () => {
    for (const program of ['parley', 'parley-relay']) {
      expect(await output(join(consumer, 'node_modules/.bin', program), ['--help'], { cwd: consumer })).toContain(
        `Usage: ${program}`,
      )
    }
  })
})

/** Runs a compiled example with profiles of its own: accounts on the relay are new each time. */
async function runExample(file: string): Promise<string> {
  const home = mkdtempSync(join(folder, 'home-'))
  await relay.close()
  relay = await startRelay()
  const text = readFileSync(join(consumer, file), 'utf8').replace(/ws:\/\/127\.0\.0\.1:\d+/, relay.url)
  writeFileSync(join(consumer, file), text)
  return await output('node', [join(consumer, file)], { cwd: home })
}
