import { describe, expect, it } from 'vitest'
import { createTurns } from '../src/turns.ts'

describe('turns', () => {
  it('runs one turn at a time, with all jobs that waited', async () => {
    const seen: string[] = []
    const turns = createTurns<string>(async (jobs) => {
      seen.push(jobs.join(''))
      if (jobs.includes('a')) turns.push('d')
      await Promise.resolve()
    })
    for (const job of ['a', 'b', 'c']) turns.push(job)
    await turns.idle()
    turns.push('e')
    await turns.idle()
    expect(seen).toEqual(['abc', 'd', 'e'])
  })

  it('puts repeated jobs in front', async () => {
    const seen: string[] = []
    const turns = createTurns<string>(async (jobs) => {
      seen.push(jobs.join(''))
      if (jobs.length > 1) turns.again(jobs.slice(1))
    })
    for (const job of ['a', 'b', 'c']) turns.push(job)
    await turns.idle()
    expect(seen).toEqual(['abc', 'bc', 'c'])
  })
})
