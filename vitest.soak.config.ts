import { mergeConfig } from 'vitest/config'
import base from './vitest.config.ts'

// The long forms of the tests: a test file reads PARLEY_SOAK and prints what it counted.
export default mergeConfig(base, {
  test: {
    env: { PARLEY_SOAK: '1' },
    disableConsoleIntercept: true,
    maxWorkers: 1,
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
  },
})
