import { expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { stateDiagram } from '../src/index.ts'
import { buyer, seller } from './haggle.ts'

test('draws states, events, delays and effects', () => {
  expect(stateDiagram(seller)).toBe(
    [
      'stateDiagram-v2',
      '  [*] --> ready',
      '  ready --> looking: received.ask / deliver, call',
      '  ready --> ready: copied.ask / deliver',
      '  looking --> offered: result.lookUp / send',
      '  offered --> sold: received.take',
      '  offered --> offered: received.note / deliver',
      '  sold --> [*]',
    ].join('\n'),
  )
})

test('draws what a state does on entry, and names that mermaid cannot take', () => {
  const drawn = stateDiagram(buyer)
  expect(drawn).toContain('  state "asking / send" as asking\n')
  expect(drawn).toContain('  asking --> lapsed: after offerMs')
  const dashed = createMachine({ id: 'm', initial: 'not-yet', states: { 'not-yet': { initial: 'in', states: { in: {} } } } })
  expect(stateDiagram(dashed)).toBe(
    [
      'stateDiagram-v2',
      '  [*] --> not_yet',
      '  state "not-yet" as not_yet',
      '  state not_yet {',
      '    [*] --> not_yet_in',
      '    state "in" as not_yet_in',
      '  }',
    ].join('\n'),
  )
})
