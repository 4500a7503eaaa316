import { expect, test } from 'vitest'
import { checkSessionLimits, sessionLimits } from '../src/index.ts'
import { day } from './people.ts'

test('the defaults keep the rules', () => {
  expect(checkSessionLimits({})).toEqual(sessionLimits)
})

test('what would lose messages or keep keys for ever is refused by name', () => {
  const wrong: [string, Parameters<typeof checkSessionLimits>][] = [
    ['retentionMs', [{ retentionMs: 32 * day - 1 }]],
    ['retentionMs', [{}, 31 * day]],
    ['requestLifetimeMs', [{ requestLifetimeMs: 31 * day }]],
    ['smkAgeMsMax', [{ smkAgeMsMax: 31 * day }]],
    ['smkUsesMax', [{ smkUsesMax: 0 }]],
    ['answersPerHourMax', [{ answersPerHourMax: Number.NaN }]],
  ]
  for (const [name, parameters] of wrong) expect(() => checkSessionLimits(...parameters)).toThrow(name)
})
