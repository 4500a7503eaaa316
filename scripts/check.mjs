// `pnpm check`, the one answer before a change goes in: every step in order, named, up to the first that fails.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const tests = (...args) => ['vitest', ['run', '--passWithNoTests', ...args]]
const builds = ['turbo', ['run', 'build', '--output-logs=errors-only', '--ui=stream']]

const steps = [
  ['format and lint', ['biome', ['ci', '.']]],
  ['types of the sources, and the build', builds],
  ['types of the tests', ['tsc', ['-p', 'test/tsconfig.json']]],
  ['the repository itself', tests('test/repo/', '--exclude', 'test/repo/pack.test.ts', '--exclude', 'test/repo/bundle.test.ts')],
  ['unit tests on the sources', tests('packages/', 'protocols/')],
  ['vectors and interoperation', tests('test/vectors/', 'test/interop/', 'test/jwm/')],
  ['hostile input and properties', tests('test/fuzz/', 'test/property/')],
  ['programs, in processes', tests('apps/', 'test/e2e/', 'examples/')],
  ['packed packages in an empty folder', tests('test/repo/pack.test.ts')],
  ['publint and attw', lintPacked],
  [
    'the API reference, and a comment on every export',
    ['node', ['docs/reference/node_modules/typedoc/bin/typedoc', '--options', 'docs/reference', '--emit', 'none']],
  ],
  ['unused files, exports and dependencies', ['knip', ['--no-progress']]],
  ['bundles', tests('test/repo/bundle.test.ts')],
  ['simulations', tests('test/sim/')],
]

const started = Date.now()
for (const [index, [name, what]] of steps.entries()) {
  process.stdout.write(`\n[${index + 1}/${steps.length}] ${name}\n`)
  const commands = typeof what === 'function' ? what() : [what]
  for (const [program, args] of commands) {
    const { status } = spawnSync(program, args, { stdio: 'inherit', shell: process.platform === 'win32' })
    if (status !== 0) {
      process.stdout.write(`\ncheck failed at: ${name} (${program})\n`)
      process.exit(1)
    }
  }
}
process.stdout.write(`\ncheck passed: ${steps.length} steps in ${Math.round((Date.now() - started) / 1000)} s\n`)

function lintPacked() {
  const folder = mkdtempSync(join(tmpdir(), 'parley-check-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const { status, stdout } = spawnSync('node', ['scripts/pack.mjs', folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) process.exit(1)
  const packed = JSON.parse(stdout)
  return [
    ...packed.map(({ filename }) => ['publint', ['run', filename, '--strict']]),
    // A program exports nothing that has types.
    ...packed
      .filter(({ name }) => name.startsWith('@'))
      .map(({ filename }) => ['attw', [filename, '--profile', 'esm-only', '--format', 'ascii', '--quiet']]),
  ]
}
