// Packs every public package into a folder as it would be published: node scripts/pack.mjs FOLDER
// First drops from each dist what no source stands behind any more. Prints [{ name, folder, filename, files }] as JSON.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [target] = process.argv.slice(2)
if (target === undefined) {
  process.stderr.write('usage: node scripts/pack.mjs FOLDER\n')
  process.exit(2)
}

const folders = [
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
  'protocols',
  ...readdirSync(join(root, 'apps')).map((name) => `apps/${name}`),
]
for (const folder of folders) dropOrphans(folder)

const packed = spawnSync(
  join(root, 'node_modules/.bin/pnpm'),
  ['-r', ...folders.flatMap((folder) => ['--filter', `./${folder}`]), 'pack', '--pack-destination', target, '--json'],
  { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, shell: process.platform === 'win32' },
)
if (packed.status !== 0) {
  process.stderr.write(`${packed.stdout}${packed.stderr}`)
  process.exit(1)
}
process.stdout.write(packed.stdout)

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
