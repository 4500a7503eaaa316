import { defineConfig } from 'vitest/config'

const source = '@parley/source'

export default defineConfig({
  resolve: { conditions: [source, 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: [source, 'node', 'import', 'module', 'default'] } },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'protocols/*/test/**/*.test.ts',
      'apps/*/test/**/*.test.ts',
      'test/**/*.test.ts',
      'examples/**/*.test.ts',
    ],
    reporters: ['default', './scripts/simulation-table.mjs', './scripts/closing-line.mjs'],
    maxWorkers: 2,
    testTimeout: 30_000,
  },
})
