import { describe, it } from 'vitest'
import { mailboxCases } from '../src/compliance.ts'
import { createTestWorld } from './world.ts'

describe.each([
  { name: 'with everything recent in memory', limits: {} },
  { name: 'with nothing in memory', limits: { recentBytesMax: 0, logsMax: 0 } },
])('the mailbox on a store, $name', ({ limits }) => {
  for (const { name, run } of mailboxCases) it(name, () => run(createTestWorld(limits)))
})
