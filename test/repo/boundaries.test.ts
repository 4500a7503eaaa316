import { describe, expect, it } from 'vitest'
import { filesBelow, importsOf, manifest, packageFolders, publicFolders, sourcesOf, workspaceFolders } from './workspace.ts'

/** Who may import whom: the law (docs/architecture.md shows it as a table). `third` are packages of other people. */
const layers: Readonly<Record<string, { readonly may: readonly string[]; readonly third: readonly string[] }>> = {
  core: { may: [], third: [] },
  jose: { may: ['core'], third: ['@noble/curves', '@noble/ciphers', '@noble/hashes', '@noble/post-quantum'] },
  jwm: { may: ['core', 'jose'], third: ['uuid'] },
  identity: { may: ['core', 'jose', 'jwm'], third: [] },
  session: { may: ['core', 'jose', 'jwm', 'identity'], third: [] },
  stream: { may: ['core', 'jose', 'jwm', 'identity'], third: [] },
  kernel: { may: ['core', 'jwm', 'identity'], third: ['xstate', '@standard-schema/spec'] },
  protocols: { may: ['core', 'jwm', 'identity', 'kernel'], third: ['xstate', 'zod'] },
  mailbox: { may: ['core'], third: [] },
  platform: { may: ['core'], third: ['level', 'events', 'ws'] },
  agent: { may: ['core', 'jose', 'jwm', 'identity', 'session', 'stream', 'kernel', 'protocols', 'platform'], third: [] },
  relay: { may: ['core', 'jose', 'jwm', 'identity', 'stream', 'mailbox'], third: [] },
  testing: {
    may: ['core', 'jose', 'jwm', 'identity', 'session', 'stream', 'kernel', 'protocols', 'mailbox', 'platform', 'agent', 'relay'],
    third: ['fast-check'],
  },
}

const nameOf = (folder: string): string => folder.split('/').at(-1) ?? folder
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

describe('layers', () => {
  it('cover every package', () => {
    expect(packageFolders.map(nameOf).sort()).toEqual(Object.keys(layers).sort())
  })

  it.each(packageFolders)('%s imports what its layer may', (folder) => {
    const layer = layers[nameOf(folder)]
    const offences = sourcesOf(folder).flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        if (specifier.startsWith('.') || specifier.startsWith('#')) return []
        if (specifier.startsWith('node:')) return mayUseNode(file) ? [] : [`${file}: ${specifier}`]
        const target = packageOf(specifier)
        const own = target.startsWith('@parley/') ? layer?.may.includes(target.slice(8)) : layer?.third.includes(target)
        return own === true ? [] : [`${file}: ${specifier}`]
      }),
    )
    expect(offences).toEqual([])
  })

  it.each(packageFolders)('%s declares just what its layer may', (folder) => {
    const layer = layers[nameOf(folder)]
    const declared = Object.keys(manifest(folder).dependencies ?? {})
    const offences = declared.filter((name) =>
      name.startsWith('@parley/') ? !layer?.may.includes(name.slice(8)) : !layer?.third.includes(name),
    )
    expect(offences).toEqual([])
  })

  it('let only src/node and src/browser of the agent use the platform', () => {
    const offences = sourcesOf('packages/agent').filter(
      (file) =>
        !/src\/(?:node|browser)\//.test(file) && importsOf(file).some((specifier) => specifier.startsWith('@parley/platform')),
    )
    expect(offences).toEqual([])
  })

  it('let nobody depend on testing, not even for development', () => {
    const all = publicFolders.filter((folder) => folder !== 'packages/testing')
    const offences = all.filter((folder) => {
      const { dependencies = {}, devDependencies = {} } = manifest(folder)
      return '@parley/testing' in dependencies || '@parley/testing' in devDependencies
    })
    expect(offences).toEqual([])
  })

  it('let no protocol folder import another', () => {
    const offences = sourcesOf('protocols').flatMap((file) =>
      importsOf(file).flatMap((specifier) =>
        specifier.startsWith('../') || specifier.startsWith('@parley/protocols') ? [`${file}: ${specifier}`] : [],
      ),
    )
    expect(offences).toEqual([])
  })

  it('let agent and relay meet in testing, apps and tests only', () => {
    const offences = packageFolders
      .filter((folder) => folder !== 'packages/testing')
      .flatMap((folder) => {
        const { devDependencies = {} } = manifest(folder)
        return ['@parley/agent', '@parley/relay'].filter((name) => name in devDependencies).map((name) => `${folder}: ${name}`)
      })
    expect(offences).toEqual([])
  })

  it('have no deep imports into another package', () => {
    const offences = workspaceFolders
      .flatMap(filesBelow)
      .flatMap((file) =>
        /\.[cm]?tsx?$/.test(file)
          ? importsOf(file).flatMap((specifier) =>
              /^@parley\/[^/]+\/(?:src|dist|test)\b/.test(specifier) ? [`${file}: ${specifier}`] : [],
            )
          : [],
      )
    expect(offences).toEqual([])
  })
})

function mayUseNode(file: string): boolean {
  return /^packages\/platform\/src\/|^packages\/jose\/src\/backend\/node\.ts$|^packages\/agent\/src\/node\//.test(file)
}
