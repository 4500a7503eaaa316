import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { pages } from './examples.ts'
import { filesBelow, read, root } from './workspace.ts'

it('pages link to what is there', () => {
  const offences = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#|im:)([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  )
  expect(offences).toEqual([])
})

it('the picture of the architecture names files that are there', () => {
  const named = [...read('docs/architecture.md').matchAll(/"(?:[^"]*?)((?:apps|protocols|[a-z]+)\/[\w/.-]+\.ts)/g)].map(
    ([, file = '']) => file,
  )
  const known = [...['apps', 'packages', 'protocols'].flatMap(filesBelow)]
  expect(named.length).toBeGreaterThan(15)
  expect(named.filter((file) => !known.includes(file) && !known.includes(`packages/${file}`))).toEqual([])
})

it('decisions are numbered without a gap, dated, and say whether they stand', () => {
  const decisions = filesBelow('docs/decisions').sort()
  const offences = decisions.filter((file, i) => {
    const number = String(i + 1).padStart(4, '0')
    const head = new RegExp(`^# ${number}: .+\n\n\\d{4}-\\d{2}-\\d{2}\\. (?:In force|Superseded by \\d{4})\\.\n`)
    return !file.includes(`/${number}-`) || !head.test(read(file))
  })
  expect(offences).toEqual([])
})
