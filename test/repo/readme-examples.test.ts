import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { blocksOf, withFolder } from './examples.ts'

// Each example is run on the sources, and prints what the comments behind its console.log say; an ellipsis stands for
// what differs each time.

/** What a block says that it prints. */
function promised(code: string): readonly RegExp[] {
  return [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map(
    ([, text = '']) =>
      new RegExp(
        `^${text
          .split('…')
          .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
          .join('.+')}$`,
      ),
  )
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(['packages/jose/README.md', 'packages/testing/README.md'])('%s', (page) => {
  const blocks = blocksOf(page, 'ts')

  it('has an example that prints something in every block', () => {
    expect(blocks.length).toBeGreaterThan(0)
    expect(blocks.filter(({ code }) => promised(code).length === 0)).toEqual([])
  })

  it.each(blocks.map(({ index, code }) => [index + 1, code] as const))('example %i prints what it says', async (_, code) => {
    const printed: string[] = []
    vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
      printed.push(values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' '))
    })
    await withFolder({ 'example.ts': `${code}\nexport {}\n` }, async (folder) => {
      await import(join(folder, 'example.ts'))
    })
    const expected = promised(code)
    expect(printed).toHaveLength(expected.length)
    for (const [i, line] of printed.entries()) expect(line).toMatch(expected[i] ?? /^$/)
  })
})
