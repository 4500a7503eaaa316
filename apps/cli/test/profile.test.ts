import { homedir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { homeOf, interruption, parseDuration } from '../src/profile.ts'

afterEach(() => vi.unstubAllEnvs())

describe('a duration', () => {
  test.each([
    ['10', 10_000],
    ['10s', 10_000],
    ['500ms', 500],
    ['2m', 120_000],
    ['0.5s', 500],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each(['', 's', '-1s', '1h', '1 s', '1.s', '.5s', '1e3', 'ten', '10sec'])('%j is none', (text) => {
    expect(() => parseDuration(text)).toThrow(TypeError)
  })
})

test('the profile is that of --home, else of PARLEY_HOME, else the one in the folder of the user', () => {
  vi.stubEnv('PARLEY_HOME', '/by/environment')
  expect(homeOf({ home: '/by/option' })).toBe('/by/option')
  expect(homeOf({})).toBe('/by/environment')
  vi.stubEnv('PARLEY_HOME', undefined)
  expect(homeOf({})).toBe(join(homedir(), '.parley'))
})

test('an interruption leaves by itself after its time, and else not', async () => {
  const signal = interruption(1)
  await new Promise((done) => signal.addEventListener('abort', done))
  expect(signal.reason).toMatchObject({ message: 'timeout' })
  expect(interruption().aborted).toBe(false)
})
