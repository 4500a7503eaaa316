import { MessagingError } from '@parley/core'
import { expect, it } from 'vitest'
import { publicFolders, read, sourcesOf } from './workspace.ts'

const page = read('docs/errors.md')
const sections = [...page.matchAll(/^### (ERR_[A-Z0-9_]+)\n\n([\s\S]*?)(?=\n#|$(?![\s\S]))/gm)]
const documented = sections.map((section) => section[1] ?? '')

const inSources = (): string[] => {
  const codes = publicFolders.flatMap((folder) =>
    sourcesOf(folder).flatMap((file) => read(file).match(/\bERR_[A-Z]+_[A-Z0-9_]*[A-Z0-9]\b/g) ?? []),
  )
  return [...new Set(codes)].sort()
}

it('every code of the sources has its section, and every section a code', () => {
  expect([...documented].sort()).toEqual(inSources())
})

it('every section says whether to try again', () => {
  expect(sections.filter((section) => !/Retryable: /.test(section[2] ?? '')).map((section) => section[1])).toEqual([])
})

it('every error names its section', () => {
  // As a page on the web names its headings.
  const anchors = sections.map(([, code = '']) => `docs/errors.md#${code.toLowerCase()}`)
  expect(documented.map((code) => new MessagingError(code, '').help)).toEqual(anchors)
  expect(new MessagingError('ERR_AGENT_CLOSED', '').help).toBe('docs/errors.md#err_agent_closed')
})

it('every problem that an agent names itself stands in its README', () => {
  const sources = sourcesOf('packages/agent').map(read).join('\n')
  const named = [...sources.matchAll(/\b(?:refuse\(tx, |report\()'([a-z-]+)'/g)].map(([, code]) => `\`${code}\``)
  expect(named.length).toBeGreaterThan(10)
  const [, table = ''] = read('packages/agent/README.md').split('\n## Problems\n')
  expect(named.filter((code) => !table.includes(code))).toEqual([])
})
