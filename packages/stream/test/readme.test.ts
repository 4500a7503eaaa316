import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { bounceCodes, requestCodes, streamCodes } from '../src/index.ts'

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')
const [, codes = ''] = page.split('\n## Codes\n')
const tables = (codes.split('\n## ')[0] ?? '').split('\n| code | ').slice(1)

it.each([
  ['streams', streamCodes],
  ['stanzas', bounceCodes],
  ['requests', requestCodes],
])('the page tells every code that ends %s, with its close code and whether to try again', (what, known) => {
  const text = tables[['streams', 'stanzas', 'requests'].indexOf(what)] ?? ''
  const rows = [...text.matchAll(/^\| `([a-z0-9-]+)` \| (?:(\d+) \| )?(yes|no) \| \S/gm)]
  const told = rows.map(([, code = '', close, again]) => {
    const retryable = again === 'yes'
    return [code, close === undefined ? { retryable } : { close: Number(close), retryable }]
  })
  expect(Object.fromEntries(told)).toEqual(known)
})
