import { describe, expect, it } from 'vitest'
import { filesBelow, packageFolders, read, sourcesOf, workspaceFolders } from './workspace.ts'

const sources = packageFolders.flatMap(sourcesOf)
const pure = sources.filter(
  (file) => !/^packages\/platform\/|^packages\/jose\/src\/backend\/node\.ts|^packages\/agent\/src\/(?:node|browser)\//.test(file),
)
const tests = workspaceFolders
  .flatMap(filesBelow)
  .filter((file) => /\/test\/.*\.ts$|^test\/.*\.ts$/.test(file) && !file.endsWith('repo/tidy.test.ts'))
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')

describe('sources', () => {
  // Names that a local variable may bear too (fetch, crypto) are left to the linter, which knows scopes.
  it('below platform touch no clock, randomness or process', () => {
    const ambient =
      /\bMath\.random\b|\bDate\b\s*[.(]|\bnew Date\b|\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bglobalThis\b|\bprocess\.|\bconsole\.|\bperformance\.|\bcrypto\.(?:get|subtle|random)|\bAbortSignal\.timeout\b|\bBuffer\b/
    const offences = pure.filter((file) => ambient.test(withoutComments(read(file))))
    expect(offences).toEqual([])
  })

  it('open with their idea', () => {
    const offences = sources.filter((file) => !read(file).startsWith('/**\n') || !read(file).slice(0, 1500).includes('@module'))
    expect(offences).toEqual([])
  })

  it('are named after what they hold', () => {
    const offences = sources.filter((file) => /(?:^|\/)(?:common|shared|utils?|helpers?|types|misc)(?:\/|\.ts)/.test(file))
    expect(offences).toEqual([])
  })

  it('name their exports one by one', () => {
    expect(sources.filter((file) => /^export \* /m.test(read(file)))).toEqual([])
  })

  it('leave nothing undone', () => {
    const offences = sources.filter((file) => /\b(?:TODO|FIXME|XXX)\b(?!\(issue)|not implemented/i.test(read(file)))
    expect(offences).toEqual([])
  })
})

describe('the repository', () => {
  it('names no registry in its lockfile', () => {
    expect(read('pnpm-lock.yaml')).not.toMatch(/https?:\/\/|tarball:/)
  })

  it('has no test that runs alone or waits to be written', () => {
    const offences = tests.filter((file) => /\b(?:it|test|describe)\.(?:only|todo)\b/.test(read(file)))
    expect(offences).toEqual([])
  })

  it('sleeps in no test', () => {
    const offences = tests.filter((file) => /setTimeout\(\s*(?:resolve|done|r)\b|timers\/promises/.test(read(file)))
    expect(offences).toEqual([])
  })
})
