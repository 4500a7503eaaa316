// The one entry of `npm start`, `npm test` and the others: installs when the manifests changed, builds what is stale, runs.
// Depends on nothing but Node, because it runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [command, ...args] = process.argv.slice(2)
const quiet = command === 'parley' || command === 'relay'

const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  PATH: join(root, 'node_modules', '.bin') + delimiter + process.env.PATH,
}

const jobs = {
  start: () => run('node', ['scripts/start/main.mjs', ...args]),
  test: () => run('vitest', ['run', ...args]),
  check: () => run('node', ['scripts/check.mjs', ...args]),
  soak: () => run('vitest', ['run', '--config', 'vitest.soak.config.ts', ...args]),
  sim: () => run('vitest', ['run', 'test/sim', ...args]),
  parley: () => run('node', ['apps/cli/dist/main.js', ...args], { cwd: process.env.INIT_CWD }),
  relay: () => run('node', ['apps/relay/dist/main.js', ...args], { cwd: process.env.INIT_CWD }),
}

const job = jobs[command]
if (job === undefined) {
  process.stderr.write(`usage: node scripts/dev.mjs ${Object.keys(jobs).join('|')} [arguments]\n`)
  process.exit(2)
}
install()
build()
process.exit(job())

/** Installs once per state of the manifests, the lockfile and the Node version. */
function install() {
  const manifests = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...workspaceManifests()]
  const hash = createHash('sha256').update(process.version)
  for (const file of manifests) hash.update(file).update(readFileSync(join(root, file)))
  const stamp = hash.digest('hex')
  const stampFile = join(root, 'node_modules', '.parley-stamp')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const status = run('npx', ['--yes', packageManager, 'install', '--frozen-lockfile'], { quiet, env: { ...env, CI: 'true' } })
  if (status !== 0) process.exit(status)
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  writeFileSync(stampFile, stamp)
}

/** Builds through turbo's cache: nothing changed costs a few tens of milliseconds. */
function build() {
  const status = run('turbo', ['run', 'build', '--output-logs=errors-only', '--ui=stream'], {
    quiet: quiet || command === 'start',
  })
  if (status !== 0) process.exit(status)
}

function workspaceManifests() {
  const folders = ['protocols', 'test', 'bench']
  for (const parent of ['packages', 'apps', 'examples']) {
    if (existsSync(join(root, parent)))
      for (const name of readdirSync(join(root, parent)).sort()) folders.push(`${parent}/${name}`)
  }
  return folders.map((folder) => `${folder}/package.json`).filter((file) => existsSync(join(root, file)))
}

/** Runs a program to its end and answers its exit code; quiet output is shown only when it fails. */
function run(program, argv, options = {}) {
  const result = spawnSync(program, argv, {
    cwd: options.cwd ?? root,
    env: options.env ?? env,
    stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    shell: process.platform === 'win32',
  })
  if (result.error !== undefined) {
    process.stderr.write(`${program}: ${result.error.message}\n`)
    return 1
  }
  if (options.quiet && result.status !== 0) process.stderr.write(`${result.stdout}${result.stderr}`)
  return result.status ?? 1
}
