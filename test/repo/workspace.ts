/**
 * What the tests of the repository know about it: its folders, manifests, sources and imports.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

const passed = new Set(['node_modules', 'dist', '.turbo', '.git', 'coverage'])

/** Every file below `folder`, relative to the root, without what is installed or built. */
export function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    // Other tests make and remove folders of examples at the same time.
    if (passed.has(entry.name) || entry.name.startsWith('.examples-')) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [relative('.', path)] : []
  })
}

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

export type Manifest = {
  readonly name: string
  readonly version?: string
  readonly private?: boolean
  readonly license?: string
  readonly sideEffects?: boolean
  readonly engines?: { readonly node?: string }
  readonly files?: readonly string[]
  readonly bin?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly publishConfig?: { readonly exports?: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export function manifest(folder: string): Manifest {
  return JSON.parse(read(join(folder, 'package.json'))) as Manifest
}

/** Folders of the public packages. */
export const packageFolders: readonly string[] = [
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
  'protocols',
]

/** Folders of everything that is published. */
export const publicFolders: readonly string[] = [
  ...packageFolders,
  ...readdirSync(join(root, 'apps')).map((name) => `apps/${name}`),
]

/** Top folders that hold TypeScript of ours. */
export const workspaceFolders: readonly string[] = ['packages', 'protocols', 'apps', 'examples', 'test', 'bench'].filter((name) =>
  existsSync(join(root, name)),
)

/** Source files of a package: what is published. */
export function sourcesOf(folder: string): string[] {
  const own = folder === 'protocols' ? folder : `${folder}/src`
  const all = existsSync(join(root, own)) ? filesBelow(own).filter((file) => !file.includes('/test/')) : []
  return all.filter((file) => /\.tsx?$/.test(file))
}

/** Module specifiers that a file imports, statically or dynamically. */
export function importsOf(file: string): string[] {
  const text = read(file)
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^'"]*?from\s*'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm,
  )
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}
