import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

// The long forms of the tests. A test file has one when it reads PARLEY_SOAK, or leaves that to
// test/sim/property.ts; it prints what it counted.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['packages', 'protocols', 'apps', 'test'].flatMap(longForms),
    env: { PARLEY_SOAK: '1' },
    disableConsoleIntercept: true,
    maxWorkers: 1,
    testTimeout: 7_200_000,
    hookTimeout: 600_000,
  },
})

function longForms(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === 'dist' ? [] : longForms(path)
    return entry.name.endsWith('.test.ts') && /PARLEY_SOAK|\.\/property\.ts'/.test(readFileSync(path, 'utf8')) ? [path] : []
  })
}
