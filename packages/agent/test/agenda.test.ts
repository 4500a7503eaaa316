import { createSimRandom } from '@parley/core/sim'
import { expect, it } from 'vitest'
import { createAgenda } from '../src/agenda.ts'

it('gives out what is due, soonest first, and the next time', () => {
  const agenda = createAgenda()
  for (const [name, at] of [
    ['c', 3],
    ['a', 1],
    ['d', 9],
    ['b', 2],
  ] as const)
    agenda.set(name, at)
  expect(agenda.next()).toBe(1)
  expect(agenda.take(3)).toEqual(['a', 'b', 'c'])
  expect([agenda.next(), agenda.take(8)]).toEqual([9, []])
  agenda.clear()
  expect([agenda.next(), agenda.take(9)]).toEqual([undefined, []])
})

it('has one time for a name, the last that was set', () => {
  const agenda = createAgenda()
  agenda.set('a', 5)
  agenda.set('a', 2)
  agenda.set('b', 3)
  agenda.set('b', 7)
  expect(agenda.take(5)).toEqual(['a'])
  expect(agenda.take(7)).toEqual(['b'])
})

it('agrees with a list that is sorted each time, whatever moves', () => {
  const random = createSimRandom('agenda')
  const agenda = createAgenda()
  const model = new Map<string, number>()
  for (let step = 0; step < 5000; step++) {
    const name = String(random.int(100))
    const at = random.int(1000)
    agenda.set(name, at)
    model.set(name, at)
    if (step % 50 !== 0) continue
    const now = random.int(300)
    const due = [...model].filter(([, time]) => time <= now)
    expect(agenda.take(now).map((taken) => model.get(taken))).toEqual(due.map(([, time]) => time).sort((a, b) => a - b))
    for (const [taken] of due) model.delete(taken)
    expect(agenda.next()).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
  }
})
