import { expect, test } from 'vitest'
import { stateDiagram } from '../src/index.ts'
import { seller } from './haggle.ts'

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
