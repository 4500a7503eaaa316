import { expect, it } from 'vitest'
import { shares } from './property.ts'

it('the simulations have 1,000 seeds in the tests and 20,000 in the long form', () => {
  const sum = (form: 'test' | 'soak') => Object.values(shares).reduce((total, share) => total + share[form], 0)
  expect([sum('test'), sum('soak')]).toEqual([1_000, 20_000])
})
