// The one entry of `npm start`, `npm test` and the others: installs when the manifests changed, builds what is stale, runs.
// Depends on nothing but Node, because it runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [command, ...args] = process.argv.slice(2)
const quiet = command === 'parley' || command === 'relay' || args.includes('--json')
// What is measured against, and what writes the API reference, are two hundred megabytes that nobody else needs.
const isLean = !/^(?:bench:.*|check|docs:api)$/.test(command)
const lean = isLean ? ['--filter', '!@parley/bench', '--filter', '!@parley/reference'] : []

const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  PATH: join(root, 'node_modules', '.bin') + delimiter + process.env.PATH,
}

// For who makes load: its own collections are not to be what is measured.
const roomy = ['--max-semi-space-size=256', '--initial-old-space-size=512', '--no-allocation-site-pretenuring']
const inCallersFolder = process.env.INIT_CWD
const jobs = {
  start: () => become('node', ['scripts/start/main.mjs', ...args]),
  test: () => become('vitest', ['run', ...args]),
  check: () => become('node', ['scripts/check.mjs', ...args]),
  soak: () => become('vitest', ['run', '--config', 'vitest.soak.config.ts', ...args]),
  sim: () => become('vitest', ['run', ...(args.length === 0 ? ['test/sim/'] : args)]),
  'bench:envelope': () => become('node', ['bench/dist/envelope.js', ...args]),
  'bench:relay': () => become('node', [...roomy, 'bench/dist/relay.js', ...args]),
  'bench:agent': () => become('node', ['bench/dist/agent.js', ...args]),
  'docs:api': () => become('node', ['node_modules/typedoc/bin/typedoc', ...args], join(root, 'docs/reference')),
  statecharts: () => become('node', ['scripts/statecharts.mjs']),
  parley: () => become('node', [join(root, 'apps/cli/bin/parley.js'), ...args], inCallersFolder),
  relay: () => become('node', [join(root, 'apps/relay/bin/parley-relay.js'), ...args], inCallersFolder),
}

const job = jobs[command]
if (job === undefined) {
  process.stderr.write(`usage: node scripts/dev.mjs ${Object.keys(jobs).join('|')} [arguments]\n`)
  process.exit(2)
}
install()
build()
job()

/** Installs once per state of the manifests, the lockfile and the Node version. */
function install() {
  const manifests = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...workspaceManifests()]
  const hash = createHash('sha256').update(process.version)
  for (const file of manifests) hash.update(file).update(readFileSync(join(root, file)))
  const stamp = hash.digest('hex')
  const stampFile = join(root, 'node_modules', '.parley-stamp')
  const stamps = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
  if (stamps === stamp || (isLean && stamps === `${stamp} lean`)) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const status = run('npx', ['--yes', packageManager, ...lean, 'install', '--frozen-lockfile'], {
    quiet,
    env: { ...env, CI: 'true' },
  })
  if (status !== 0) process.exit(status)
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  writeFileSync(stampFile, isLean ? `${stamp} lean` : stamp)
}

/** Builds through turbo's cache: nothing changed costs a few tens of milliseconds. */
function build() {
  const status = run('turbo', ['run', 'build', ...lean, '--output-logs=errors-only', '--ui=stream'], {
    quiet: quiet || command === 'start',
  })
  if (status !== 0) process.exit(status)
}

function workspaceManifests() {
  const folders = ['protocols', 'test', 'bench', 'docs/reference']
  for (const parent of ['packages', 'apps', 'examples']) {
    if (existsSync(join(root, parent)))
      for (const name of readdirSync(join(root, parent)).sort()) folders.push(`${parent}/${name}`)
  }
  return folders.map((folder) => `${folder}/package.json`).filter((file) => existsSync(join(root, file)))
}

/** Runs the program in our place: its standard streams are ours, signals reach it, and its end is ours. */
function become(program, argv, cwd = root) {
  const child = spawn(program, argv, { cwd, env, stdio: 'inherit', shell: process.platform === 'win32' })
  process.on('SIGINT', () => {}) // a terminal sends it to the child as well
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  if (process.env.npm_lifecycle_event !== undefined) endWith(callers(), child)
  child.on('error', (error) => {
    process.stderr.write(`${program}: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

/**
 * A signal for npm ends npm, or the shell between, and reaches nobody else: without this a relay would go on unseen, with the port
 * and the folder taken. Where the shell went the signal was one to drain by; where npm alone did it was SIGKILL.
 */
function endWith([shell, npm], child) {
  const timer = setInterval(() => {
    const [shellNow, npmNow] = callers()
    if (shellNow !== shell) child.kill('SIGTERM')
    else if (npmNow !== npm) child.kill('SIGKILL')
    else return
    clearInterval(timer)
  }, 50)
  timer.unref()
}

/** Our parent process and, where the system tells, its parent. */
function callers() {
  const parent = process.ppid
  try {
    const stat = readFileSync(`/proc/${parent}/stat`, 'utf8')
    return [parent, stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]]
  } catch {
    return [parent, undefined]
  }
}

/** Runs a program to its end and answers its exit code; quiet output is shown only when it fails. */
function run(program, argv, options = {}) {
  const result = spawnSync(program, argv, {
    cwd: root,
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
