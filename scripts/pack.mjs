// Packs every public package into a folder as it would be published: node scripts/pack.mjs FOLDER
// First drops from each dist what no source stands behind any more. Prints [{ name, version, filename, files }] as JSON.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [argument] = process.argv.slice(2)
if (argument === undefined) {
  process.stderr.write('usage: node scripts/pack.mjs FOLDER\n')
  process.exit(2)
}

const target = resolve(argument)
const foldersIn = (parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`)
const libraries = [...foldersIn('packages'), 'protocols']
const programs = foldersIn('apps')
for (const folder of [...libraries, ...programs]) dropOrphans(folder)
// Apart, because the tarballs of @parley/relay and parley-relay bear the same name.
const packed = [...pack(libraries, join(target, 'libraries')), ...pack(programs, join(target, 'programs'))]
process.stdout.write(`${JSON.stringify(packed, null, 2)}\n`)

function pack(folders, destination) {
  mkdirSync(destination, { recursive: true })
  const filters = folders.flatMap((folder) => ['--filter', `./${folder}`])
  const done = spawnSync(
    join(root, 'node_modules/.bin/pnpm'),
    ['-r', ...filters, 'pack', '--pack-destination', destination, '--json'],
    { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, shell: process.platform === 'win32' },
  )
  if (done.status !== 0) {
    process.stderr.write(`${done.stdout}${done.stderr}`)
    process.exit(1)
  }
  return JSON.parse(done.stdout)
}

function dropOrphans(folder) {
  const dist = join(root, folder, 'dist')
  const source = join(root, folder, folder === 'protocols' ? '' : 'src')
  if (!existsSync(dist)) return
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const stem = relative(dist, file).replace(/\.(?:d\.ts|js)(?:\.map)?$/, '')
    const isOurs = ['.ts', '.tsx'].some((ending) => existsSync(join(source, stem + ending)))
    if (!isOurs && entry.name !== '.tsbuildinfo') rmSync(file)
  }
}
