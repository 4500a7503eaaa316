import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { read, root } from './workspace.ts'

// How many lines each part of the sources has; ids count from one.
const parts = { A: 16, H: 6, C: 7, V: 11, G: 5, J: 22, S: 4, B: 8, U: 21, F: 8, R: 4, D: 4, I: 9, K: 3, X: 13 }

const rows = [...read('docs/requirements.md').matchAll(/^\| ([A-Z]\d+) \| (?:must|should|may|own) \| .+ \| (.+) \|$/gm)].map(
  ([, id = '', shown = '']) => ({ id, shown }),
)

// Everything in quotation marks or backticks: titles of tests, and names of their rows.
function titles(file: string): readonly string[] {
  return [...read(file).matchAll(/'((?:[^'\\\n]|\\.)*)'|`([^`\n]*)`/g)].map(([, single, template]) => single ?? template ?? '')
}

it('the page has every requirement once', () => {
  const ids = Object.entries(parts).flatMap(([part, count]) => Array.from({ length: count }, (_, i) => `${part}${i + 1}`))
  expect(rows.map(({ id }) => id).sort()).toEqual(ids.sort())
})

it('each names a test that is there', () => {
  const wrong = rows.filter(({ shown }) => {
    const [, file = '', name = ''] = /^`([^`]+\.test\.ts)`: "(.+)"$/.exec(shown) ?? []
    return name === '' || !existsSync(join(root, file)) || !titles(file).some((title) => title.includes(name))
  })
  expect(wrong).toEqual([])
})
