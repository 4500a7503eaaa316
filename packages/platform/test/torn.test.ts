import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLevelStore } from '../src/level/index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-torn-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The file that batches are written to first. */
function logIn(store: string): string {
  const [name] = readdirSync(store).filter((each) => each.endsWith('.log'))
  if (name === undefined) throw new Error('no log')
  return join(store, name)
}

// What a machine that dies in the middle of a write leaves behind. This is why the simulated disk loses whole batches: no part of one is ever seen.
it('a batch that was cut off anywhere is there whole or not at all, and those before it are whole', async () => {
  const value = new Uint8Array(300).fill(7)
  const keys = (batch: number): string[] => Array.from({ length: 5 }, (_, i) => `batch ${batch} key ${i}`)
  const written = join(folder, 'written')
  const store = await openLevelStore(written)
  const sizes: number[] = []
  for (let batch = 0; batch < 4; batch++) {
    await store.batch(
      keys(batch).map((key) => ({ type: 'put', key, value })),
      { durable: true },
    )
    sizes.push(statSync(logIn(written)).size)
  }
  // As it lies on the disk while the process lives.
  const left = join(folder, 'left')
  cpSync(written, left, { recursive: true })
  await store.close()
  const [from = 0, upTo = 0] = sizes.slice(-2)
  const seen = { whole: 0, absent: 0 }
  for (let size = upTo; size >= from; size -= 41) {
    const copy = join(folder, `cut ${size}`)
    cpSync(left, copy, { recursive: true })
    truncateSync(logIn(copy), size)
    const torn = await openLevelStore(copy)
    for (let batch = 0; batch < 3; batch++) for (const key of keys(batch)) expect(await torn.get(key)).toEqual(value)
    const last = (await torn.getMany(keys(3))).filter((each) => each !== undefined).length
    expect([0, 5]).toContain(last)
    seen[last === 5 ? 'whole' : 'absent']++
    // And what is written now is found behind it.
    await torn.batch([{ type: 'put', key: 'after', value }], { durable: true })
    await torn.close()
    const again = await openLevelStore(copy)
    expect(await again.get('after')).toEqual(value)
    await again.close()
    rmSync(copy, { recursive: true })
  }
  expect(seen.whole).toBe(1)
  expect(seen.absent).toBeGreaterThan(30)
})
