import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { manifest, publicFolders, root } from './workspace.ts'

const licences = ['MIT', 'Apache-2.0', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0']

describe.each(publicFolders)('%s', (folder) => {
  const own = manifest(folder)

  it('says its licence, engines and side effects', () => {
    expect(own).toMatchObject({ license: 'Apache-2.0', sideEffects: false, engines: { node: '>=20.19.0' } })
    expect(own.files).toContain('dist')
  })

  it('has a README', () => {
    expect(readdirSync(join(root, folder))).toContain('README.md')
  })

  it('exports the source to this workspace only, and types to everybody', () => {
    for (const [path, conditions] of Object.entries(own.exports ?? {})) {
      const strip = (value: unknown): unknown =>
        typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value).flatMap(([name, inner]) => (name === '@parley/source' ? [] : [[name, strip(inner)]])),
            )
          : value
      expect(own.publishConfig?.exports?.[path], path).toEqual(strip(conditions))
      expect(JSON.stringify(own.publishConfig?.exports?.[path]), path).toContain('"types"')
    }
  })

  it('pins every dependency to one version', () => {
    for (const [name, version] of Object.entries({ ...own.dependencies, ...own.devDependencies })) {
      expect(version, name).toMatch(/^(?:workspace:\*|\d+\.\d+\.\d+)$/)
    }
  })
})

it('every runtime dependency has a licence on the allow list', () => {
  const offences: string[] = []
  const seen = new Set<string>()
  const visit = (folder: string): void => {
    const { dependencies = {} } = manifest(folder)
    for (const name of Object.keys(dependencies)) {
      if (name.startsWith('@parley/')) continue
      const inside = join(folder, 'node_modules', name)
      const sibling = join(folder.replace(new RegExp(`${own(folder)}$`), ''), name)
      const found = [inside, sibling].find((candidate) => exists(candidate))
      if (found === undefined || seen.has(realName(found))) continue
      seen.add(realName(found))
      const { license } = manifest(found)
      if (license === undefined || !licences.includes(license)) offences.push(`${name}: ${license}`)
      visit(realName(found))
    }
  }
  for (const folder of publicFolders) visit(folder)
  expect(seen.size).toBeGreaterThan(10)
  expect(offences).toEqual([])
})

function exists(folder: string): boolean {
  return existsSync(join(root, folder, 'package.json'))
}

function realName(folder: string): string {
  return relative(root, realpathSync(join(root, folder)))
}

// The name of the package whose folder this is: two segments when it has a scope.
function own(folder: string): string {
  const segments = folder.split('/')
  return segments.at(-2)?.startsWith('@') === true ? segments.slice(-2).join('/') : (segments.at(-1) ?? '')
}
