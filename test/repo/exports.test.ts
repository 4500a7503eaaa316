import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { manifest, packageFolders, read, root } from './workspace.ts'

/** The names that a TypeScript entry file exports, types marked as such, in order. Entries list them one by one. */
function namesIn(file: string): readonly string[] {
  const text = read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
  const listed = [...text.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, all, list = '']) =>
    list
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => {
        const isType = all !== undefined || part.startsWith('type ')
        return `${isType ? 'type ' : ''}${part.replace(/^type /, '').replace(/^.* as /, '')}`
      }),
  )
  const declared = [...text.matchAll(/^export (?:declare )?(?:async )?(const|function|class|type|interface) (\w+)/gm)].map(
    ([, kind, name]) => `${kind === 'type' || kind === 'interface' ? 'type ' : ''}${name}`,
  )
  return [...listed, ...declared].sort()
}

/** The source file behind an entry, whatever conditions stand around it. */
function sourceOf(conditions: unknown): readonly string[] {
  if (typeof conditions !== 'object' || conditions === null) return []
  return Object.entries(conditions).flatMap(([name, value]) =>
    name === '@parley/source' && typeof value === 'string' ? [value] : sourceOf(value),
  )
}

/** Every entry of every public package with the names it exports. */
function allNames(): Record<string, readonly string[]> {
  const entries = packageFolders.flatMap((folder) => {
    const { name, exports = {} } = manifest(folder)
    return Object.entries(exports).flatMap(([path, conditions]) => {
      const [source, ...others] = [...sourceOf(conditions)].sort(
        (a, b) => Number(a.includes('browser')) - Number(b.includes('browser')),
      )
      if (source === undefined || !existsSync(join(root, folder, source))) return []
      const names = namesIn(join(folder, source))
      for (const other of others) expect(namesIn(join(folder, other)), `${name} ${other}`).toEqual(names)
      return [[join(name, path), names] as const]
    })
  })
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

// A change of these names needs a changeset; `vitest run test/repo/exports -u` writes the file anew.
it('the names that packages export are those that are written down', async () => {
  await expect(`${JSON.stringify(allNames(), null, 2)}\n`).toMatchFileSnapshot('exports.json')
})
