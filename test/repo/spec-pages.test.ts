import { type MessageDefinition, type Protocol, readBody, reportCode, reportCodes, stateDiagram } from '@parley/kernel'
import { describe, expect, it } from 'vitest'
import { blocksOf } from './examples.ts'
import { manifest, read } from './workspace.ts'

const subpaths = Object.keys(manifest('protocols').exports ?? {}).map((subpath) => subpath.slice(2))

describe.each(subpaths)('the spec page of %s', async (name) => {
  const page = `protocols/${name}/README.md`
  const exported: unknown[] = Object.values(await import(/* @vite-ignore */ `@parley/protocols/${name}`))
  const protocol = exported.find((value) => typeof value === 'object' && value !== null && 'roles' in value) as Protocol
  // Kernel types that are not of the protocol's machines stand beside it.
  const definitions = [...Object.values(protocol.messages), ...exported.filter(isDefinition)]

  it('opens with the URI', () => {
    expect(read(page).split('\n')[2]).toMatch(`URI \`${protocol.uri}\`.`)
  })

  it('draws the machine of each role (pnpm statecharts)', () => {
    const drawn = blocksOf(page, 'mermaid').map(({ code }) => code.trimEnd())
    expect(drawn).toEqual(Object.values(protocol.roles).map(({ machine }) => stateDiagram(machine)))
  })

  it('shows each message by an example that parses, and no other', () => {
    const examples = blocksOf(page, 'json').map(({ code }) => JSON.parse(code))
    expect(new Set(examples.map(({ type }) => type))).toEqual(new Set(definitions.map(({ type }) => type)))
    for (const { type, body, ...rest } of examples) {
      const definition = definitions.find((each) => each.type === type)
      if (definition === undefined) throw new Error(type)
      expect([readBody(definition, body).ok, rest], JSON.stringify(body)).toEqual([true, {}])
    }
  })

  it.each(['Roles', 'Messages', 'Timeouts and limits', 'Security and privacy considerations', 'Rejected designs'])(
    'has the section %s',
    (section) => {
      const [, text = ''] = read(page).split(`\n## ${section}\n`)
      expect(text.split('\n## ')[0]?.trim().length).toBeGreaterThan(100)
    },
  )

  it('names each role and limit', () => {
    const text = read(page)
    const names = [...Object.keys(protocol.roles), ...Object.keys(protocol.limits.delays)]
    expect(names.filter((each) => !text.includes(`\`${each}\``))).toEqual([])
  })
})

describe('the codes of problem reports', () => {
  const [, codes = ''] = read('protocols/problem-report/README.md').split('\n## Codes\n')
  const rows = [...codes.matchAll(/^\| (?:`([a-z-]+)`|_never leaves_) +\|[^|]*\|([^|]*)\|$/gm)]
  const table = new Map(
    rows.map(([, code, problems = '']) => [code, [...problems.matchAll(/`([a-z-]+)`/g)].map(([, each]) => each)]),
  )
  const problems = [...read('packages/kernel/src/errors.ts').matchAll(/'([a-z-]+)'/g)].map(([, code]) => code)

  it('stand in the table of the spec page, and no others', () => {
    expect([...table.keys()]).toEqual([...reportCodes, undefined])
  })

  it('cover every problem of the kernel, as the kernel maps it', () => {
    expect([...table.values()].flat().sort()).toEqual([...new Set(problems)].sort())
    for (const [code, behind] of table) for (const problem of behind) expect(reportCode(problem as never), problem).toBe(code)
  })
})

function isDefinition(value: unknown): value is MessageDefinition {
  return typeof value === 'function' && 'schema' in value && 'type' in value
}
