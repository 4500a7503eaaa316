/** The tables of the README out of the program: `vitest run apps/relay/test/readme -u` writes them anew. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { settings, variableOf } from '../src/settings.ts'
import { command } from './harness.ts'

const file = fileURLToPath(new URL('../README.md', import.meta.url))

function settingsTable(): string {
  const rows = settings.map((setting) => {
    const { name, flag, choices, what, reloads } = setting
    const variable = variableOf(setting)
    const shown = choices === undefined ? what : `${what}: ${choices.map((choice) => `\`${choice}\``).join(', ')}`
    return `| \`${name}\`${reloads ? ' ⟳' : ''} | ${flag === undefined ? '' : `\`${flag.split(' ')[0]}\``} | ${variable === undefined ? '' : `\`${variable}\``} | ${shown} |`
  })
  return ['| in the file | flag | variable | what |', '|---|---|---|---|', ...rows].join('\n')
}

/** Every command with its sentence, as the help tells them. */
async function commandsTable(): Promise<string> {
  const listed = async (path: readonly string[]): Promise<readonly string[]> => {
    const { out } = await command([...path, '--help'])
    const section = /\nCommands:\n([\s\S]*?)(?:\n\n|$)/.exec(out)?.[1] ?? ''
    const found: string[] = []
    for (const [, usage = '', what = ''] of section.matchAll(/^ {2}(\S.*?) {2,}(\S.*(?:\n {10,}\S.*)*)$/gm)) {
      const name = usage.split(' ')[0] ?? ''
      if (name === 'help') continue
      const inner = usage.includes('[options]') ? [] : await listed([...path, name])
      const words = usage.replace(' [options]', '').replace(/<(\w+)>/g, (_, word: string) => word.toUpperCase())
      found.push(...(inner.length > 0 ? inner : [`| \`${[...path, words].join(' ')}\` | ${what.replace(/\s+/g, ' ')} |`]))
    }
    return found
  }
  return ['| command | what it does |', '|---|---|', ...(await listed([]))].join('\n')
}

it('the README lists every setting and every command', async () => {
  let page = readFileSync(file, 'utf8')
  for (const [title, table] of [
    ['Settings', settingsTable()],
    ['Commands', await commandsTable()],
  ] as const) {
    expect(table.split('\n').length).toBeGreaterThan(15)
    // The first table of the chapter.
    const inside = new RegExp(`(## ${title}\\n(?:[\\s\\S]*?\\n)??\\n)(?:\\|.*\\n)+`)
    expect(page).toMatch(inside)
    page = page.replace(inside, (_, before: string) => `${before}${table}\n`)
  }
  await expect(page).toMatchFileSnapshot(file)
})
